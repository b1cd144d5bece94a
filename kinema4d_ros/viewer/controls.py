# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What people can do with the controls of the page."""
from __future__ import annotations

from typing import Any, Protocol

from kinema4d_ros.types import Finding


class ViewerActions(Protocol):
    """What the controls of the panel call; called from any thread of the server."""

    def seek(self, time: float) -> None:
        """Go to a time [s] of the prediction."""

    def toggle_play(self) -> None:
        """Play or pause."""

    def set_loop(self, on: bool) -> None:
        """Play again from the start at the end."""

    def set_speed(self, speed: float) -> None:
        """Play at a multiple of the robot's pace."""

    def set_layer(self, layer: str, on: bool) -> None:
        """Show or hide one of `scene_graph.LAYERS`."""

    def redraw(self) -> None:
        """Draw again what depends on a choice of the panel."""

    def choose(self, label: str) -> None:
        """Show a prediction of the history, named by its line."""

    def choose_candidate(self, rollout_id: str) -> None:
        """Show a candidate of a goal."""

    def choose_model(self, model: str) -> None:
        """Show what another world model predicts for the same motion."""

    def jump(self, finding: Finding, client: Any) -> None:
        """Go to the time of a finding, and with the browser that asked to its place."""
