"""Holds a broker, or a robot, against this implementation; prints a line per thing that is as it should be.

python -m waldo_hosted.check broker URL KEY EMAIL PASSWORD
python -m waldo_hosted.check robot        prints a URL and a key; then start the robot with them
"""

import asyncio
import json
import sys
import time

from . import Operator, Robot, lcm
from .broker import BrokerError
from .rehearsal import KEY, Rehearsal

DRIVES = 40


async def until(what, is_so, patience=20.0):
    try:
        async with asyncio.timeout(patience):
            while not is_so():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


async def meet(url, key, email, password, generation, video, microphone):
    """One robot and one operator, from registration to leaving."""
    name = f"python-{generation}"
    async with Robot(url, key, name, kind="go2", robot_id=name, generation=generation) as robot:
        sections = robot.answer.split("m=")[1:]
        assert all("a=candidate:" in section for section in sections), "each section of the answer has candidates"
        await until("the channel of id 0 opens", lambda: robot.init.readyState == "open")
        async with Operator(url, email, password) as operator:
            listed = await operator.robot(name)
            assert (listed["state"], listed["robot_type"], listed["operator_id"]) == ("idle", "go2", None), listed
            await operator.join(listed, video=video, microphone=microphone)
            numbers = [operator.bridged[number] for number in operator.bridged if number.endswith("channel_id")]
            assert len(set(numbers)) == 4 and all(16 <= number <= 1023 for number in numbers), numbers
            await until("the robot opens its channels", lambda: len(robot.channels) == len(robot.labels))
            await until("they open", lambda: all(c.readyState == "open" for c in robot.channels.values()))
            await operator.synchronise()
            assert abs(operator.offset) < 0.5, operator.offset
            for i in range(DRIVES):
                operator.twist((i / 100, 0.0, 0.0))
                operator.joy("right", primary=True, trigger=0.5)
                await asyncio.sleep(0.02)
            twists = lambda: [m for _, m in robot.commands if m[0] == "TwistStamped"]
            await until("all commands arrive", lambda: len(twists()) == DRIVES)
            assert sorted(m[1][0][0] for m in twists()) == list(range(1, DRIVES + 1))
            late = [at - lcm.stamp(message) for at, message in robot.commands]
            assert all(-0.05 < age < 0.5 for age in late), (min(late), max(late))
            operator.say("light", brightness=0.5, nonce="n-1")
            ack = await operator.answer(lambda m: m.get("nonce") == "n-1")
            assert ack == {"type": "cmd_ack", "nonce": "n-1", "ok": True}, ack
            assert all(kind == "str" for kind, _ in robot.states), "text stays text"
            if generation == "b":
                robot.tell("map_unreliable", {"type": "odom", "x": 1.0, "y": 2.0, "yaw": 0.5, "ts": time.time()})
                await operator.answer(lambda m: m.get("type") == "odom")
            acks = [kind for _, kind, m in operator.told if m.get("type") == "cmd_ack"]
            assert acks == ["bytes"], "binary stays binary"
            await until("the operator sees pictures", lambda: operator.pictures > 20)
            if microphone:
                await until("the robot hears the operator", lambda: robot.heard > 20)
            first = dict(robot.numbers)
            await operator.bridge()
            assert robot.init.readyState == "open", "the channel of id 0 stays open"
            await until("a new bridge has new ids", lambda: all(robot.numbers[n] != first[n] for n in first))
            await until("channels open again", lambda: all(c.readyState == "open" for c in robot.channels.values()))
            pictures = operator.pictures
            await until("video goes on", lambda: operator.pictures > pictures + 10)
        await until("the robot learns that the operator left", lambda: robot.losses == 1)
        assert all(number is None for number in robot.numbers.values()), robot.numbers
    print(f"generation {generation}: {DRIVES} of {DRIVES} commands, acks, pictures, new ids, the end", flush=True)


async def refusals(url, key, email, password):
    """What a broker must not do."""
    for bad, status in [("", 401), ("dtk_live_" + "0" * 40, 401)]:
        try:
            async with Robot(url, bad, "stranger"):
                raise AssertionError("a stranger's robot was registered")
        except BrokerError as error:
            assert (error.status, error.detail) == (status, "Invalid robot credentials") or not bad, error
    async with Robot(url, key, "first", robot_id="same") as first:
        async with Robot(url, key, "second", robot_id="same"):
            await until("the first one is told", lambda: getattr(first, "trouble", None) is not None)
            assert first.trouble.status == 404, first.trouble
            async with Operator(url, email, password) as operator:
                await operator.robot("second")
                listed = await operator.broker.call("GET", "/sessions")
                assert not [robot for robot in listed if robot["robot_name"] == "first"], listed
                session = listed[0]["session_id"]
                try:
                    await operator.broker.call("POST", f"/sessions/{session}/bridge-datachannel")
                    raise AssertionError("a bridge without a claim")
                except BrokerError as error:
                    assert (error.status, error.detail) == (403, "Not the bound operator"), error
    print("strangers, a second robot of one name, a bridge without a claim: refused", flush=True)


async def broker(url, key, email, password):
    who = (url, key, email, password)
    await meet(*who, generation="b", video=True, microphone=True)
    await meet(*who, generation="a", video=True, microphone=False)
    # The smallest operator: its offer has the data channels alone, so video comes by an offer of the broker.
    await meet(*who, generation="b", video=False, microphone=False)
    await refusals(*who)


async def robot():
    """A robot's own program, which is started with the address and key that this prints."""
    async with Rehearsal() as rehearsal:
        print(json.dumps({"url": rehearsal.url, "key": KEY}), flush=True)
        async with asyncio.timeout(60):
            await rehearsal.registered.wait()
        assert rehearsal.calls[:2] == [("GET", "/api/v1/sessions/turn-credentials"), ("POST", "/api/v1/sessions")]
        media = [line.split()[0] for line in rehearsal.robot["sdp_offer"].splitlines() if line.startswith("m=")]
        assert media == ["m=video", "m=audio", "m=application"], media
        await rehearsal.bridge()
        await until("pictures arrive", lambda: rehearsal.pictures > 10)
        print("registered, bridged, pictures", flush=True)
        before = time.time()
        rehearsal.say("ping", client_ts=before)
        label, kind, pong = await rehearsal.told_that(lambda m: m.get("type") == "pong")
        assert (label, kind, pong["client_ts"]) == ("state_reliable_back", "str", before), (label, kind, pong)
        assert abs(pong["robot_ts"] - before) < 1, pong
        _, kind, telemetry = await rehearsal.told_that(lambda m: m.get("type") == "robot_telemetry")
        assert kind == "bytes" and telemetry["state"]["estopped"] is False, telemetry
        place = lambda: [m for _, _, m in rehearsal.told if m.get("type") == "odom"][-1]
        await rehearsal.told_that(lambda m: m.get("type") == "odom")
        start = place()
        for _ in range(100):
            rehearsal.twist((0.5, 0.0, 0.0))
            await asyncio.sleep(0.02)
        moved = place()["x"] - start["x"]
        assert moved > 0.1, f"two seconds at 0.5 m/s moved it by {moved} m"
        _, _, telemetry = await rehearsal.told_that(lambda m: m.get("type") == "robot_telemetry" and m["cmd"])
        assert 30 < telemetry["cmd"]["rate_hz"] < 70, telemetry
        print("clock, telemetry, odometry; it drives", flush=True)
        rehearsal.say("estop", nonce=7)
        ack = await rehearsal.told_that(lambda m: m.get("type") == "cmd_ack" and m["nonce"] == 7)
        assert ack[2]["ok"] is True, ack
        await asyncio.sleep(1)
        start = place()
        for _ in range(50):
            rehearsal.twist((0.5, 0.0, 0.0))
            await asyncio.sleep(0.02)
        assert abs(place()["x"] - start["x"]) < 0.01, "a stopped robot drives"
        rehearsal.say("estop_clear", nonce=8)
        await rehearsal.told_that(lambda m: m.get("type") == "cmd_ack" and m["nonce"] == 8)
        print("stopped, and holds still until it is cleared", flush=True)
        beats = [at for at, _ in rehearsal.beats]
        assert len(beats) > 3 and (beats[-1] - beats[0]) / (len(beats) - 1) < 1.5, beats
        rehearsal.let_go()
        sys.stdin.readline()
        async with asyncio.timeout(20):
            await rehearsal.gone.wait()
        print("it said goodbye", flush=True)


match sys.argv[1:]:
    case ["broker", url, key, email, password]:
        asyncio.run(broker(url, key, email, password))
    case ["robot"]:
        asyncio.run(robot())
    case _:
        sys.exit(__doc__)
