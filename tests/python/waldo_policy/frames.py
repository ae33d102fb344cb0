"""Frames of the policy wire: the length of a msgpack map (u32, little endian), the map, and a payload of arrays.

Arrays that were read are views of the frame they came in, and read-only for that reason; ``array.copy()`` detaches
one. Everything is written in one canonical form; ``cpp=True`` writes as the C++ generation does instead.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import msgpack
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import FrameError
from .messages import DTYPES, Action, Camera, Frame, Observation, Stamps, Step

MAX_DEPTH = 128
MAX_DIMENSIONS = 32


# --- reading


def read_frame(data: bytes | memoryview) -> Frame:
    """Takes a message apart; the payload is a view of it."""
    view = memoryview(data)
    if len(view) < 4:
        raise FrameError(f"a frame has at least 4 bytes, not {len(view)}")
    (length,) = struct.unpack_from("<I", view)
    if 4 + length > len(view):
        raise FrameError(f"a header of {length} bytes does not fit into a message of {len(view)}")
    try:
        header = msgpack.unpackb(view[4 : 4 + length], strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameError(f"header: {error or 'bad msgpack'}") from error
    if not isinstance(header, dict):
        raise FrameError("the header must be a map")
    _check(header, 1)
    if "type" not in header:
        raise FrameError("type is missing")
    return Frame(header, view[4 + length :])


def read_observation(frame: Frame) -> Observation:
    """The observation in an ``obs_response``, ``reset_response`` or ``step_response``."""
    header = frame.header
    proprios = {}
    for entry in _entries(header.get("proprios", []), "proprios"):
        name = _text(entry, "name", "proprio")
        proprios[name] = _flat(entry, frame.payload, f"proprio {name!r}")
    return Observation(
        timestamp=_number(header, "timestamp", "the observation"),
        cameras=[_camera(entry, frame.payload) for entry in _entries(_need(header, "cameras", "header"), "cameras")],
        proprios=proprios,
        extra=read_map(frame, "extra"),
    )


def read_step(frame: Frame) -> Step:
    """A ``step_response``."""
    reward = frame.header.get("reward", 0.0)
    if not _is_number(reward):
        raise FrameError("reward must be a number")
    ends = [frame.header.get(name, False) for name in ("terminated", "truncated")]
    if not all(isinstance(end, bool) for end in ends):
        raise FrameError("terminated and truncated must be true or false")
    return Step(read_observation(frame), float(reward), *ends, read_map(frame, "info"))


def read_map(frame: Frame, key: str) -> dict[str, Any]:
    """The map of the application under this key; empty if it is missing."""
    value = frame.header.get(key, {})
    if not isinstance(value, dict):
        raise FrameError(f"{key} must be a map")
    return value


def read_action(frame: Frame) -> Action:
    """An ``apply_action`` or ``action``."""
    array = _array(frame.header, "", frame.payload, 0, len(frame.payload), "action")
    stamps = read_map(frame, "obs_timestamps")
    return Action(array, {name: float(stamp) for name, stamp in stamps.items() if _is_number(stamp)})


def _check(value: Any, depth: int) -> None:
    """Refuses keys that are not text, and what is nested too deeply."""
    if depth > MAX_DEPTH:
        raise FrameError(f"header: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise FrameError("header: keys must be text")
        value = value.values()
    elif not isinstance(value, list):
        return
    for inner in value:
        _check(inner, depth + 1)


def _need(entry: Mapping[str, Any], key: str, owner: str) -> Any:
    if key not in entry:
        raise FrameError(f"{owner}: {key} is missing")
    return entry[key]


def _text(entry: Mapping[str, Any], key: str, owner: str) -> str:
    value = _need(entry, key, owner)
    if not isinstance(value, str):
        raise FrameError(f"{owner}: {key} must be text")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(entry: Mapping[str, Any], key: str, owner: str) -> float:
    value = _need(entry, key, owner)
    if not _is_number(value):
        raise FrameError(f"{owner}: {key} must be a number")
    return float(value)


def _size(entry: Mapping[str, Any], key: str, owner: str) -> int:
    value = _need(entry, key, owner)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FrameError(f"{owner}: {key} must be an integer that is not negative")
    return value


def _entries(value: Any, key: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise FrameError(f"{key} must be an array of maps")
    return value


def _matrix(entry: Mapping[str, Any], key: str, side: int, owner: str) -> NDArray[np.float64]:
    values = _need(entry, key, owner)
    if not isinstance(values, list) or len(values) != side * side or not all(map(_is_number, values)):
        raise FrameError(f"{owner}: {key} must have {side * side} numbers")
    return np.array(values, np.float64).reshape(side, side)


def _camera(entry: Mapping[str, Any], payload: memoryview) -> Camera:
    name = _text(entry, "name", "camera")
    owner = f"camera {name!r}"

    def pixels(kind: str) -> NDArray[Any]:
        return _array(
            entry,
            f"{kind}_",
            payload,
            _size(entry, f"{kind}_offset", owner),
            _size(entry, f"{kind}_size", owner),
            owner,
        )

    return Camera(
        name=name,
        timestamp=_number(entry, "timestamp", owner) if "timestamp" in entry else 0.0,
        intrinsics=_matrix(entry, "intrinsics", 3, owner),
        extrinsics=_matrix(entry, "extrinsics", 4, owner),
        image=pixels("image"),
        depth=pixels("depth") if "depth_shape" in entry else None,
    )


def _dtype(entry: Mapping[str, Any], key: str, owner: str) -> np.dtype[Any]:
    name = _text(entry, key, owner)
    if name not in DTYPES:
        raise FrameError(f"{owner}: {key}: {name!r} is no element type")
    return DTYPES[name]


def _array(
    entry: Mapping[str, Any], prefix: str, payload: memoryview, offset: int, size: int, owner: str
) -> NDArray[Any]:
    shape = _need(entry, f"{prefix}shape", owner)
    dtype = _dtype(entry, f"{prefix}dtype", owner)
    if not isinstance(shape, list) or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise FrameError(f"{owner}: {prefix}shape must be an array of integers that are not negative")
    if len(shape) > MAX_DIMENSIONS:
        raise FrameError(f"{owner}: {prefix}shape has more than {MAX_DIMENSIONS} dimensions")
    needed = math.prod(shape) * dtype.itemsize
    if size != needed:
        raise FrameError(f"{owner}: {size} bytes, but {prefix}shape and {prefix}dtype need {needed}")
    return _view(shape, dtype, payload, offset, size, owner)


def _flat(entry: Mapping[str, Any], payload: memoryview, owner: str) -> NDArray[Any]:
    dtype = _dtype(entry, "dtype", owner)
    size = _size(entry, "size", owner)
    if size % dtype.itemsize:
        raise FrameError(f"{owner}: {size} bytes are no multiple of the item size {dtype.itemsize}")
    return _view([size // dtype.itemsize], dtype, payload, _size(entry, "offset", owner), size, owner)


def _view(
    shape: list[int], dtype: np.dtype[Any], payload: memoryview, offset: int, size: int, owner: str
) -> NDArray[Any]:
    if offset + size > len(payload):
        raise FrameError(f"{owner}: {size} bytes at {offset} lie outside of a payload of {len(payload)}")
    try:
        return np.ndarray(shape, dtype, payload[offset : offset + size])
    except ValueError as error:  # A dimension that this machine cannot count, beside one of zero.
        raise FrameError(f"{owner}: {error}") from error


# --- writing


def write_frame(header: Mapping[str, Any], payload: Iterable[Any] = (), *, cpp: bool = False) -> bytes:
    """A whole message. The payload is any number of buffers, each C contiguous, one after the other."""
    packed = _pack_cpp(header) if cpp else pack(header)
    return b"".join((struct.pack("<I", len(packed)), packed, *payload))


def write_observation(kind: str, obs: Observation, tail: Mapping[str, Any], *, cpp: bool = False) -> bytes:
    """A reply of this type with an observation, and behind it what else the reply has."""
    payload = _Payload()
    cameras = [_camera_entry(camera, payload) for camera in obs.cameras]
    proprios = []
    for name, values in obs.proprios.items():
        offset, size = payload.add(_wire(values, np.float32))
        proprios.append({"name": name, "dtype": "float32", "offset": offset, "size": size})
    header: dict[str, Any] = {"type": kind, "timestamp": float(obs.timestamp)}
    if cpp:
        header |= {"extra": {}, "cameras": cameras, "proprios": proprios}
    else:
        header |= {"cameras": cameras, "proprios": proprios, "extra": obs.extra}
    return write_frame(header | dict(tail), payload.parts, cpp=cpp)


def step_tail(step: Step, *, cpp: bool = False) -> dict[str, Any]:
    """What a ``step_response`` has behind its observation; rewards are float32 in C++."""
    return {
        "reward": float(np.float32(step.reward) if cpp else step.reward),
        "terminated": bool(step.terminated),
        "truncated": bool(step.truncated),
        "info": step.info,
    }


def write_action(kind: str, array: ArrayLike, obs_timestamps: Stamps) -> bytes:
    """An ``apply_action``, or an ``action`` for coupled servers."""
    values = _wire(array, np.float32)
    header = {
        "type": kind,
        "shape": list(values.shape),
        "dtype": "float32",
        "obs_timestamps": {name: float(stamp) for name, stamp in obs_timestamps.items()},
    }
    return write_frame(header, [values.data if values.size else b""])


def pack(value: Any) -> bytes:
    """The canonical msgpack of a value; numpy's scalars and arrays may be in it."""
    return msgpack.packb(value, default=_plain)


class _Payload:
    def __init__(self) -> None:
        self.parts: list[Any] = []
        self._end = 0

    def add(self, array: NDArray[Any]) -> tuple[int, int]:
        """Puts the array behind the others; returns its offset and size."""
        offset = self._end
        if array.size:
            self.parts.append(array.data)
            self._end += array.nbytes
        return offset, array.nbytes


def _camera_entry(camera: Camera, payload: _Payload) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": camera.name,
        "timestamp": float(camera.timestamp),
        "intrinsics": _numbers(camera.intrinsics, 9),
        "extrinsics": _numbers(camera.extrinsics, 16),
    }
    for kind, array in (("image", camera.image), ("depth", camera.depth)):
        if array is None:
            continue
        array = _wire(array, array.dtype)
        offset, size = payload.add(array)
        entry |= {
            f"{kind}_shape": list(array.shape),
            f"{kind}_dtype": array.dtype.name,
            f"{kind}_offset": offset,
            f"{kind}_size": size,
        }
    return entry


def _wire(array: ArrayLike, dtype: Any) -> NDArray[Any]:
    """The array as it crosses the wire: little endian, in C order. Copies only if it is not."""
    name = np.dtype(dtype).name
    if name not in DTYPES:
        raise ValueError(f"{name} is no element type of the wire")
    return np.asarray(array, DTYPES[name], order="C")


def _numbers(matrix: ArrayLike, count: int) -> list[float]:
    numbers = np.asarray(matrix, np.float64).ravel().tolist()
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers where {count} are needed")
    return numbers


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot cross the wire")


def _pack_cpp(header: Mapping[str, Any]) -> bytes:
    """As the C++ generation does: whole numbers as integers, and other rewards as float32."""
    packer, single = msgpack.Packer(autoreset=True), msgpack.Packer(use_single_float=True)
    parts = [packer.pack_map_header(len(header))]
    for key, value in header.items():
        value = _whole(value)
        parts += [packer.pack(key), (single if key == "reward" else packer).pack(value)]
    return b"".join(parts)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return value
