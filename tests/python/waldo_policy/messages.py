"""What the messages of the policy wire mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()
    )
}
"""The element types of the wire, little endian whatever the machine is."""

Stamps = Mapping[str, float]
"""Camera name → time stamp."""


@dataclass(frozen=True)
class Frame:
    """One message: its header and, not copied, its payload."""

    header: dict[str, Any]
    payload: memoryview

    @property
    def type(self) -> str | None:
        """None for a type that is not text, which receivers ignore like an unknown one."""
        kind = self.header["type"]
        return kind if isinstance(kind, str) else None


@dataclass(frozen=True)
class Camera:
    """What one camera saw."""

    name: str
    timestamp: float
    """Seconds of the robot's monotonic clock, or what the robot says; 0.0 before the first picture."""
    intrinsics: NDArray[np.float64]
    """Pinhole K, 3×3."""
    extrinsics: NDArray[np.float64]
    """Camera to world, 4×4."""
    image: NDArray[Any]
    """H×W×C, usually uint8. A camera that failed has a picture of size zero."""
    depth: NDArray[Any] | None = None
    """H×W, usually float32 in metres."""


@dataclass(frozen=True)
class Observation:
    """What the robot sensed: ``obs["camera name"]``, ``obs.proprios["stream name"]``."""

    timestamp: float = 0.0
    """Whatever the robot's application counts: wall clock, simulated time, steps."""
    cameras: list[Camera] = field(default_factory=list)
    proprios: dict[str, NDArray[Any]] = field(default_factory=dict)
    """One-dimensional arrays."""
    extra: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Camera:
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise KeyError(f"no camera {name!r}; there are {[camera.name for camera in self.cameras]}")

    @property
    def stamps(self) -> dict[str, float]:
        """The time stamp of each camera, as actions carry them."""
        return {camera.name: camera.timestamp for camera in self.cameras}


@dataclass(frozen=True)
class Step:
    """What followed an action on a coupled robot."""

    obs: Observation
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """An action as a server reads it."""

    array: NDArray[Any]
    obs_timestamps: dict[str, float]
