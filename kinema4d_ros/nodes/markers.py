# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A verdict as markers for RViz2: its sentence above the robot, its evidence where it happens."""
from __future__ import annotations

import math

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from kinema4d_ros.msg import Finding, Verdict
from kinema4d_ros.types import Status

_COLORS = {Verdict.PASS: (0.1, 0.8, 0.2), Verdict.FAIL: (0.9, 0.1, 0.1),
           Verdict.UNSURE: (1.0, 0.6, 0.0)}
_SEVERITY_COLORS = {Finding.INFO: (0.3, 0.6, 1.0), Finding.UNSURE: _COLORS[Verdict.UNSURE],
                    Finding.FAIL: _COLORS[Verdict.FAIL]}
_HEIGHT = 1.2        # [m] of the sentence above the root link
_TEXT, _POINT = 0.06, 0.04   # [m] sizes


def verdict_markers(verdict: Verdict) -> MarkerArray:
    """Return markers that replace those of the verdict before."""
    # Stamp zero: RViz2 then takes the newest transform, since the evidence stays on display
    # long after the observation's own transforms have left its buffer.
    header = Header(stamp=Time(), frame_id=verdict.header.frame_id)
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    if not header.frame_id:
        return MarkerArray(markers=markers)
    text = f'{Status(verdict.status).name}: {verdict.summary}'
    markers.append(_marker(header, 0, Marker.TEXT_VIEW_FACING, (0.0, 0.0, _HEIGHT), _TEXT,
                           _COLORS[verdict.status], text))
    for index, finding in enumerate(verdict.findings, start=1):
        at = finding.point.x, finding.point.y, finding.point.z
        if all(map(math.isfinite, at)):
            color = _SEVERITY_COLORS.get(finding.severity, _COLORS[Verdict.FAIL])
            markers.append(_marker(header, 2 * index, Marker.SPHERE, at, _POINT, color))
            above = (at[0], at[1], at[2] + _TEXT)
            markers.append(_marker(header, 2 * index + 1, Marker.TEXT_VIEW_FACING, above,
                                   _TEXT / 2, color, finding.message))
    return MarkerArray(markers=markers)


def _marker(header: Header, number: int, kind: int, at: tuple[float, float, float], size: float,
            color: tuple[float, float, float], text: str = '') -> Marker:
    red, green, blue = color
    marker = Marker(header=header, ns='verdict', id=number, type=kind, action=Marker.ADD,
                    scale=Vector3(x=size, y=size, z=size), text=text,
                    color=ColorRGBA(r=red, g=green, b=blue, a=0.9))
    marker.pose = Pose(position=Point(x=float(at[0]), y=float(at[1]), z=float(at[2])))
    return marker
