"""A small client of the Virtual Field wire: users, spectators and publishers of one scene."""

from .client import FieldClient, FieldError
from .scene import Scene

__all__ = ["FieldClient", "FieldError", "Scene"]
