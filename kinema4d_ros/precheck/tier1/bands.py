# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bands of a distance to the scene, for those who draw it."""
from __future__ import annotations

import math

from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.types import Severity


def clearance_band(distance: float, sigma: float,
                   settings: Tier1Settings = Tier1Settings()) -> Severity | None:
    """
    Return the band of a distance for those who draw it; what decides are the findings.

    :param distance: of the robot to the scene [m], negative inside.
    :param sigma: its standard deviation [m]; NaN counts as 0.
    :return: FAIL for contact, UNSURE where contact cannot be excluded, INFO for a near miss,
        None when clear.
    """
    band = 0.0 if math.isnan(sigma) else settings.confidence * sigma
    if distance + band <= 0.0:
        return Severity.FAIL
    if distance - band <= 0.0:
        return Severity.UNSURE
    return Severity.INFO if distance < settings.near_miss else None
