"""The vectors, and the client with the server. ``python -m unittest`` in this folder runs them."""

from __future__ import annotations

import json
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from waldo_policy import ConnectionLost, FrameError, PolicyClient, PolicyError, ReplyTimeout, frames, messages
from waldo_policy.check import recode
from waldo_policy.example import EXTRINSICS, INTRINSICS, ExampleRobot
from waldo_policy.server import PolicyServer, _free_port, serve_websocket, serve_zenoh

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "policy.json").read_text("utf-8"))


def with_frames(direction: str) -> list[dict]:
    return [entry for entry in VECTORS if entry["direction"] == direction and "hex" in entry]


class Vectors(unittest.TestCase):
    def test_every_exact_vector_is_written_as_it_was_read(self) -> None:
        exact = [entry for entry in VECTORS if entry["expect"].get("encode_exact") is True]
        self.assertEqual(len(exact), 25)
        for entry in exact:
            with self.subTest(entry["name"]):
                self.assertEqual(recode(bytes.fromhex(entry["hex"])).hex(), entry["hex"])

    def test_frames_of_the_cpp_generation_are_written_as_it_does(self) -> None:
        for name in ("cpp_reset_response", "cpp_legacy_step_response"):
            (entry,) = (entry for entry in VECTORS if entry["name"] == name)
            self.assertEqual(recode(bytes.fromhex(entry["hex"]), cpp=True).hex(), entry["hex"])

    def test_frames_of_clients_are_read_or_refused(self) -> None:
        entries = with_frames("c2s")
        self.assertEqual(len(entries), 40)
        for entry in entries:
            with self.subTest(entry["name"]):
                self._read(entry, self._client_frame)

    def test_frames_of_servers_are_read_or_refused(self) -> None:
        entries = with_frames("s2c")
        self.assertEqual(len(entries), 27)
        for entry in entries:
            with self.subTest(entry["name"]):
                self._read(entry, self._server_frame)

    def _read(self, entry: dict, check) -> None:
        data, expect = bytes.fromhex(entry["hex"]), entry["expect"]
        if expect["decode"] == "ok":
            check(frames.read_frame(data), expect)
        else:
            with self.assertRaises(FrameError) as raised:
                check(frames.read_frame(data), expect)
            self.assertTrue(str(raised.exception))

    def _client_frame(self, frame: messages.Frame, expect: dict) -> None:
        if "type" in expect:
            self.assertEqual(frame.type, expect["type"])
        if frame.type not in ("apply_action", "action"):
            return
        action = frames.read_action(frame)
        if "action" in expect:
            self.assertEqual(list(action.array.shape), expect["action"]["shape"])
            self.assertEqual(action.array.dtype.name, expect["action"]["dtype"])
            self.assertEqual(action.array.ravel().tolist(), expect["action"]["values"])
            self.assertEqual(action.obs_timestamps, expect["obs_timestamps"])

    def _server_frame(self, frame: messages.Frame, expect: dict) -> None:
        self.assertEqual(frame.type, expect.get("type", frame.type))
        if "cameras" not in frame.header:
            return
        obs = frames.read_observation(frame)
        self.assertEqual(obs.timestamp, expect["timestamp"])
        self.assertEqual(obs.extra, expect["extra"])
        self.assertEqual(list(obs.proprios), list(expect["proprios"]))
        for name, proprio in expect["proprios"].items():
            self.assertEqual(obs.proprios[name].dtype.name, proprio["dtype"])
            self.assertEqual(obs.proprios[name].tolist(), proprio["values"])
        self.assertEqual(len(obs.cameras), len(expect["cameras"]))
        for camera, wanted in zip(obs.cameras, expect["cameras"]):
            self.assertEqual((camera.name, camera.timestamp), (wanted["name"], wanted["timestamp"]))
            self.assertEqual(camera.intrinsics.ravel().tolist(), wanted["intrinsics"])
            self.assertEqual(camera.extrinsics.ravel().tolist(), wanted["extrinsics"])
            self._array(camera.image, wanted["image"])
            if wanted.get("depth") is None:
                self.assertIsNone(camera.depth)
            else:
                self._array(camera.depth, wanted["depth"])
        if frame.type == "step_response":
            step = frames.read_step(frame)
            for key in ("reward", "terminated", "truncated", "info"):
                self.assertEqual(getattr(step, key), expect[key])

    def _array(self, array: np.ndarray, wanted: dict) -> None:
        self.assertEqual(list(array.shape), wanted["shape"])
        self.assertEqual(array.dtype.name, wanted["dtype"])
        if "hex" in wanted:
            self.assertEqual(array.tobytes().hex(), wanted["hex"])
        if "values" in wanted:
            self.assertEqual(array.ravel().tolist(), wanted["values"])


class Encoding(unittest.TestCase):
    def test_pictures_are_not_copied(self) -> None:
        data = frames.write_observation("obs_response", ExampleRobot(8, 6).get_obs(), {})
        camera = frames.read_observation(frames.read_frame(data))["wrist_cam"]
        whole = np.frombuffer(data, np.uint8)
        self.assertTrue(np.shares_memory(camera.image, whole))
        self.assertTrue(np.shares_memory(camera.depth, whole))

    def test_arrays_cross_in_c_order_whatever_order_they_had(self) -> None:
        action = np.arange(6, dtype=">f8").reshape(3, 2).T
        read = frames.read_action(frames.read_frame(frames.write_action("apply_action", action, {})))
        np.testing.assert_array_equal(read.array, action)
        self.assertEqual(read.array.dtype, np.float32)

    def test_actions_without_dimensions_and_without_elements_keep_their_shape(self) -> None:
        for array in (np.float32(2.5), np.zeros(0), np.zeros((0, 7)), np.ones((2, 3, 4))):
            read = frames.read_action(frames.read_frame(frames.write_action("action", array, {})))
            self.assertEqual(read.array.shape, np.shape(array))

    def test_cut_frames_are_refused_at_every_byte(self) -> None:
        data = frames.write_observation("obs_response", ExampleRobot(2, 1).get_obs(), {})
        for length in range(len(data)):
            with self.assertRaises(FrameError):
                frames.read_observation(frames.read_frame(data[:length]))

    def test_sizes_that_no_machine_counts_are_refused(self) -> None:
        for shape in ([2**63, 2], [2**62, 0], [1] * 33, [-1], [1.0], 7):
            header = {"type": "action", "shape": shape, "dtype": "float32"}
            with self.assertRaises(FrameError):
                frames.read_action(frames.read_frame(frames.write_frame(header, [b"\0" * 4])))


def serving(generation: str, robot=None, events: list | None = None):
    """A server on a free port, its address, and how to stop it."""
    server = PolicyServer(robot or ExampleRobot(8, 6), generation, (events if events is not None else []).append)
    listener = serve_websocket(server, "127.0.0.1", 0)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    return f"ws://127.0.0.1:{listener.socket.getsockname()[1]}", listener.shutdown


class OverTheWire(unittest.TestCase):
    def serve(self, generation: str, robot=None, events: list | None = None) -> str:
        uri, stop = serving(generation, robot, events)
        self.addCleanup(stop)
        return uri

    def check_observation(self, obs: messages.Observation, moves: int) -> None:
        own = ExampleRobot(8, 6)
        for _ in range(moves):
            own.apply_action(messages.Action(np.ones(7), {}))
        for camera, wanted in zip(obs.cameras, own.get_obs().cameras, strict=True):
            self.assertEqual((camera.name, camera.timestamp), (wanted.name, wanted.timestamp))
            np.testing.assert_array_equal(camera.image, wanted.image)
        np.testing.assert_array_equal(obs["wrist_cam"].depth, own.get_obs()["wrist_cam"].depth)
        np.testing.assert_array_equal(obs["wrist_cam"].intrinsics, INTRINSICS)
        np.testing.assert_array_equal(obs["wrist_cam"].extrinsics, EXTRINSICS)
        self.assertEqual(obs.proprios["last_action"].tolist(), [1.0] * 7 * (moves > 0))

    def test_a_decoupled_robot_observes_and_acts(self) -> None:
        events: list[dict] = []
        with PolicyClient(self.serve("decoupled", events=events)) as robot:
            self.assertEqual(robot.get_metadata()["blob"], b"\x00\x01")
            obs, info = robot.reset()
            self.assertEqual(info, {"episode": 1, "seed": 0.5})
            self.check_observation(obs, 0)
            robot.apply_action(np.ones(7), obs)
            self.check_observation(robot.get_obs(), 1)
            self.assertEqual(robot.generation, "decoupled")
            self.check_observation(robot.step(np.ones(7)).obs, 2)
        self.assertNotIn("ignored", [event["event"] for event in events])

    def test_coupled_robots_step(self) -> None:
        for generation in ("coupled", "cpp"):
            uri = self.serve(generation, ExampleRobot(8, 6, text_only=generation == "cpp"))
            with self.subTest(generation), PolicyClient(uri) as robot:
                obs, info = robot.reset()
                self.assertEqual(info["episode"], "1" if generation == "cpp" else 1)
                self.check_observation(obs, 0)
                for move in range(1, 6):
                    step = robot.step(np.ones((1, 7)))
                    self.check_observation(step.obs, move)
                    self.assertAlmostEqual(step.reward, 0.3 * move, places=6)
                    self.assertEqual(step.terminated, move == 5)
                self.assertIs(robot.get_obs(), step.obs)
                robot.apply_action(np.ones(7))
                self.assertTrue(robot.latest_step.truncated)
                self.assertEqual(robot.generation, "coupled")

    def test_the_stream_runs_beside_calls_and_actions(self) -> None:
        with PolicyClient(self.serve("decoupled")) as robot:
            robot.start_obs_stream(100)
            obs, _ = robot.reset()
            for _ in range(20):
                obs = robot.wait_obs(newer_than=obs)
                robot.apply_action(np.ones(7), obs)
                self.assertIn("rate", robot.get_metadata())
            robot.stop_obs_stream()
            self.check_observation(robot.get_obs(), 20)

    def test_a_lost_robot_is_an_error_and_connecting_again_works(self) -> None:
        uri, stop = serving("decoupled")
        with PolicyClient(uri, connect_timeout=0.3) as robot:
            robot.start_obs_stream(50)
            first = robot.wait_obs()
            stop()
            with self.assertRaises(ConnectionLost):
                while True:
                    first = robot.wait_obs(first)
            with self.assertRaises(ConnectionLost):
                robot.get_obs()
            self.assertFalse(robot.is_connected)
            with self.assertRaises(ConnectionLost):
                robot.connect()
            robot.uri = self.serve("decoupled")
            robot.connect()
            robot.start_obs_stream(50)
            robot.wait_obs(robot.latest_obs)

    def test_no_reply_in_time_closes_so_that_nobody_gets_it(self) -> None:
        class Slow(ExampleRobot):
            def reset(self):
                time.sleep(0.5)
                return super().reset()

        with PolicyClient(self.serve("decoupled", Slow(8, 6)), reset_timeout=0.1) as robot:
            with self.assertRaises(ReplyTimeout):
                robot.reset()
            with self.assertRaises(ConnectionLost):
                robot.get_metadata()
            robot.connect()
            self.assertIn("rate", robot.get_metadata())

    def test_queued_actions_are_sent_in_order_and_forgotten_by_a_reset(self) -> None:
        events: list[dict] = []
        with PolicyClient(self.serve("decoupled", events=events)) as robot:
            obs, _ = robot.reset()
            action = np.zeros(7)
            for number in range(20):
                action[:] = number
                robot.put_action(action, obs)  # Copied: it changes before it is sent.
            robot.start_action_dispatch(hz=200)
            while robot.queue_len:
                time.sleep(0.01)
            robot.stop_action_dispatch()
            last = robot.get_obs()
            self.assertEqual(last.proprios["last_action"].tolist(), [19.0] * 7)
            applied = [event for event in events if event["event"] == "action"]
            self.assertEqual(len(applied), 20)
            self.assertEqual(set(applied[0]["obs_timestamps"]), set(obs.stamps))
            self.assertEqual([a["array"]["hex"][:8] for a in applied], [np.float32(n).tobytes().hex() for n in range(20)])

            for _ in range(1024):
                robot.put_action(action)
            with self.assertRaises(PolicyError):
                robot.put_action(action)
            robot.reset()
            self.assertEqual(robot.queue_len, 0)
            with self.assertRaises(ValueError):
                robot.put_action([float("inf")])

    def test_the_end_of_the_connection_empties_the_queue_and_shows(self) -> None:
        uri, stop = serving("decoupled")
        with PolicyClient(uri) as robot:
            robot.start_obs_stream(50)
            robot.wait_obs()
            self.assertFalse(robot.is_stale)
            robot.put_action(np.zeros(7))
            stop()
            until = time.monotonic() + 5
            while robot.queue_len or not robot.is_stale or robot.is_connected:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.01)
            robot.start_action_dispatch(100)
            robot.put_action(np.zeros(7))
            with self.assertRaises(ConnectionLost):
                while time.monotonic() < until:
                    robot.put_action(np.zeros(7))
                    time.sleep(0.01)

    def test_a_robot_that_is_slow_to_observe_is_not_taken_for_a_coupled_one(self) -> None:
        class Slow(ExampleRobot):
            def get_obs(self):
                time.sleep(0.3)
                return super().get_obs()

        with (
            mock.patch("waldo_policy.client.PROBE_TIMEOUT", 0.1),
            PolicyClient(self.serve("decoupled", Slow(8, 6)), request_timeout=2) as robot,
        ):
            self.assertEqual(robot.generation, "coupled")
            self.assertIn("rate", robot.get_metadata())
            self.assertEqual(robot.generation, "decoupled")
            self.check_observation(robot.get_obs(), 0)
            robot.apply_action(np.ones(7))
            self.check_observation(robot.get_obs(), 1)

    def test_closing_ends_waiting_for_a_robot(self) -> None:
        robot = PolicyClient(f"ws://127.0.0.1:{_free_port('127.0.0.1')}")
        ended = threading.Event()

        def wait() -> None:
            with self.assertRaises(ConnectionLost):
                robot.connect()
            ended.set()

        threading.Thread(target=wait, daemon=True).start()
        time.sleep(0.3)
        robot.close()
        self.assertTrue(ended.wait(5))

    def test_an_action_that_is_no_number_is_not_sent(self) -> None:
        with PolicyClient(self.serve("decoupled")) as robot, self.assertRaises(ValueError):
            robot.apply_action([0.0, float("nan")])

    def test_the_client_may_start_first(self) -> None:
        port = _free_port("127.0.0.1")

        def later() -> None:
            time.sleep(0.3)
            server = PolicyServer(ExampleRobot(8, 6), "decoupled")
            listener = serve_websocket(server, "127.0.0.1", port)
            self.addCleanup(listener.shutdown)
            listener.serve_forever()

        threading.Thread(target=later, daemon=True).start()
        with PolicyClient(f"ws://127.0.0.1:{port}") as robot:
            self.check_observation(robot.get_obs(), 0)

    def test_zenoh_carries_the_same(self) -> None:
        endpoint = f"tcp/127.0.0.1:{_free_port('127.0.0.1')}"
        server = PolicyServer(ExampleRobot(8, 6), "decoupled")
        serving = threading.Timer(0.7, serve_zenoh, (server, endpoint))
        serving.daemon = True
        serving.start()
        with PolicyClient(endpoint, "zenoh") as robot:
            self.assertIn("rate", robot.get_metadata())
            self.check_observation(robot.reset()[0], 0)
            robot.start_obs_stream(100)
            for _ in range(10):
                robot.apply_action(np.ones(7), robot.wait_obs(robot.latest_obs))
            robot.stop_obs_stream()
            self.check_observation(robot.get_obs(), 10)


if __name__ == "__main__":
    unittest.main()
