"""The robot's side, to try policies and clients with: any of the three generations that are in the field.

``python -m waldo_policy.server --generation cpp --transport ws --port 0`` serves a made-up robot and prints its
address.

| generation | answers | encoding |
|---|---|---|
| ``decoupled`` | ``metadata``, ``reset``, ``obs_request``; takes ``apply_action`` | canonical |
| ``coupled`` | ``metadata``, ``reset``, ``action`` | canonical |
| ``cpp`` | the same | key order and numbers of the C++ one; WebSocket only |

What a generation does not know it ignores. Anything wrong ends the connection, over Zenoh the sample is dropped.
"""

from __future__ import annotations

import argparse
import json
import queue
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal, Protocol

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from . import frames
from .errors import FrameError
from .example import ExampleRobot
from .links import MAX_MESSAGE, ZENOH_C2S, ZENOH_S2C, open_session, publisher
from .messages import Action, Frame, Observation, Step
from .report import action_report, observation_report

Generation = Literal["decoupled", "coupled", "cpp"]

OnEvent = Callable[[dict[str, Any]], None]
"""Is told what was sent and what was applied."""


class Robot(Protocol):
    """What a robot implements. A server calls one method at a time."""

    def metadata(self) -> dict[str, Any]:
        """Static facts."""

    def reset(self) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""

    def get_obs(self) -> Observation:
        """What the sensors say now. Decoupled only."""

    def apply_action(self, action: Action) -> None:
        """Moves. Decoupled only."""

    def step(self, action: Action) -> Step:
        """Moves and observes. Coupled only."""


class PolicyServer:
    """Answers frames; does not care how they travel."""

    def __init__(self, robot: Robot, generation: Generation, on_event: OnEvent = lambda event: None) -> None:
        self.cpp = generation == "cpp"
        self._robot = robot
        self._coupled = generation != "decoupled"
        self._on_event = on_event
        self._lock = threading.Lock()

    def answer(self, data: bytes) -> bytes | None:
        """The reply to a frame, if it has one.

        :raises FrameError: if the frame is malformed.
        """
        frame = frames.read_frame(data)
        with self._lock:
            match frame.type:
                case "metadata":
                    return self._reply({"type": "metadata_response", "data": self._robot.metadata()})
                case "reset":
                    obs, info = self._robot.reset()
                    return self._observed("reset_response", obs, {"info": info})
                case "obs_request" if not self._coupled:
                    return self._observed("obs_response", self._robot.get_obs(), {})
                case "action" if self._coupled:
                    step = self._robot.step(self._action(frame))
                    return self._observed("step_response", step.obs, frames.step_tail(step, cpp=self.cpp))
                case "apply_action" if not self._coupled:
                    self._robot.apply_action(self._action(frame))
                case ignored:
                    self._on_event({"event": "ignored", "type": ignored})
        return None

    def _action(self, frame: Frame) -> Action:
        action = frames.read_action(frame)
        self._on_event({"event": "action", "type": frame.type, **action_report(action)})
        return action

    def _observed(self, kind: str, obs: Observation, tail: dict[str, Any]) -> bytes:
        self._on_event({"event": "sent", "type": kind, **observation_report(obs, tail)})
        return frames.write_observation(kind, obs, tail, cpp=self.cpp)

    def _reply(self, header: dict[str, Any]) -> bytes:
        self._on_event({"event": "sent", "type": header["type"], "data": frames.pack(header["data"]).hex()})
        return frames.write_frame(header, cpp=self.cpp)


def serve_websocket(server: PolicyServer, host: str, port: int) -> Server:
    """Listens; call ``serve_forever()`` of what is returned."""

    def handle(connection: ServerConnection) -> None:
        try:
            for message in connection:
                if isinstance(message, str):
                    if server.cpp:
                        continue
                    raise FrameError("a text message is no frame")
                reply = server.answer(message)
                if reply is not None:
                    connection.send(reply)
        except ConnectionClosed:
            pass
        except Exception as error:
            print(f"connection ended: {error}", file=sys.stderr, flush=True)
            connection.close(1011)

    return serve(handle, host, port, compression=None, max_size=MAX_MESSAGE)


def serve_zenoh(server: PolicyServer, endpoint: str) -> None:
    """Serves the keys that all share, for ever."""
    session = open_session(listen=endpoint)
    replies = publisher(session, ZENOH_S2C)
    requests: queue.Queue[bytes] = queue.Queue(64)

    def arrived(sample: Any) -> None:
        try:
            requests.put_nowait(sample.payload.to_bytes())
        except queue.Full:
            print("a request too many was dropped", file=sys.stderr, flush=True)

    session.declare_subscriber(ZENOH_C2S, arrived)
    while True:
        try:
            reply = server.answer(requests.get())
        except Exception as error:
            print(f"sample dropped: {error}", file=sys.stderr, flush=True)
            continue
        if reply is not None:
            replies.put(reply)


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return listener.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m waldo_policy.server", description="Serves a made-up robot.")
    parser.add_argument("--generation", choices=["decoupled", "coupled", "cpp"], default="decoupled")
    parser.add_argument("--transport", choices=["ws", "zenoh"], default="ws")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default 8765, for Zenoh 7447; 0 takes a free one")
    parser.add_argument("--size", default="8x6", help="of the larger camera's pictures")
    parser.add_argument("--json", action="store_true", help="print what is sent and applied, a line each")
    args = parser.parse_args()
    if args.generation == "cpp" and args.transport == "zenoh":
        parser.error("the C++ generation has no Zenoh")

    def print_event(event: dict[str, Any]) -> None:
        print(json.dumps(event), flush=True)

    width, height = map(int, args.size.split("x"))
    robot = ExampleRobot(width, height, text_only=args.generation == "cpp")
    server = PolicyServer(robot, args.generation, print_event if args.json else lambda event: None)
    try:
        if args.transport == "ws":
            listener = serve_websocket(server, args.host, 8765 if args.port is None else args.port)
            print(f"ws://{args.host}:{listener.socket.getsockname()[1]}", flush=True)
            listener.serve_forever()
        else:
            port = 7447 if args.port is None else args.port or _free_port(args.host)
            print(f"tcp/{args.host}:{port}", flush=True)
            serve_zenoh(server, f"tcp/{args.host}:{port}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
