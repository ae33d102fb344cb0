"""A made-up robot: every action moves it, and everything it sees tells how often it has been moved."""

from __future__ import annotations

from typing import Any

import numpy as np

from .messages import Action, Camera, Observation, Step

INTRINSICS = np.array([[600.25, 0.0, 320.0], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
EXTRINSICS = np.array([[0.0, 0.1, 0.0, 0.3], [1.0, 0.0, -2.5, -0.2], [0.0, 1 / 3, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
EPISODE = 5


class ExampleRobot:
    """Cameras with and without depth, a grey one, and one that failed; a coupled robot's episode has 5 steps.

    :param text_only: tell text to text, as robots in C++ can only.
    """

    def __init__(self, width: int, height: int, *, text_only: bool = False) -> None:
        self._pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
        self._depth = np.random.default_rng(2).uniform(0.2, 4.0, (height, width)).astype(np.float32)
        if self._depth.size >= 2:
            self._depth.flat[:2] = [np.nan, np.inf]  # As depth cameras do where they see nothing.
        self._text_only = text_only
        self._moves = 0
        self._last: np.ndarray = np.zeros(0, np.float32)

    def metadata(self) -> dict[str, Any]:
        if self._text_only:
            return {"action_shape": "[1,7]", "robot": "example"}
        return {
            "action_shape": [1, 7],
            "cameras": ["wrist_cam", "grey::cam", "dead_cam"],
            "rate": 30.0,
            "ok": True,
            "none": None,
            "blob": b"\x00\x01",
            "bök": {"nested": [1, -2, 2.5, 2**40]},
        }

    def reset(self) -> tuple[Observation, dict[str, Any]]:
        self._moves = 0
        return self.get_obs(), {"episode": "1"} if self._text_only else {"episode": 1, "seed": 0.5}

    def get_obs(self) -> Observation:
        moves = self._moves
        cameras = [
            Camera("wrist_cam", 1.25 + 0.1 * moves, INTRINSICS, EXTRINSICS, self._pixels + np.uint8(moves), self._depth),
            Camera("grey::cam", 1234.5, np.eye(3), np.eye(4), self._pixels[:2, :, :1] ^ np.uint8(moves)),
            Camera("dead_cam", 0.0, np.eye(3), np.eye(4), np.zeros((0, 0, 3), np.uint8)),
        ]
        proprios = {
            "left__joint_pos": np.linspace(-1, 1, 7) + moves,  # float64 here, float32 on the wire
            "last_action": self._last,
        }
        proprios = {name: np.asarray(values, np.float32) for name, values in proprios.items()}
        extra = {} if self._text_only else {"task": "pick", "moves": moves, "t": [0.1, 3.0, None]}
        return Observation(0.05 * moves, cameras, proprios, extra)

    def apply_action(self, action: Action) -> None:
        self._moves += 1
        self._last = np.ravel(action.array).astype(np.float32)

    def step(self, action: Action) -> Step:
        self.apply_action(action)
        info = {"moves": str(self._moves)} if self._text_only else {"moves": self._moves}
        return Step(self.get_obs(), 0.3 * self._moves, self._moves == EPISODE, self._moves > EPISODE, info)
