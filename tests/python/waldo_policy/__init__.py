"""Policies in Python for robots that speak the policy wire: :class:`PolicyClient`, and a server to try it with."""

from .client import PolicyClient
from .errors import ConnectionLost, FrameError, PolicyError, ReplyTimeout
from .messages import Camera, Observation, Step

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
