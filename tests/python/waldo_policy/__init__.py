"""Policies in Python for robots that speak the policy wire: :class:`PolicyClient`, and a server to try it with."""

from .client import ConnectionLost, PolicyClient, PolicyError, ReplyTimeout
from .frames import Camera, FrameError, Observation, Step

__all__ = [
    "Camera",
    "ConnectionLost",
    "FrameError",
    "Observation",
    "PolicyClient",
    "PolicyError",
    "ReplyTimeout",
    "Step",
]
