"""The few LCM types that go over the wire; fingerprints are computed from their declarations.

A message is (type name, tuple of its fields), nested types being tuples too:
("PoseStamped", ((seq, (sec, nsec), frame_id), ((x, y, z), (qx, qy, qz, qw)))).
"""

import struct

PRIMITIVES = {"int32_t": ">i", "float": ">f", "double": ">d", "boolean": ">?"}

# name -> [(type, member, size expression of a variable array or None)]
TYPES = {
    "Time": [("int32_t", "sec", None), ("int32_t", "nsec", None)],
    "Header": [("int32_t", "seq", None), ("Time", "stamp", None), ("string", "frame_id", None)],
    "Vector3": [("double", axis, None) for axis in "xyz"],
    "Quaternion": [("double", axis, None) for axis in "xyzw"],
    "Pose": [("Vector3", "position", None), ("Quaternion", "orientation", None)],
    "Twist": [("Vector3", "linear", None), ("Vector3", "angular", None)],
    "PoseStamped": [("Header", "header", None), ("Pose", "pose", None)],
    "TwistStamped": [("Header", "header", None), ("Twist", "twist", None)],
    "Joy": [
        ("int32_t", "axes_length", None),
        ("int32_t", "buttons_length", None),
        ("Header", "header", None),
        ("float", "axes", "axes_length"),
        ("int32_t", "buttons", "buttons_length"),
    ],
}
ALL = (1 << 64) - 1


def _mix(value, step):
    signed = value - (1 << 64) if value >> 63 else value
    return ((((value << 8) & ALL) ^ ((signed >> 55) & ALL)) + step) & ALL


def _text(value, text):
    data = text.encode()
    value = _mix(value, len(data))
    for byte in data:
        value = _mix(value, byte)
    return value


def fingerprint(name):
    value = 0x12345678
    nested = 0
    for kind, member, size in TYPES[name]:
        value = _text(value, member)
        if kind in TYPES:
            nested += fingerprint(kind)
        else:
            value = _text(value, kind)
        value = _mix(value, 0 if size is None else 1)
        if size is not None:
            value = _text(_mix(value, 1), size)
    value = (value + nested) & ALL
    return ((value << 1) | (value >> 63)) & ALL


FINGERPRINTS = {fingerprint(name): name for name in ("PoseStamped", "TwistStamped", "Joy")}


def _write(kind, value, out):
    if kind in TYPES:
        for (member_kind, _, size), member in zip(TYPES[kind], value, strict=True):
            for item in [member] if size is None else member:
                _write(member_kind, item, out)
    elif kind == "string":
        data = value.encode()
        out += struct.pack(">I", len(data) + 1) + data + b"\0"
    else:
        out += struct.pack(PRIMITIVES[kind], value)


def _read(kind, data, at):
    if kind in TYPES:
        members = {}
        for member_kind, member, size in TYPES[kind]:
            if size is None:
                members[member], at = _read(member_kind, data, at)
                continue
            items = []
            for _ in range(members[size]):
                item, at = _read(member_kind, data, at)
                items.append(item)
            members[member] = tuple(items)
        return tuple(members.values()), at
    if kind == "string":
        (length,) = struct.unpack_from(">I", data, at)
        return data[at + 4 : at + 3 + length].decode(), at + 4 + length
    (value,) = struct.unpack_from(PRIMITIVES[kind], data, at)
    return value, at + struct.calcsize(PRIMITIVES[kind])


def encode(name, value):
    out = bytearray(struct.pack(">Q", fingerprint(name)))
    _write(name, value, out)
    return bytes(out)


def decode(data):
    """(type name, fields), or None for a type that is not known here."""
    name = FINGERPRINTS.get(int.from_bytes(data[:8], "big"))
    return name and (name, _read(name, data, 8)[0])


def header(frame_id, stamp, seq=0):
    seconds = int(stamp)
    return (seq, (seconds, int((stamp - seconds) * 1e9)), frame_id)


def stamp(message):
    """The stamp of a decoded message, in seconds."""
    name, fields = message
    _, (seconds, nanoseconds), _ = fields[2] if name == "Joy" else fields[0]
    return seconds + nanoseconds / 1e9
