"""The client: what a policy process holds of a robot.

Calls block, may come from any thread, and end: with their value, or with an error after a time that the constructor
takes. A call whose reply did not come in time closes the link, so that no other call can get that reply.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from . import frames
from .errors import ConnectionLost, FrameError, PolicyError, ReplyTimeout
from .links import Link, LinkLost, NotThere, WebSocketLink, ZenohLink
from .messages import Frame, Observation, Stamps, Step
from .ticker import Ticker

Generation = Literal["decoupled", "coupled"]
"""Decoupled robots observe and act independently; coupled ones answer each action with an observation."""

PROBE_TIMEOUT = 1.0
RETRY_EVERY = 0.1
MAX_QUEUED = 1024
STALE_AFTER = 0.2


class PolicyClient:
    """Observes and acts.

    :param uri: default ``ws://localhost:8765``, or ``tcp/localhost:7447`` over Zenoh.
    :param protocol: ``"websocket"`` or ``"zenoh"``.
    :param connect_timeout: seconds to wait for the robot; None waits for ever.
    :param request_timeout: seconds to wait for replies other than that to a reset.
    :param reset_timeout: seconds to wait for the robot to reset.
    :param generation: what the robot speaks; None finds out with the first call that needs to know.
    """

    def __init__(
        self,
        uri: str | None = None,
        protocol: Literal["websocket", "zenoh"] = "websocket",
        *,
        connect_timeout: float | None = None,
        request_timeout: float = 5.0,
        reset_timeout: float = 60.0,
        generation: Generation | None = None,
    ) -> None:
        if protocol not in ("websocket", "zenoh"):
            raise ValueError(f"protocol must be 'websocket' or 'zenoh', not {protocol!r}")
        self.uri = uri or ("tcp/localhost:7447" if protocol == "zenoh" else "ws://localhost:8765")
        self._open_link = ZenohLink if protocol == "zenoh" else WebSocketLink
        self._connect_timeout = connect_timeout
        self._request_timeout = request_timeout
        self._reset_timeout = reset_timeout
        self._told_generation = self._generation = generation
        self._link: Link | None = None
        self._exchanging = threading.RLock()
        """Held from a request until its reply: replies name no request, so only one may be open."""
        self._news = threading.Condition()
        self._latest: Observation | None = None
        self._latest_time = -float("inf")
        self._latest_step: Step | None = None
        self._stream: Ticker | None = None
        self._queue: deque[tuple[np.ndarray, Stamps]] = deque()
        self._dispatch: Ticker | None = None
        self._closing = threading.Event()
        self._late_probe = False
        """Whether the answer to the question for the generation may still come."""

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- connection

    def connect(self) -> Self:
        """Waits until the robot is there.

        :raises ConnectionLost: if the time is over, the robot declines, or :meth:`close` is called meanwhile.
        """
        self._closing.clear()
        until = time.monotonic() + (float("inf") if self._connect_timeout is None else self._connect_timeout)
        with self._exchanging:
            self._drop_link()
            self._generation, self._late_probe = self._told_generation, False
            while not self._closing.is_set():
                try:
                    self._link = self._open_link(self.uri, min(until - time.monotonic(), 5.0))
                    return self
                except NotThere as error:
                    if time.monotonic() + RETRY_EVERY >= until:
                        raise ConnectionLost(f"{self.uri}: {error}") from error
                except LinkLost as error:
                    raise ConnectionLost(str(error)) from error
                self._closing.wait(RETRY_EVERY)
            raise ConnectionLost(f"{self.uri}: closed while connecting")

    def close(self) -> None:
        """Stops stream and dispatch and ends the connection."""
        self._closing.set()
        self.stop_obs_stream()
        self.stop_action_dispatch()
        with self._exchanging:
            self._drop_link()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        link = self._link
        return link is not None and link.is_open

    @property
    def generation(self) -> Generation:
        """What the robot speaks. The first time this may take a second."""
        if self._generation is None:
            with self._exchanging:
                if self._generation is None:
                    self._generation = self._probe()
        return self._generation

    # --- calls

    def get_metadata(self) -> dict[str, Any]:
        """What the robot says of itself, such as ``action_shape``."""
        return frames.read_map(self._exchange("metadata", "metadata_response", self._request_timeout), "data")

    def reset(self) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; returns its first observation and what the robot says of it."""
        with self._exchanging:
            self.clear_actions()
            reply = self._exchange("reset", "reset_response", self._reset_timeout)
            self.clear_actions()
            keys = list(reply.header)
            if "extra" in keys and keys.index("extra") < keys.index("cameras"):
                self._generation = "coupled"  # Only the C++ robots write in this order.
            return self._took(frames.read_observation(reply)), frames.read_map(reply, "info")

    def get_obs(self) -> Observation:
        """A new observation; from coupled robots, which send none unasked, the one of the last reset or step.

        :raises PolicyError: if a coupled robot was neither reset nor stepped.
        """
        with self._exchanging:
            if self.generation == "decoupled":
                reply = self._exchange("obs_request", "obs_response", self._request_timeout)
                return self._took(frames.read_observation(reply))
            if self._latest is None:
                raise PolicyError("this robot sends observations only with reset and step: reset it first")
            return self._latest

    def apply_action(self, action: ArrayLike, obs: Observation | None = None) -> None:
        """Sends an action, of any shape; it crosses the wire as float32.

        A coupled robot is stepped with it: :attr:`latest_obs` and :attr:`latest_step` say what followed.

        :param obs: what the action was computed from; the robot is told its time stamps. Default: the latest.
        :raises ValueError: if a number is not finite.
        """
        self._apply(*self._action(action, obs))

    def step(self, action: ArrayLike, obs: Observation | None = None) -> Step:
        """Acts and observes. Decoupled robots know no reward and no end of an episode; theirs are 0.0 and false."""
        return self._step(*self._action(action, obs))

    # --- actions that wait

    def put_action(self, action: ArrayLike, obs: Observation | None = None) -> None:
        """Appends a copy of an action to the queue, of which :meth:`start_action_dispatch` sends one per tick.

        The queue is emptied by a reset and when the connection is lost.

        :param obs: as for :meth:`apply_action`; the default is the latest now, not when it is sent.
        :raises ValueError: if a number is not finite.
        :raises PolicyError: if 1024 wait already, or what ended the dispatch.
        """
        array, stamps = self._action(action, obs)
        if self._dispatch is not None and self._dispatch.error is not None:
            raise self._dispatch.error
        if len(self._queue) >= MAX_QUEUED:
            raise PolicyError(f"{MAX_QUEUED} actions wait already: is start_action_dispatch running?")
        self._queue.append((array.copy(), stamps))

    def start_action_dispatch(self, hz: float = 10.0) -> None:
        """Sends the actions of the queue at this rate from a thread; replaces a dispatch that runs."""
        self.stop_action_dispatch()
        self._dispatch = Ticker("actions", hz, self._dispatch_one, self.clear_actions)

    def stop_action_dispatch(self) -> None:
        """Stops sending; what waits stays in the queue."""
        dispatch, self._dispatch = self._dispatch, None
        if dispatch is not None:
            dispatch.stop()

    def clear_actions(self) -> None:
        """Forgets all actions that wait."""
        self._queue.clear()

    @property
    def queue_len(self) -> int:
        """How many actions wait."""
        return len(self._queue)

    # --- the newest observation

    @property
    def latest_obs(self) -> Observation | None:
        """The newest observation, whoever asked for it; None before the first. See :attr:`latest_age`."""
        return self._latest

    @property
    def latest_age(self) -> float:
        """Seconds since :attr:`latest_obs` arrived. It grows when nothing comes any more."""
        return time.monotonic() - self._latest_time

    @property
    def is_stale(self) -> bool:
        """Whether :attr:`latest_obs` should not be relied on: there is none, the connection is lost, or a stream runs
        and brought nothing for five of its periods, at least 0.2 s."""
        stream = self._stream
        late = stream is not None and self.latest_age > max(STALE_AFTER, 5 * stream.period)
        return self._latest is None or not self.is_connected or late

    @property
    def latest_step(self) -> Step | None:
        """What followed the last action, if the robot tells."""
        return self._latest_step

    def start_obs_stream(self, hz: float = 30.0) -> None:
        """Asks for observations at this rate from a thread; replaces a stream that runs."""
        self.stop_obs_stream()
        self._stream = Ticker("observations", hz, self._poll, self._tell)

    def stop_obs_stream(self) -> None:
        """Stops asking; a reply on its way is still taken."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()

    def wait_obs(self, newer_than: Observation | None = None, timeout: float = 5.0) -> Observation:
        """Waits for another observation than this one; without one, for the first.

        :raises PolicyError: if none comes in time, or what ended the stream.
        """
        until = time.monotonic() + timeout
        with self._news:
            while self._latest is None or self._latest is newer_than:
                if self._stream is not None and self._stream.error is not None:
                    raise self._stream.error
                if not self._news.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise ReplyTimeout(f"no new observation in {timeout:g} s")
            return self._latest

    # --- inside

    def _poll(self) -> None:
        self.get_obs()

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    def _dispatch_one(self) -> None:
        try:
            action = self._queue.popleft()
        except IndexError:
            return
        self._apply(*action)

    def _took(self, obs: Observation) -> Observation:
        with self._news:
            self._latest, self._latest_time = obs, time.monotonic()
            self._news.notify_all()
        return obs

    def _action(self, action: ArrayLike, obs: Observation | None) -> tuple[np.ndarray, Stamps]:
        array = np.asarray(action, np.float32)
        if not np.isfinite(array).all():
            raise ValueError("an action must have finite numbers only")
        obs = obs or self._latest
        return array, obs.stamps if obs else {}

    def _apply(self, array: np.ndarray, stamps: Stamps) -> None:
        if self.generation == "coupled":
            self._step(array, stamps)
        else:
            self._send(frames.write_action("apply_action", array, stamps))

    def _step(self, array: np.ndarray, stamps: Stamps) -> Step:
        with self._exchanging:
            if self.generation == "decoupled":
                self._apply(array, stamps)
                step = Step(self.get_obs())
            else:
                action = frames.write_action("action", array, stamps)
                step = frames.read_step(self._exchange(action, "step_response", self._request_timeout))
                self._took(step.obs)
            self._latest_step = step
            return step

    def _probe(self) -> Generation:
        """Coupled robots never answer a request for an observation."""
        try:
            reply = self._exchange("obs_request", "obs_response", PROBE_TIMEOUT, silence_closes=False)
        except ReplyTimeout:
            self._late_probe = True
            return "coupled"
        self._took(frames.read_observation(reply))
        return "decoupled"

    def _exchange(self, request: str | bytes, reply: str, timeout: float, silence_closes: bool = True) -> Frame:
        frame = frames.write_frame({"type": request}) if isinstance(request, str) else request
        with self._exchanging:
            link = self._connected()
            try:
                link.send(frame)
                until = time.monotonic() + timeout
                while True:
                    got = frames.read_frame(link.receive(max(until - time.monotonic(), 0)))
                    if got.type == reply:
                        return got
                    if self._late_probe and got.type == "obs_response":
                        # Slow, but decoupled; it ignores actions of the coupled kind, so that one may be sent again.
                        self._generation, self._late_probe = "decoupled", False
                        silence_closes = silence_closes and reply != "step_response"
                    elif not (link.repeats_metadata and got.type == "metadata_response"):
                        raise FrameError(f"the robot answered with {got.type!r} instead of {reply!r}")
            except LinkLost as error:
                self._drop_link()
                raise ConnectionLost(f"{self.uri}: {error}") from error
            except TimeoutError as error:
                if silence_closes:
                    self._drop_link()
                raise ReplyTimeout(f"{self.uri}: no {reply} in {timeout:g} s") from error
            except BaseException:
                self._drop_link()
                raise

    def _send(self, frame: bytes) -> None:
        # Without the lock of exchanges: an action must not wait for an observation.
        try:
            self._connected().send(frame)
        except LinkLost as error:
            self._drop_link()
            raise ConnectionLost(f"{self.uri}: {error}") from error

    def _connected(self) -> Link:
        link = self._link
        if link is None:
            raise ConnectionLost(f"{self.uri}: not connected")
        return link

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        self.clear_actions()
        if link is not None:
            link.close()
