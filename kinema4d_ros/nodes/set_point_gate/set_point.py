# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a message of a set point asks for."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np


class SetPoint(NamedTuple):
    """What a message asks for, in joints."""

    values: np.ndarray | str               # (n,) [rad, m or per s], or why it is no set point
    lasts: float = 0.0                     # [s] that the robot may take, at least
    beyond: np.ndarray | None = None       # (n,) [rad or m] by which it may overshoot
