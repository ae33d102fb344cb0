"""What both ends do with aiortc: ICE servers, negotiated channels, SDP."""

import asyncio

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.rtcconfiguration import RTCBundlePolicy

LOSSY = {"cmd_unreliable", "map_unreliable"}
PATIENCE = 15.0


def configuration(ice_servers, **more):
    return RTCConfiguration(iceServers=[RTCIceServer(**server) for server in ice_servers], **more)


def robot_peer(ice_servers):
    """All media over one transport: aiortc's default would wait for a second one for ever."""
    return RTCPeerConnection(configuration(ice_servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


def negotiated(peer, label, number):
    """A channel that both sides know by its number."""
    lossy = {"ordered": False, "maxRetransmits": 0} if label in LOSSY else {}
    return peer.createDataChannel(label, negotiated=True, id=number, **lossy)


def repaired(sdp):
    """aiortc takes the candidates of the last section, so each section gets those of the first that has any."""
    sections = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    is_candidate = lambda line: line.startswith(("a=candidate:", "a=end-of-candidates"))
    known = next((found for s in sections[1:] if (found := [line for line in s if is_candidate(line)])), [])
    for section in sections[1:]:
        if not any(line.startswith("a=candidate:") for line in section):
            section += known
    return "".join(line + "\r\n" for section in sections for line in section)


async def connected(peer):
    """Waits until the peer connection stands."""
    async with asyncio.timeout(PATIENCE):
        while peer.connectionState != "connected":
            if peer.connectionState in ("failed", "closed"):
                raise ConnectionError(f"the peer connection is {peer.connectionState}")
            await asyncio.sleep(0.02)
