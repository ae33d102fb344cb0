"""Runs a client as it is told: commands from stdin, results to stdout, a line of JSON each.

``{"call": "reset"}`` is answered by what the client saw, ``{"error": …}`` if the call failed. ``uri``, ``protocol``
and ``generation`` of ``connect`` are those of :class:`PolicyClient`; arrays are written as :mod:`.report` does.
``recode`` and ``example_frames`` need no connection.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from . import frames
from .client import PolicyClient
from .errors import PolicyError
from .example import ExampleRobot
from .messages import DTYPES, Action
from .report import number_report, observation_report


def recode(data: bytes, *, cpp: bool = False) -> bytes:
    """The same message again, from what was understood of it; headers without arrays as they were."""
    frame = frames.read_frame(data)
    match frame.type:
        case "obs_response":
            return frames.write_observation(frame.type, frames.read_observation(frame), {}, cpp=cpp)
        case "reset_response":
            tail = {"info": frames.read_map(frame, "info")}
            return frames.write_observation(frame.type, frames.read_observation(frame), tail, cpp=cpp)
        case "step_response":
            step = frames.read_step(frame)
            return frames.write_observation(frame.type, step.obs, frames.step_tail(step), cpp=cpp)
        case "apply_action" | "action" if "seq" not in frame.header:
            action = frames.read_action(frame)
            return frames.write_action(frame.type, action.array, action.obs_timestamps)
        case _:
            return frames.write_frame(frame.header, [frame.payload], cpp=cpp)


def example_frames() -> list[bytes]:
    """One frame of each type, as the example robot and a client of it write them."""
    robot = ExampleRobot(8, 6)
    obs, info = robot.reset()
    step = robot.step(Action(np.linspace(-1, 1, 7), {}))
    return [
        *(frames.write_frame({"type": kind}) for kind in ("metadata", "reset", "obs_request")),
        frames.write_action("apply_action", np.linspace(-1, 1, 7), obs.stamps),
        frames.write_action("action", [[0.1, np.float32(1 / 3)]], {}),
        frames.write_frame({"type": "metadata_response", "data": robot.metadata()}),
        frames.write_observation("reset_response", obs, {"info": info}),
        frames.write_observation("obs_response", obs, {}),
        frames.write_observation("step_response", step.obs, frames.step_tail(step)),
    ]


class Session:
    """One client, commanded."""

    def __init__(self) -> None:
        self._client: PolicyClient | None = None

    def run(self, command: dict[str, Any]) -> Any:
        """What a command leads to."""
        call = command.pop("call")
        if call == "recode":
            return recode(bytes.fromhex(command["hex"]), cpp=command.get("cpp", False)).hex()
        if call == "example_frames":
            return [frame.hex() for frame in example_frames()]
        if call == "connect":
            self._client = PolicyClient(**command).connect()
            return None
        if self._client is None:
            raise PolicyError("connect first")
        return getattr(self, f"_{call}")(self._client, **command)

    def _close(self, client: PolicyClient) -> None:
        client.close()

    def _generation(self, client: PolicyClient) -> str:
        return client.generation

    def _get_metadata(self, client: PolicyClient) -> str:
        return frames.pack(client.get_metadata()).hex()

    def _reset(self, client: PolicyClient) -> dict[str, Any]:
        obs, info = client.reset()
        return observation_report(obs, {"info": info})

    def _get_obs(self, client: PolicyClient) -> dict[str, Any]:
        return observation_report(client.get_obs(), {})

    def _apply_action(self, client: PolicyClient, array: dict[str, Any]) -> None:
        client.apply_action(_read_array(array))

    def _step(self, client: PolicyClient, array: dict[str, Any]) -> dict[str, Any]:
        step = client.step(_read_array(array))
        return observation_report(step.obs, frames.step_tail(step))

    def _send(self, client: PolicyClient, hex: str) -> None:
        """Any bytes, behind the client's back."""
        client._send(bytes.fromhex(hex))

    def _stream(self, client: PolicyClient, hz: float, seconds: float) -> dict[str, Any]:
        """Streams for a while; how many observations came, and the stamps of the cameras of each."""
        client.start_obs_stream(hz)
        seen, obs, until = [], client.latest_obs, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                obs = client.wait_obs(obs, left)
            except TimeoutError:
                break
            seen.append({name: number_report(stamp) for name, stamp in obs.stamps.items()})
        client.stop_obs_stream()
        return {"count": len(seen), "stamps": seen}


def _read_array(array: dict[str, Any]) -> Any:
    return np.ndarray(array["shape"], DTYPES[array["dtype"]], bytes.fromhex(array["hex"]))


def main() -> None:
    session = Session()
    for line in sys.stdin:
        try:
            answer = {"result": session.run(json.loads(line))}
        except (PolicyError, ValueError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
