"""Hears an LCM network with LCM's own library, and reads it with types that LCM's own generator made of types.lcm.

python -m waldo_hosted.listen URL COUNT     prints `ready`, then a line of JSON for each of so many messages
"""

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import lcm

FOLDER = Path(__file__).parent


def generated(folder):
    """The package of generated types."""
    program = Path(sys.executable).parent / "lcm-gen"
    subprocess.run([program, "-p", "--ppath", folder, FOLDER / "types.lcm"], check=True)
    sys.path.insert(0, folder)
    return importlib.import_module("waldo_lcm")


def plain(value):
    """A message as numbers, texts, lists and objects."""
    if hasattr(value, "__slots__"):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def read(types, data):
    for name in ("PoseStamped", "TwistStamped", "Twist", "Joy"):
        kind = getattr(types, name)
        if data[:8] == kind._get_packed_fingerprint():
            return {"type": name, "message": plain(kind.decode(data))}
    return {"type": None, "size": len(data), "sum": sum(data)}


def main(url, count):
    with tempfile.TemporaryDirectory() as folder:
        types = generated(folder)
        network = lcm.LCM(url)
        heard = []
        network.subscribe(".*", lambda channel, data: heard.append((channel, data)))
        print("ready", flush=True)
        while len(heard) < count:
            if not network.handle_timeout(30_000):
                sys.exit(f"only {len(heard)} messages came")
        for channel, data in heard[:count]:
            print(json.dumps({"channel": channel, **read(types, data)}), flush=True)


main(sys.argv[1], int(sys.argv[2]))
