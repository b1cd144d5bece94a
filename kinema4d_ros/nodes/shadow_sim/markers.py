# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A verdict as markers for RViz2: its sentence above the robot, its evidence where it happens."""
from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from kinema4d_ros.bridge.motion import duration_seconds
from kinema4d_ros.bridge.transforms import point_message
from kinema4d_ros.msg import Finding, Verdict
from kinema4d_ros.nodes.shadow_sim.marker_text import (space_width, TextStack, worst_of_places,
                                                       wrapped)
from kinema4d_ros.precheck.tier1 import clearance_band
from kinema4d_ros.types import Severity, Status

_COLORS = {Verdict.PASS: (0.1, 0.8, 0.2), Verdict.FAIL: (0.9, 0.1, 0.1),
           Verdict.UNSURE: (1.0, 0.6, 0.0)}
_SEVERITY_COLORS = {Finding.INFO: (0.3, 0.6, 1.0), Finding.UNSURE: _COLORS[Verdict.UNSURE],
                    Finding.FAIL: _COLORS[Verdict.FAIL]}
_HEIGHT = 1.0        # [m] of the sentence above the root link
_SENTENCE, _TEXT, _POINT = 0.05, 0.03, 0.04   # [m] sizes
_ABOVE = 0.04        # [m] of a text above what it belongs to
_WIDTH, _LINES = 44, 4       # letters of a line, and lines, of the sentence; `verdict` has it all
_FINDING_WIDTH, _FINDING_LINES = 36, 3
_SHAFT = 0.003       # [m] of a clearance arrow; that of the smallest clearance is thicker
_LINE = 0.006        # [m] of the path of the tool


def verdict_markers(verdict: Verdict, tool_path: np.ndarray | None = None) -> MarkerArray:
    """
    Return markers that replace those of the verdict before.

    Their namespaces can be switched in RViz2: sentence, contact_points, findings, clearance,
    clearance_text, tool_path.

    :param tool_path: where the motion takes the tool, (T, 3) [m] in the verdict's frame.
    """
    # Stamp zero: RViz2 then takes the newest transform, since the evidence stays on display
    # long after the observation's own transforms have left its buffer.
    header = Header(stamp=Time(), frame_id=verdict.header.frame_id)
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    if not header.frame_id:
        return MarkerArray(markers=markers)
    color = _COLORS.get(verdict.status, _COLORS[Verdict.UNSURE])
    stack = TextStack()
    text = wrapped(f'{Status(verdict.status).name}: {verdict.summary}', _WIDTH, _LINES)
    markers.append(_marker(header, 'sentence', 0, Marker.TEXT_VIEW_FACING, color, _SENTENCE,
                           at=stack.place(text, _SENTENCE, (0.0, 0.0, _HEIGHT)), text=text))
    markers += _clearances(header, verdict, stack)
    markers += _findings(header, verdict, stack)
    if tool_path is not None and len(tool_path) > 1:
        # a line shows no text: it says here to whom asks which rollout it is of
        markers.append(_marker(header, 'tool_path', 0, Marker.LINE_STRIP, color, _LINE,
                               text=verdict.rollout_id,
                               points=[point_message(place) for place in tool_path]))
    return MarkerArray(markers=markers)


def _findings(header: Header, verdict: Verdict, stack: TextStack) -> Iterator[Marker]:
    """Yield a ball for each finding that is somewhere, and a text for the worst of each place."""
    somewhere = [finding for finding in verdict.findings if all(
        map(math.isfinite, (finding.point.x, finding.point.y, finding.point.z)))]
    for number, finding in enumerate(somewhere):
        at = finding.point.x, finding.point.y, finding.point.z
        yield _marker(header, 'contact_points', number, Marker.SPHERE, _color_of(finding), _POINT,
                      at=at)
    for number, (worst, count) in enumerate(worst_of_places(somewhere)):
        more = f' (and {count - 1} more here)' if count > 1 else ''
        text = wrapped(worst.message, _FINDING_WIDTH, _FINDING_LINES) or 'no message'
        text += more and f'\n{more.strip()}'
        at = stack.place(text, _TEXT, (worst.point.x, worst.point.y, worst.point.z + _ABOVE))
        yield _marker(header, 'findings', number, Marker.TEXT_VIEW_FACING, _color_of(worst), _TEXT,
                      at=at, text=text)


def _color_of(finding: Finding) -> tuple[float, float, float]:
    return _SEVERITY_COLORS.get(finding.severity, _COLORS[Verdict.FAIL])


def _clearances(header: Header, verdict: Verdict, stack: TextStack) -> Iterator[Marker]:
    """Yield an arrow from the robot to the scene for each time; the smallest has its distance."""
    samples = [sample for sample in verdict.clearances
               if math.isfinite(sample.distance) and all(
                   math.isfinite(value) for at in (sample.robot_point, sample.point)
                   for value in (at.x, at.y, at.z))]
    smallest = min(samples, key=lambda sample: sample.distance, default=None)
    for number, sample in enumerate(samples):
        end = sample.point
        band = clearance_band(sample.distance, sample.sigma)
        color = _COLORS[Verdict.PASS] if band is None else _SEVERITY_COLORS[Severity(band)]
        is_smallest = sample is smallest
        yield _marker(header, 'clearance', number, Marker.ARROW, color,
                      _SHAFT * (3 if is_smallest else 1), points=[sample.robot_point, end])
        if is_smallest:
            text = wrapped(f'{sample.link}: {sample.distance * 1000:.0f} mm at '
                           f'{duration_seconds(sample.time_from_start):.2f} s', _FINDING_WIDTH,
                           _FINDING_LINES)
            yield _marker(header, 'clearance_text', number, Marker.TEXT_VIEW_FACING, color, _TEXT,
                          at=stack.place(text, _TEXT, (end.x, end.y, end.z + _ABOVE)), text=text)


def _marker(header: Header, kind: str, number: int, shape: int,
            color: tuple[float, float, float], size: float, *,
            at: tuple[float, float, float] = (0.0, 0.0, 0.0), text: str = '',
            points: list[Point] | None = None) -> Marker:
    red, green, blue = color
    # For an arrow between points x is the shaft's diameter, y that of the head, z its length.
    # Of a text x is the width of a space.
    scale = Vector3(x=size, y=2 * size, z=3 * size) if shape == Marker.ARROW else Vector3(
        x=space_width(size) if shape == Marker.TEXT_VIEW_FACING else size, y=size, z=size)
    return Marker(header=header, ns=kind, id=number, type=shape, action=Marker.ADD, scale=scale,
                  color=ColorRGBA(r=red, g=green, b=blue, a=0.9), text=text, points=points or [],
                  pose=Pose(position=Point(x=float(at[0]), y=float(at[1]), z=float(at[2]))))
