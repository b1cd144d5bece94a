# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colours that mean something, the same in all parts of the page."""
from __future__ import annotations

from kinema4d_ros.types import Severity, Status

STATUS_COLORS = {Status.PASS: (26, 127, 55), Status.FAIL: (207, 34, 46),
                 Status.UNSURE: (191, 97, 0)}
SEVERITY_COLORS = {Severity.INFO: (9, 105, 218), Severity.UNSURE: STATUS_COLORS[Status.UNSURE],
                   Severity.FAIL: STATUS_COLORS[Status.FAIL]}
#: of a distance to the scene, by `precheck.clearance_band`
BAND_COLORS = {**SEVERITY_COLORS, None: STATUS_COLORS[Status.PASS]}
NEUTRAL = (110, 110, 110)
