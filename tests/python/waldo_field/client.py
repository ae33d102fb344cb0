"""One socket of the field."""

import asyncio
import json

from websockets.asyncio.client import connect

from .scene import Scene

PATIENCE = 30.0


class FieldError(Exception):
    """The field refused something; the text is its reason."""


class FieldClient:
    """A user (`vr_client`), a `spectator` or a `publisher`.

    async with FieldClient("ws://robot:8765", "publisher", owner_id="rig") as rig:
        await rig.ask("add_mesh", mesh_id="crate", mesh_data_b64=data)
    """

    def __init__(self, url, role="spectator", **hello):
        self.url = url
        self.hello = {"role": role, **hello}
        self.ack = self.manifest = None
        self.scene = Scene()
        self._answers = asyncio.Queue(256)
        self._changed = asyncio.Condition()
        self._reading = None

    async def __aenter__(self):
        self.socket = await connect(self.url, max_size=None, open_timeout=PATIENCE)
        self._reading = asyncio.create_task(self._read())
        self.ack = await self.ask("hello", **self.hello)
        if self.hello["role"] != "publisher":
            self.manifest = (await self.answer())["payload"]
        return self

    async def __aexit__(self, *_):
        await self.socket.close()
        self._reading.cancel()

    async def _read(self):
        async for message in self.socket:
            if isinstance(message, bytes):
                self.scene.binary(message)
            else:
                envelope = json.loads(message, parse_constant=lambda name: 1 / 0)
                assert envelope["version"] == 1, envelope
                kind, payload = envelope["type"], envelope["payload"]
                if kind == "scene_state":
                    self.scene.full(payload)
                elif kind == "scene_delta":
                    self.scene.delta(payload)
                else:
                    self._answers.put_nowait(envelope)
                    continue
            async with self._changed:
                self._changed.notify_all()

    async def send(self, kind, **payload):
        """Sends a message that has no answer unless something is wrong with it."""
        await self.socket.send(json.dumps({"version": 1, "type": kind, "payload": payload}, allow_nan=False))

    async def answer(self):
        """The next message that is no scene."""
        getting = asyncio.create_task(self._answers.get())
        await asyncio.wait({getting, self._reading}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
        getting.cancel()
        if self._reading.done():
            self._reading.result()
            raise ConnectionError("the field hung up")
        raise TimeoutError("the field does not answer")

    async def ask(self, kind, **payload):
        """Sends a message; the payload of its answer."""
        await self.send(kind, **payload)
        answer = await self.answer()
        if answer["type"] == "error":
            raise FieldError(answer["payload"]["reason"])
        return answer["payload"]

    async def until(self, is_so):
        """Waits for a scene of which something is true."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.scene and is_so(self.scene))
        return self.scene

    async def hands(self, timestamp, left=None, right=None, grip=1.0, **more):
        """Where the hands of a user are."""
        pose = lambda at: {"translation": list(at), "rotation_xyzw": [0, 0, 0, 1]}
        hands = {"left": left, "right": right}
        controllers = {hand: {"pose": pose(at), "grip": grip} for hand, at in hands.items() if at is not None}
        await self.send("xr_input", timestamp=timestamp, head_pose=pose((0, 1.6, 0)), controllers=controllers, **more)
