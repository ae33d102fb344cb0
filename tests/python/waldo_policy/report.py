"""What was seen, as JSON in which every bit counts: arrays and numbers as hexadecimal bytes, little endian."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frames import pack
from .messages import Action, Observation


def array_report(array: NDArray[Any]) -> dict[str, Any]:
    """Shape, element type and bytes."""
    return {"shape": list(array.shape), "dtype": array.dtype.name, "hex": array.tobytes().hex()}


def action_report(action: Action) -> dict[str, Any]:
    """An action as it arrived."""
    stamps = {name: number_report(stamp) for name, stamp in action.obs_timestamps.items()}
    return {"array": array_report(action.array), "obs_timestamps": stamps}


def observation_report(obs: Observation, tail: dict[str, Any]) -> dict[str, Any]:
    """An observation, and what its reply has behind it: maps of the application as their msgpack."""
    cameras = [
        {
            "name": camera.name,
            "timestamp": number_report(camera.timestamp),
            "intrinsics": array_report(camera.intrinsics),
            "extrinsics": array_report(camera.extrinsics),
            "image": array_report(camera.image),
            "depth": None if camera.depth is None else array_report(camera.depth),
        }
        for camera in obs.cameras
    ]
    return {
        "timestamp": number_report(obs.timestamp),
        "cameras": cameras,
        "proprios": {name: array_report(values) for name, values in obs.proprios.items()},
        "extra": pack(obs.extra).hex(),
        **{key: pack(value).hex() for key, value in tail.items()},
    }


def number_report(number: float) -> str:
    """The eight bytes of a float64."""
    return np.float64(number).tobytes().hex()
