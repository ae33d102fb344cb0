"""An operator: joins a robot, sees its camera, sends commands stamped in the robot's time."""

import asyncio
import contextlib
import json
import time

from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription

from . import lcm
from .broker import Broker, BrokerError
from .peer import PATIENCE, configuration, connected, negotiated, repaired

NUMBERS = {
    "cmd_unreliable": "cmd_channel_id",
    "state_reliable": "state_channel_id",
    "state_reliable_back": "state_back_channel_id",
    "map_unreliable": "map_channel_id",
}


class Operator:
    """async with Operator("https://broker", email, password) as operator:
        await operator.join(await operator.robot("name"))
    """

    def __init__(self, url, email, password, certificate=None):
        self.broker = Broker(url, certificate=certificate)
        self.account = (email, password)
        self.peer = self.session = None
        self.offset, self.best = 0.0, None
        self.pictures = 0
        self.told = []
        self.channels = {}
        self._seq = 0
        self._tasks = []

    async def __aenter__(self):
        await self.broker.log_in(*self.account)
        return self

    async def __aexit__(self, *_):
        await self.leave()

    async def robot(self, name):
        """The session of a robot, as soon as it is listed."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for robot in await self.broker.call("GET", "/sessions"):
                    if robot["robot_name"] == name:
                        return robot
                await asyncio.sleep(0.1)

    async def join(self, robot, video=True, microphone=False):
        """Connects; without video the offer has the data channels alone, and video comes by an offer of the broker."""
        self.session = session = robot["session_id"]
        ice = (await self.broker.call("GET", "/sessions/turn-credentials"))["ice_servers"]
        self.peer = peer = RTCPeerConnection(configuration(ice))
        peer.on("track", self._on_track)
        init = peer.createDataChannel("_sctp_init")
        if video:
            peer.addTransceiver("video", direction="recvonly")
        if microphone:
            peer.addTrack(AudioStreamTrack())
        await peer.setLocalDescription(await peer.createOffer())
        offer = {"role": "operator", "sdp_offer": peer.localDescription.sdp}
        self.joined = await self.broker.call("POST", f"/sessions/{session}/join", offer)
        await peer.setRemoteDescription(RTCSessionDescription(repaired(self.joined["sdp_answer"]), "answer"))
        await connected(peer)
        init.close()
        await self.bridge()
        self._tasks.append(asyncio.create_task(self._live()))

    async def bridge(self):
        self.bridged = bridged = await self.broker.call("POST", f"/sessions/{self.session}/bridge-datachannel")
        for channel in self.channels.values():
            channel.close()
        self.channels = {label: negotiated(self.peer, label, bridged[name]) for label, name in NUMBERS.items()}
        for label in ("state_reliable_back", "map_unreliable"):
            self.channels[label].on("message", lambda data, label=label: self._on_told(label, data))
        if bridged["video_offer"]:
            await self.peer.setRemoteDescription(RTCSessionDescription(repaired(bridged["video_offer"]), "offer"))
            await self.peer.setLocalDescription(await self.peer.createAnswer())
            answer = {"sdp_answer": self.peer.localDescription.sdp}
            await self.broker.call("POST", f"/sessions/{self.session}/renegotiate-answer", answer)
        async with asyncio.timeout(PATIENCE):
            while any(channel.readyState != "open" for channel in self.channels.values()):
                await asyncio.sleep(0.02)

    async def leave(self):
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        if self.peer:
            with contextlib.suppress(BrokerError):
                await self.broker.call("POST", f"/sessions/{self.session}/leave", {"reason": "user_initiated"})
            await self.peer.close()
            self.peer = None
            self.channels = {}

    async def _live(self):
        while True:
            await self.broker.call("POST", f"/sessions/{self.session}/op-heartbeat")
            await asyncio.sleep(5)

    def _on_track(self, track):
        if track.kind == "video":
            self._tasks.append(asyncio.create_task(self._watch(track)))

    async def _watch(self, track):
        while True:
            await track.recv()
            self.pictures += 1

    def _on_told(self, label, data):
        message = json.loads(data)
        self.told.append((label, type(data).__name__, message))
        if message.get("type") == "pong":
            now = time.time()
            rtt = (now - message["client_ts"]) * 1000
            if 0 <= rtt <= 5000 and (self.best is None or rtt < self.best):
                self.best = rtt
                self.offset = (2 * message["robot_ts"] - message["client_ts"] - now) / 2
                self.say("clock_report", rtt_ms=round(rtt, 1), offset_ms=round(self.offset * 1000, 1))

    def say(self, kind, **fields):
        """A message on the reliable channel."""
        self.channels["state_reliable"].send(json.dumps({"type": kind, **fields}))

    async def answer(self, is_so):
        """The first message of the robot of which something is true."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if found := next((m for _, _, m in self.told if is_so(m)), None):
                    return found
                await asyncio.sleep(0.01)

    async def synchronise(self):
        """Pings until the robot has answered, so that stamps are in its time."""
        async with asyncio.timeout(PATIENCE):
            while self.best is None:
                self.say("ping", client_ts=time.time())
                await asyncio.sleep(0.4)

    def now(self):
        """The robot's time, a little in the past: a stamp of the future would be refused."""
        return time.time() + self.offset - max(0.005, (self.best or 0) / 2000)

    def twist(self, linear=(0.0, 0.0, 0.0), angular=(0.0, 0.0, 0.0), frame_id="keyboard"):
        self._seq += 1
        message = (lcm.header(frame_id, self.now(), self._seq), (tuple(linear), tuple(angular)))
        self.channels["cmd_unreliable"].send(lcm.encode("TwistStamped", message))

    def pose(self, hand, position, orientation=(0.0, 0.0, 0.0, 1.0)):
        message = (lcm.header(hand, self.now()), (tuple(position), tuple(orientation)))
        self.channels["cmd_unreliable"].send(lcm.encode("PoseStamped", message))

    def joy(self, hand, primary=False, trigger=0.0, grip=0.0):
        axes = (0.0, 0.0, trigger, grip)
        buttons = (int(trigger > 0.5), int(grip > 0.5), 0, 0, int(primary), 0, 0)
        message = (len(axes), len(buttons), lcm.header(hand, self.now()), axes, buttons)
        self.channels["cmd_unreliable"].send(lcm.encode("Joy", message))
