"""A small robot, and a small operator, of hosted teleoperation: they dial a broker and meet at its SFU."""

from .broker import Broker, BrokerError
from .operator import Operator
from .robot import Robot

__all__ = ["Broker", "BrokerError", "Operator", "Robot"]
