# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a message of a set point asks for, and how the messages of a kind are read."""
from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np


class SetPoint(NamedTuple):
    """What a message asks for, in joints."""

    values: np.ndarray | str               # (n,) [rad, m or per s], or why it is no set point
    lasts: float = 0.0                     # [s] that the robot may take, at least
    #: (n,) [rad or m] by which it may overshoot for its velocity at the end; None where it has none
    beyond: np.ndarray | None = None


class Wire(Protocol):
    """The messages of one kind of set points."""

    #: message class, and the names of its topics: at the gate, below the controller
    message: Any
    input: str
    output: str

    def read(self, raw: bytes, live: np.ndarray | None, now_ns: int) -> SetPoint:
        """
        Return what a serialised message asks for.

        :param live: (J,) [rad or m] where the robot's joints are; None where that is not known.
        :param now_ns: ROS time.
        :raises Exception: it cannot be read.
        """

    def relayed(self) -> None:
        """Take note that the set point that was read last went to the controller."""

    def write(self, own: np.ndarray, share: float, live: np.ndarray | None) -> Any:
        """
        Return the message of a set point of the gate's own.

        :param own: (n,) [rad, m or per s].
        :param share: that it is of the velocity that was relayed last.
        :param live: as above.
        """
