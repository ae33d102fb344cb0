"""A broker that knows one robot, and is itself the operator: a robot's own program can be tried against it.

It speaks the robot's half of the wire alone: ICE servers, registration, heartbeats, and one peer connection.
"""

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiortc import RTCPeerConnection, RTCSessionDescription

from . import lcm
from .peer import PATIENCE, connected, negotiated
from .robot import CHANNELS

KEY = "dtk_dev_" + "0123456789abcdef0123456789abcdef01234567"
SESSION = "6f9f3c1e-2c1b-4e5f-9a58-0d2f6f6f3b11"
FIRST_ID = 5


class Rehearsal:
    """async with Rehearsal() as rehearsal: start the robot with `rehearsal.url` and KEY, then drive it."""

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        self.registered, self.gone = asyncio.Event(), asyncio.Event()
        self.robot = self.peer = None
        self.beats, self.calls = [], []
        self.ids = dict.fromkeys(CHANNELS.values())
        self.told, self.pictures = [], 0
        self.best, self.offset = None, 0.0
        self._tasks = []
        rehearsal = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                call = rehearsal._call(self.command, self.path, self.headers, body)
                status, reply = asyncio.run_coroutine_threadsafe(call, rehearsal.loop).result(30)
                data = b"" if reply is None else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        if self.peer:
            await self.peer.close()
        await asyncio.to_thread(self.server.shutdown)

    async def _call(self, method, path, headers, body):
        self.calls.append((method, path))
        if headers.get("X-Robot-API-Key") != KEY:
            return 401, {"detail": "Invalid robot credentials"}
        if headers.get("Content-Type") != "application/json":
            return 415, {"detail": "the robot says application/json on every call"}
        match method, path.removeprefix("/api/v1"):
            case "GET", "/sessions/turn-credentials":
                return 200, {"ice_servers": []}
            case "POST", "/sessions":
                return await self._register(json.loads(body))
            case "POST", p if p == f"/sessions/{SESSION}/heartbeat":
                self.beats.append((time.monotonic(), json.loads(body)))
                return 200, {"ack": True, "renegotiate_offer": None, **self.ids}
            case "DELETE", p if p == f"/sessions/{SESSION}":
                self.gone.set()
                return 204, None
        return 404, {"detail": "Not Found"}

    async def _register(self, robot):
        self.robot = robot
        self.peer = peer = RTCPeerConnection()
        peer.on("track", lambda track: track.kind == "video" and self._run(self._watch(track)))
        await peer.setRemoteDescription(RTCSessionDescription(robot["sdp_offer"], "offer"))
        # As SFUs answer. aiortc leaves the data channels' first step to whoever offers, others to the client of DTLS:
        # with this the robot is both.
        peer.sctp.transport._set_role("server")
        await peer.setLocalDescription(await peer.createAnswer())
        self.registered.set()
        reply = {"session_id": SESSION, "cf_session_id": "one", "sdp_answer": peer.localDescription.sdp}
        return 201, {**reply, "ice_servers": [{"urls": "stun:stun.example.org"}]}

    def _run(self, task):
        self._tasks.append(asyncio.create_task(task))

    async def _watch(self, track):
        while True:
            await track.recv()
            self.pictures += 1

    async def bridge(self):
        """An operator arrives: the channels' ids are in the next heartbeat's reply."""
        await connected(self.peer)
        self.channels = {label: negotiated(self.peer, label, FIRST_ID + 2 * i) for i, label in enumerate(CHANNELS)}
        for label in ("state_reliable_back", "map_unreliable"):
            self.channels[label].on("message", lambda data, label=label: self._on_told(label, data))
        self.ids = {CHANNELS[label]: channel.id for label, channel in self.channels.items()}
        # The robot opens its ends one heartbeat later.
        beats = len(self.beats)
        is_open = lambda: all(channel.readyState == "open" for channel in self.channels.values())
        async with asyncio.timeout(PATIENCE):
            while len(self.beats) < beats + 2 or not is_open():
                await asyncio.sleep(0.05)

    def let_go(self):
        """The operator is gone: the ids of the next heartbeat's reply are null."""
        self.ids = dict.fromkeys(CHANNELS.values())

    def _on_told(self, label, data):
        self.told.append((label, type(data).__name__, json.loads(data)))

    def say(self, kind, **fields):
        self.channels["state_reliable"].send(json.dumps({"type": kind, **fields}))

    def command(self, name, fields):
        self.channels["cmd_unreliable"].send(lcm.encode(name, fields))

    def twist(self, linear, angular=(0.0, 0.0, 0.0), frame_id="keyboard"):
        # Both run on one clock; a little in the past, since a stamp of the future is refused.
        self.command("TwistStamped", (lcm.header(frame_id, time.time() - 0.005), (linear, angular)))

    async def told_that(self, is_so):
        """The first message of the robot, from now on, of which something is true."""
        seen = len(self.told)
        async with asyncio.timeout(PATIENCE):
            while True:
                for label, kind, message in self.told[seen:]:
                    if is_so(message):
                        return label, kind, message
                await asyncio.sleep(0.01)
