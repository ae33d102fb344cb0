"""Plays users, spectators and publishers against a field of pass-through arms, and checks what it sees.

    python -m waldo_field.check ws://127.0.0.1:8765

Everything is computed here again from the description of the wire.
"""

import asyncio
import base64
import math
import sys

from .client import FieldClient, FieldError

KEYS = {"timestamp", "arms", "scenery", "user_arms", "meshes", "overlay_points", "spheres", "haptics"}


class Filter:
    """What becomes of the positions of one hand."""

    def __init__(self):
        self.state = None

    def __call__(self, at):
        before = self.state or at
        self.state = tuple(max(-2.0, min(2.0, b + 0.25 * (a - b))) for b, a in zip(before, at))
        return self.state


def near(a, b, by=1e-9):
    return len(a) == len(b) and all(math.isclose(x, y, abs_tol=by) for x, y in zip(a, b))


def tip(scene, arm):
    return scene["arms"][arm]["tip"]["translation"]


async def refused(reason, asking):
    try:
        await asking
    except FieldError as error:
        assert str(error) == reason, str(error)
    else:
        raise AssertionError(f"not refused: {reason}")


async def users_drive_their_own_arms(url):
    async with (
        FieldClient(url, "vr_client", character_mode="two-cr", user_id="amy") as amy,
        FieldClient(url, "vr_client", character_mode="cathy-foraging", user_id="bob") as bob,
        FieldClient(url) as viewer,
    ):
        assert amy.ack["arm_ids"] == amy.ack["controlled_arm_ids"] == ["amy_arm_0", "amy_arm_1"]
        assert len(bob.ack["arm_ids"]) == 8 and bob.manifest["arms"]["bob_arm_3"]["color"] == "#8c73fa"
        assert viewer.ack["arm_ids"] == [] and viewer.manifest["arms"] == {}
        left, right = Filter(), Filter()
        for n in range(30):
            at = (-0.3 + 0.01 * n, 1.1 + 0.005 * n, 0.2 + 0.01 * n)
            mirrored = (-at[0], at[1], at[2])
            await amy.hands(n / 30, left=at, right=mirrored)
            await bob.hands(n / 30, left=mirrored)
            wanted = left(at), right(mirrored)
            await asyncio.sleep(0.02)
        scene = await viewer.until(lambda scene: near(tip(scene, "amy_arm_0"), wanted[0]))
        assert set(scene) == KEYS, set(scene)
        assert near(tip(scene, "amy_arm_1"), wanted[1])
        assert near(tip(scene, "bob_arm_0"), wanted[1])
        arm = scene["arms"]["amy_arm_0"]
        base, top = arm["base"]["translation"], arm["tip"]["translation"]
        assert near(arm["centerline"][1], [(b + t) / 2 for b, t in zip(base, top)])
        assert scene["user_arms"]["amy"] == ["amy_arm_0", "amy_arm_1"]
        await refused("user_id already in use", FieldClient(url, "vr_client", character_mode="two-cr", user_id="amy").__aenter__())
        # Hands that are not gripped move nothing; a reset begins anew.
        await amy.hands(2.0, left=(1, 1, 1), grip=0.3999)
        reset = await amy.ask("reset")
        assert reset == {"reset": True, "user_id": "amy", "arm_ids": ["amy_arm_0", "amy_arm_1"],
                         "controlled_arm_ids": ["amy_arm_0", "amy_arm_1"]}, reset
        await viewer.until(lambda scene: near(tip(scene, "amy_arm_0"), (-0.15, 1.0, 0.25)))
    async with FieldClient(url) as viewer:
        await viewer.until(lambda scene: not scene["user_arms"] and not scene["arms"])


async def publishers_own_what_they_bring(url):
    data = base64.b64encode(b"glTF" + bytes(1000)).decode()
    async with FieldClient(url) as viewer:
        async with (
            FieldClient(url, "publisher", owner_id=" rig ") as rig,
            FieldClient(url, "publisher", ext=["acks/1"]) as other,
        ):
            assert rig.ack["owner_id"] == "rig" and other.ack["owner_id"].startswith("publisher_")
            ack = await rig.ask("add_mesh", mesh_id="crate", mesh_data_b64=data, static_asset=True)
            assert ack == {"owner_id": "rig", "mesh_id": "crate", "status": "added"}, ack
            ack = await rig.ask("update_overlay_points", overlay_id="scan", points=[[0, 1, 2]], point_size=0.02)
            assert ack == {"owner_id": "rig", "overlay_id": "scan", "status": "updated"}, ack
            await refused("mesh not found or ownership mismatch for update",
                          other.ask("update_mesh_transform", mesh_id="crate", visible=False))
            ack = await other.ask("remove_mesh", mesh_id="crate")
            assert ack["status"] == "removed" and ack["changed"] is False, ack
            ack = await rig.ask("update_mesh_transform", mesh_id="crate", translation=[0.5, 0, -1])
            assert ack["status"] == "updated", ack
            scene = await viewer.until(lambda scene: scene["meshes"].get("crate", {}).get("translation") == [0.5, 0, -1])
            mesh = scene["meshes"]["crate"]
            assert mesh["asset_uri"] == f"data:model/gltf-binary;base64,{data}" and mesh["owner_id"] == "rig"
            assert scene["overlay_points"]["scan"]["points"] == [[0, 1, 2]]
            await refused("scale must have size 3, got 2", rig.ask("add_mesh", mesh_id="m", mesh_data_b64="AAAA", scale=[1, 1]))
        await viewer.until(lambda scene: not scene["meshes"] and not scene["overlay_points"])


async def extensions_are_what_they_are_described_as(url):
    async with (
        FieldClient(url, "vr_client", character_mode="two-cr", user_id="eve", deadman_s=0.2,
                    ext=["deadman/1", "input-seq/1", "limits/1", "acks/1"]) as eve,
        FieldClient(url) as plain,
        FieldClient(url, ext=["scene-delta/1", "people/1"]) as changes,
        FieldClient(url, ext=["scene-bin/1"]) as binary,
    ):
        assert eve.ack["limits"]["max_input_hz"] == 120 and set(eve.ack["ext"]) >= {"deadman/1", "input-seq/1"}
        hand = Filter()
        for n in range(40):
            at = (0.01 * n, 1.2, 0.3)
            await eve.hands(n / 60, left=at, seq=n)
            wanted = hand(at)
            await asyncio.sleep(1 / 60)
        scene = await eve.until(lambda scene: scene.get("input_ack", {}).get("seq") == 39)
        assert scene["input_ack"]["lost"] == 0 and scene["input_ack"]["age_ms"] >= 0
        for viewer, by in ((plain, 1e-9), (changes, 1e-9), (binary, 1e-6)):
            scene = await viewer.until(lambda scene: near(tip(scene, "eve_arm_0"), wanted, by))
            assert set(scene["arms"]["eve_arm_0"]) >= {"arm_id", "owner_user_id", "base", "tip", "centerline", "radii"}
        assert changes.scene.frames["delta"] > changes.scene.frames["full"], changes.scene.frames
        assert binary.scene.frames["binary"] > binary.scene.frames["full"], binary.scene.frames
        assert plain.scene.frames["delta"] == plain.scene.frames["binary"] == 0
        # Heartbeats do not keep the command alive.
        for _ in range(10):
            await eve.send("heartbeat")
            await asyncio.sleep(0.05)
        error = (await eve.answer())["payload"]
        assert error == {"reason": "input timeout", "code": "deadman"}, error
        await changes.until(lambda scene: "eve" not in scene.get("people", {}))


async def main(url):
    for check in (
        users_drive_their_own_arms,
        publishers_own_what_they_bring,
        extensions_are_what_they_are_described_as,
    ):
        await asyncio.wait_for(check(url), 60)
        print(check.__name__, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
