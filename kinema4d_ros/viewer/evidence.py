# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a verdict rests on, in the 3D scene: findings, clearance, the path of the tool."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.types import Finding
from kinema4d_ros.viewer.clearance_curve import Nearest
from kinema4d_ros.viewer.markup import BAND_COLORS, SEVERITY_COLORS

if TYPE_CHECKING:
    import viser

EVIDENCE_LAYERS = ('findings', 'clearance', 'tool path')
_ABOVE = np.array([0.0, 0.0, 0.03])     # [m] where a text stands
_SHAFT = 0.003                          # [m] radius of the clearance arrow


class EvidenceNodes:
    """Scene nodes that are replaced with the verdict, or move with the time."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Make a layer with no node in the scene."""
        self._server = server
        self._findings: list[Any] = []
        self._text: Any = None
        self._arrow: Any = None
        self._distance: Any = None
        self._path: Any = None
        self._visible = dict.fromkeys(EVIDENCE_LAYERS, True)

    def show_findings(self, findings: Sequence[Finding],
                      on_click: Callable[[Finding, object], None]) -> None:
        """Show a ball where a finding is; `on_click` is called with it and the browser."""
        for handle in self._findings:
            handle.remove()
        self._findings = []
        for number, finding in enumerate(findings):
            if finding.point_base is None:
                continue
            ball = self._server.scene.add_icosphere(
                f'/findings/{number}', radius=0.018, color=SEVERITY_COLORS[finding.severity],
                position=finding.point_base, cast_shadow=False,
                visible=self._visible['findings'])
            ball.on_click(lambda event, finding=finding: on_click(finding, event.client))
            self._findings.append(ball)

    def point_at(self, finding: Finding | None) -> None:
        """Write a finding's message where it is, or nothing."""
        self._text = self._without(self._text)
        if finding is not None and finding.point_base is not None:
            self._text = self._server.scene.add_label(
                '/finding_text', finding.message, position=np.array(finding.point_base) + _ABOVE,
                anchor='bottom-center')

    def show_clearance(self, nearest: Nearest | None) -> None:
        """Show an arrow from the robot to what it is nearest to, in the colour of the band."""
        arrow = None if nearest is None else nearest.arrow
        if nearest is None or arrow is None:
            self._arrow, self._distance = map(self._without, (self._arrow, self._distance))
            return
        visible, color = self._visible['clearance'], np.array(BAND_COLORS[nearest.band])
        if self._arrow is None:
            self._arrow = self._server.scene.add_arrows(
                '/clearance', arrow[None], color, shaft_radius=_SHAFT, head_radius=3 * _SHAFT,
                head_length=6 * _SHAFT, visible=visible)
            self._distance = self._server.scene.add_label(
                '/distance', nearest.text, visible=visible, anchor='bottom-center')
        self._arrow.points, self._arrow.colors = arrow[None].astype(np.float32), color
        self._distance.text, self._distance.position = nearest.text, arrow.mean(axis=0) + _ABOVE

    def show_path(self, path: np.ndarray, color: tuple[int, int, int]) -> None:
        """Show where the tool goes, (T, 3) [m] in the base frame; fewer than two show nothing."""
        self._path = self._without(self._path)
        if len(path) > 1:
            self._path = self._server.scene.add_line_segments(
                '/tool_path', np.stack([path[:-1], path[1:]], axis=1), color, thickness=2.0,
                thickness_units='screen', visible=self._visible['tool path'])

    def set_visible(self, layer: str, on: bool) -> None:
        """Switch one of EVIDENCE_LAYERS."""
        self._visible[layer] = on
        nodes = {'findings': self._findings, 'clearance': [self._arrow, self._distance],
                 'tool path': [self._path]}[layer]
        for node in filter(None, nodes):
            node.visible = on

    @staticmethod
    def _without(handle: Any) -> None:
        """Remove a node if there is one; return what is left of it."""
        if handle is not None:
            handle.remove()
