"""What can go wrong; all of it is a :class:`PolicyError`."""

from __future__ import annotations


class PolicyError(Exception):
    """What the robot, or the way to it, did not do."""


class ConnectionLost(PolicyError):
    """There is no connection, or it has just ended; ``PolicyClient.connect()`` makes a new one."""


class ReplyTimeout(PolicyError, TimeoutError):
    """The robot did not answer in time."""


class FrameError(PolicyError, ValueError):
    """A frame that is not what the wire allows; the message says where."""
