"""The scene as a client knows it: whole frames, and what changes in between."""

import struct

IDS = {"arms": "arm_id", "meshes": "mesh_id", "overlay_points": "overlay_id", "spheres": "sphere_id"}


class Scene(dict):
    """The payload of the newest `scene_state`, with every change since then."""

    def __init__(self):
        super().__init__()
        self.arm_table = []
        self.frames = {"full": 0, "delta": 0, "binary": 0}

    def full(self, payload):
        """A `scene_state`. A static mesh that came before has no data here: it keeps what it had."""
        self.frames["full"] += 1
        known = self.get("meshes", {})
        for name, mesh in payload["meshes"].items():
            if "asset_uri" not in mesh:
                mesh["asset_uri"] = known[name]["asset_uri"]
        self.clear()
        self.update(payload)
        self.arm_table = payload.get("arm_table", [])

    def delta(self, payload):
        """A `scene_delta`: first what is gone, then what changed."""
        self.frames["delta"] += 1
        for kind, names in payload.get("removed", {}).items():
            for name in names:
                self[kind].pop(name, None)
        for kind in ("arms", "meshes", "overlay_points", "spheres"):
            for name, change in payload.get(kind, {}).items():
                self[kind].setdefault(name, {IDS[kind]: name}).update(change)
        for kind in ("scenery", "user_arms"):
            self[kind].update(payload.get(kind, {}))
        for kind in ("timestamp", "haptics", "people", "input_ack", "clamped"):
            if kind in payload:
                self[kind] = payload[kind]

    def binary(self, data):
        """Arms that moved, as `scene-bin/1` has them."""
        self.frames["binary"] += 1
        magic, _, timestamp, count = struct.unpack_from("<4sIdH", data)
        assert magic == b"VFS1", magic
        self["timestamp"] = timestamp
        at = 18

        def take(form):
            nonlocal at
            values = struct.unpack_from(form, data, at)
            at += struct.calcsize(form)
            return values

        for _ in range(count):
            index, flags, _, nodes = take("<HBBH")
            arm = self["arms"][self.arm_table[index]]
            points = take(f"<{3 * nodes}f")
            arm["centerline"] = [list(points[i : i + 3]) for i in range(0, len(points), 3)]
            tip = take("<7f")
            arm["tip"] = {"translation": list(tip[:3]), "rotation_xyzw": list(tip[3:])}
            if flags & 1:
                arm["radii"] = list(take(f"<{nodes - 1}f"))
            if flags & 2:
                turns = take(f"<{4 * (nodes - 1)}h")
                arm["directors"] = [director(turns[i : i + 4]) for i in range(0, len(turns), 4)]
        assert at == len(data), f"{len(data) - at} bytes too many"


def director(turn):
    """Rows normal, binormal, tangent of the transposed rotation of a quaternion x, y, z, w."""
    norm = sum(v * v for v in turn) ** 0.5
    x, y, z, w = (v / norm for v in turn)
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
        [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
        [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
    ]
