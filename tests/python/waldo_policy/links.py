"""How frames travel: as binary messages of a WebSocket, or as samples of Zenoh."""

from __future__ import annotations

import json
import queue
import time
from contextlib import ExitStack
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI
from websockets.protocol import State
from websockets.sync.client import connect

from .errors import FrameError
from .frames import write_frame

MAX_MESSAGE = 1 << 30
ZENOH_C2S, ZENOH_S2C = "chiral/c2s", "chiral/s2c"


class LinkLost(Exception):
    """The link ended; the message says how."""


class NotThere(Exception):
    """Nobody answers at the address yet."""


class Link(Protocol):
    """A connected link. Any thread may send; one at a time may receive."""

    repeats_metadata: bool
    """Whether replies to the metadata requests of connecting may still come."""

    @property
    def is_open(self) -> bool:
        """Whether it stands, as far as is known."""

    def send(self, frame: bytes) -> None:
        """Sends one frame.

        :raises LinkLost: if the link has ended.
        """

    def receive(self, timeout: float) -> bytes:
        """The next frame.

        :raises TimeoutError: if none comes in time.
        :raises LinkLost: if the link has ended.
        """

    def close(self) -> None:
        """Ends the link."""


class WebSocketLink:
    """One frame is one binary message. The library's thread answers pings, however slow the policy is."""

    repeats_metadata = False

    def __init__(self, uri: str, timeout: float) -> None:
        self._scope = ExitStack()
        try:
            # No proxy for a robot on the same network, and no compression of pictures.
            self._socket = self._scope.enter_context(
                connect(
                    uri,
                    compression=None,
                    max_size=MAX_MESSAGE,
                    open_timeout=timeout,
                    close_timeout=1,
                    ping_interval=None,
                    proxy=None,
                )
            )
        except (InvalidURI, InvalidHandshake) as error:
            if isinstance(error, InvalidMessage):  # The server ended while it was asked.
                raise NotThere(str(error)) from error
            raise LinkLost(f"{uri}: {error}") from error
        except (OSError, EOFError, TimeoutError) as error:
            raise NotThere(str(error)) from error

    @property
    def is_open(self) -> bool:
        return self._socket.protocol.state is State.OPEN

    def send(self, frame: bytes) -> None:
        try:
            self._socket.send(frame)
        except ConnectionClosed as error:
            raise LinkLost(str(error)) from error

    def receive(self, timeout: float) -> bytes:
        try:
            message = self._socket.recv(timeout)
        except ConnectionClosed as error:
            raise LinkLost(str(error)) from error
        if isinstance(message, str):
            raise FrameError("a text message is no frame")
        return message

    def close(self) -> None:
        self._scope.close()


class ZenohLink:
    """One frame is one sample. Who is there is found out by asking for the metadata until somebody answers."""

    repeats_metadata = True
    ASK_EVERY = 0.5

    def __init__(self, endpoint: str, timeout: float) -> None:
        self._frames: queue.Queue[bytes] = queue.Queue(64)
        self._overflown = False
        self._session = open_session(connect=endpoint)
        self._publisher = publisher(self._session, ZENOH_C2S)
        self._subscriber = self._session.declare_subscriber(ZENOH_S2C, self._arrived)
        try:
            self._wait_for_an_answer(timeout)
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        return not self._session.is_closed()

    def send(self, frame: bytes) -> None:
        self._publisher.put(frame)

    def receive(self, timeout: float) -> bytes:
        try:
            frame = self._frames.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if self._overflown:
            raise LinkLost("more replies came than were asked for: is there another client?")
        return frame

    def close(self) -> None:
        self._session.close()

    def _arrived(self, sample: Any) -> None:
        try:
            self._frames.put_nowait(sample.payload.to_bytes())
        except queue.Full:
            self._overflown = True

    def _wait_for_an_answer(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            while not self._frames.empty():
                self._frames.get_nowait()
            self.send(write_frame({"type": "metadata"}))
            try:
                self._frames.get(timeout=min(self.ASK_EVERY, timeout))
                return
            except queue.Empty:
                pass
        raise NotThere("nobody answers")


def open_session(*, connect: str = "", listen: str = "") -> Any:
    """A Zenoh session on one endpoint, that looks for nobody else on the network."""
    import zenoh

    zenoh.init_log_from_env_or("error")
    config = zenoh.Config()
    for key, value in {
        "mode": "peer",
        "connect/endpoints": [connect] if connect else [],
        "connect/retry": {"period_init_ms": 100, "period_max_ms": 500, "period_increase_factor": 2},
        "listen/endpoints": [listen] if listen else [],
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
    }.items():
        config.insert_json5(key, json.dumps(value))
    return zenoh.open(config)


def publisher(session: Any, key: str) -> Any:
    """A publisher that waits under congestion: the default would lose whole frames."""
    import zenoh

    return session.declare_publisher(
        key, congestion_control=zenoh.CongestionControl.BLOCK, reliability=zenoh.Reliability.RELIABLE
    )
