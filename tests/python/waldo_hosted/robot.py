"""A robot that dials the broker, sends video, and writes down what it is told."""

import asyncio
import contextlib
import json
import time

import numpy
from aiortc import RTCRtpSender, RTCSessionDescription, VideoStreamTrack
from av import VideoFrame

from . import lcm
from .broker import Broker, BrokerError
from .peer import connected, negotiated, repaired, robot_peer

# Heartbeat's fields, in the order in which their channels are opened: the way back before the way that is answered.
CHANNELS = {
    "cmd_unreliable": "cmd_channel_subscriber_id",
    "state_reliable_back": "state_back_channel_publisher_id",
    "state_reliable": "state_channel_subscriber_id",
    "map_unreliable": "map_channel_publisher_id",
}
FIRST_GENERATION = ("cmd_unreliable", "state_reliable_back", "state_reliable")


class Camera(VideoStreamTrack):
    """A picture that brightens with time."""

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        picture = numpy.full((240, 320, 3), int(pts / 9000) % 200 + 20, numpy.uint8)
        frame = VideoFrame.from_ndarray(picture, "bgr24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Robot:
    """async with Robot("https://broker", key) as robot: …

    `generation` "a" is of mid 2026 and earlier: no map, no microphone.
    """

    def __init__(self, url, key, name="robot", kind=None, robot_id="", generation="b", certificate=None):
        self.broker = Broker(url, key=key, certificate=certificate)
        self.about = {"robot_name": name, "robot_id": robot_id, "transport": "cloudflare"}
        if kind:
            self.about["robot_type"] = kind
        self.labels = FIRST_GENERATION if generation == "a" else tuple(CHANNELS)
        self.microphone = generation != "a"
        self.session = self.peer = None
        self.commands, self.states, self.losses = [], [], 0
        self.heard = 0
        self.rejoined = 0
        self.channels, self.numbers = {}, {}
        self._tasks = []

    async def __aenter__(self):
        ice = (await self.broker.call("GET", "/sessions/turn-credentials"))["ice_servers"]
        self.peer = peer = robot_peer(ice)
        sender = peer.addTrack(Camera())
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver = next(t for t in peer.getTransceivers() if t.sender is sender)
        transceiver.setCodecPreferences(sorted(codecs, key=lambda codec: codec.mimeType != "video/H264"))
        if self.microphone:
            peer.addTransceiver("audio", direction="recvonly")
        peer.on("track", lambda track: self._tasks.append(asyncio.create_task(self._listen(track))))
        self.init = peer.createDataChannel("_sctp_init", negotiated=True, id=0)
        await peer.setLocalDescription(await peer.createOffer())
        reply = await self.broker.call("POST", "/sessions", {**self.about, "sdp_offer": peer.localDescription.sdp})
        self.session, self.answer = reply["session_id"], reply["sdp_answer"]
        await peer.setRemoteDescription(RTCSessionDescription(repaired(self.answer), "answer"))
        await connected(peer)
        self._tasks.append(asyncio.create_task(self._live()))
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(BrokerError):
            await self.broker.call("DELETE", f"/sessions/{self.session}")
        await self.peer.close()

    async def _live(self):
        while True:
            try:
                await self._take(await self.broker.call("POST", f"/sessions/{self.session}/heartbeat", {}))
            except (BrokerError, OSError) as error:
                self.trouble = error
            await asyncio.sleep(1)

    async def _take(self, ack):
        for label in self.labels:
            number = ack[CHANNELS[label]]
            if number == self.numbers.get(label):
                continue
            if label == "state_reliable" and number is None:
                self.losses += 1
            if old := self.channels.pop(label, None):
                old.close()
            if number is not None:
                self.channels[label] = channel = negotiated(self.peer, label, int(number))
                if label == "cmd_unreliable":
                    channel.on("message", self._on_command)
                elif label == "state_reliable":
                    channel.on("message", self._on_state)
            self.numbers[label] = number
        if ack.get("renegotiate_offer"):
            await self.peer.setRemoteDescription(RTCSessionDescription(repaired(ack["renegotiate_offer"]), "offer"))
            await self.peer.setLocalDescription(await self.peer.createAnswer())
            answer = {"sdp_answer": self.peer.localDescription.sdp}
            await self.broker.call("POST", f"/sessions/{self.session}/renegotiate-robot", answer)

    def _on_command(self, data):
        if isinstance(data, bytes) and (message := lcm.decode(data)):
            self.commands.append((time.time(), message))

    def _on_state(self, data):
        message = json.loads(data)
        self.states.append((type(data).__name__, message))
        back = self.channels.get("state_reliable_back")
        if back is None or back.readyState != "open":
            return
        if message["type"] == "ping":
            back.send(json.dumps({"type": "pong", "client_ts": message["client_ts"], "robot_ts": time.time()}))
        elif "nonce" in message:
            back.send(json.dumps({"type": "cmd_ack", "nonce": message["nonce"], "ok": True}).encode())

    def tell(self, label, message):
        """Sends JSON to the operator, as a binary frame."""
        self.channels[label].send(json.dumps(message, separators=(",", ":")).encode())

    async def _listen(self, track):
        while True:
            await track.recv()
            self.heard += 1
