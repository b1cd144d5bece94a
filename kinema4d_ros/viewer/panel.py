# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The controls of the page: verdict, findings, choices, clearance, time, pictures, layers."""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.types import Finding, Status, Verdict
from kinema4d_ros.viewer.choices import by_hand, CandidateList, HistoryChoice, NOTHING
from kinema4d_ros.viewer.clearance_plot import ClearancePlot
from kinema4d_ros.viewer.controls import ViewerActions
from kinema4d_ros.viewer.markup import (card, finding_label, line, NEUTRAL, SEVERITY_COLORS,
                                        STATUS_COLORS, verdict_facts)
from kinema4d_ros.viewer.playback import SPEEDS
from kinema4d_ros.viewer.scene_graph import LAYERS
from kinema4d_ros.viewer.trust import TrustPanel

if TYPE_CHECKING:
    import viser

_MOST_FINDINGS = 30
_IMAGES = ('predicted', 'live')


class Panel:
    """The controls of one server, the same in every browser."""

    def __init__(self, server: viser.ViserServer, actions: ViewerActions):
        """
        Add all controls to the page.

        :param actions: called when somebody uses one.
        """
        self._server, self._actions = server, actions
        gui = server.gui
        gui.configure_theme(control_width='large', show_logo=False, show_share_button=False)
        gui.set_panel_label('kinema4d_ros')
        gui.main_panel.dock_right()
        self._verdict = gui.add_html(card('', NEUTRAL, NOTHING, ''))
        self._findings_folder = gui.add_folder('Findings', visible=False)
        self._findings: list[Any] = []
        self.candidates = CandidateList(gui, actions)
        self.clearance = ClearancePlot(gui)
        with gui.add_folder('Time'):
            self._clock = gui.add_html('')
            self._slider: Any = gui.add_slider('time [s]', 0.0, 1.0, 0.01, 0.0, disabled=True)
            self._play = gui.add_button('Play', disabled=True)
            self._loop = gui.add_checkbox('loop', True)
            self._speed: Any = gui.add_dropdown('speed', [f'{speed:g} x' for speed in SPEEDS],
                                           initial_value='1 x')
        with gui.add_folder('Show'):
            self._layers = {layer: gui.add_checkbox(layer, on) for layer, on in LAYERS.items()}
            self._pointmap = gui.add_checkbox(
                'pointmap', False, hint='Colour the predicted robot by its x, y, z in the '
                'camera, which is the signal that controls the world model')
            self._by_camera = gui.add_checkbox(
                'by camera', False, visible=False,
                hint='Colour the points of the scene by the camera that sees them')
            self._in_camera: Any = gui.add_dropdown('in the camera', _IMAGES,
                                               initial_value='predicted')
        self.history = HistoryChoice(gui, actions)
        self.trust = TrustPanel(gui)
        self._status = gui.add_html('')
        pictures = gui.add_panel()
        self._gui, self._pictures_tab = gui, pictures.add_tab('Pictures')
        with self._pictures_tab:
            self._caption = gui.add_html('')
        self._pictures: Any = None      # encoding one takes OpenCV: not before there is one
        pictures.float(x=15, y=-15, width=560)
        self._connect()

    def _connect(self) -> None:
        actions = self._actions
        by_hand(self._slider, actions.seek)
        self._play.on_click(lambda _: actions.toggle_play())
        by_hand(self._loop, actions.set_loop)
        by_hand(self._speed, lambda text: actions.set_speed(float(text.removesuffix(' x'))))
        for layer, box in self._layers.items():
            by_hand(box, partial(actions.set_layer, layer))
        by_hand(self._pointmap, lambda _: actions.redraw())
        by_hand(self._by_camera, lambda _: actions.redraw())
        by_hand(self._in_camera, lambda _: actions.redraw())

    # ------------------------------------------------------------------ read by the viewer

    @property
    def pointmap(self) -> bool:
        """Whether the robot is coloured as a pointmap."""
        return bool(self._pointmap.value)

    @property
    def by_camera(self) -> bool:
        """Whether the points of the scene are coloured by the camera that sees them."""
        return bool(self._by_camera.value)

    @property
    def picture_in_camera(self) -> str:
        """Which picture the camera shows: predicted or live."""
        return str(self._in_camera.value)

    # ------------------------------------------------------------------ set by the viewer

    def show_time(self, time: float, duration: float, frame: str, playing: bool) -> None:
        """Show the position [s]; a duration of 0 takes the controls away."""
        off = duration <= 0
        if self._slider.disabled != off:
            self._slider.disabled = self._play.disabled = off
        top = max(round(duration, 3), 0.01)
        if self._slider.max != top:
            # Its value must lie inside of the range at any time.
            self._slider.value = 0.0
            self._slider.max, self._slider.step = top, 0.01 if top >= 1 else 0.001
        self._slider.value = round(min(time, top), 3)
        label = 'Pause' if playing else 'Play'
        if self._play.label != label:
            self._play.label = label
        self._clock.content = '' if off else line(
            f'<b>{time:.2f} s</b> of {duration:.2f} s &nbsp; {escape(frame)}')

    def show_cameras(self, names: Sequence[str]) -> None:
        """Take the names of the cameras; points of several can be told apart by their colour."""
        if self._by_camera.visible != (several := len(names) > 1):
            self._by_camera.visible = several

    def show_pictures(self, caption: str, picture: np.ndarray) -> None:
        """Show (H, W, 3) uint8 with a line of HTML above."""
        if self._caption.content != (text := line(caption)):
            self._caption.content = text
        if self._pictures is None:
            with self._pictures_tab:
                self._pictures = self._gui.add_image(picture, jpeg_quality=85)
        else:
            self._pictures.image = picture

    def show_verdict(self, verdict: Verdict | None, waiting: str = NOTHING) -> None:
        """Show a verdict, or what is waited for."""
        for handle in self._findings:
            handle.remove()
        self._findings = []
        if verdict is None:
            self._verdict.content = card('', NEUTRAL, waiting, '')
            self._findings_folder.visible = False
            return
        # A later tier can only make it worse, so a FAIL stays.
        word = verdict.status.name + (
            '' if verdict.final or verdict.status == Status.FAIL else ' so far')
        self._verdict.content = card(word, STATUS_COLORS[verdict.status],
                                      verdict.summary, verdict_facts(verdict))
        self._findings_folder.visible = bool(verdict.findings)
        with self._findings_folder:
            for finding in verdict.findings[:_MOST_FINDINGS]:
                self._add_finding(finding)
            hidden = len(verdict.findings) - _MOST_FINDINGS
            if hidden > 0:
                self._findings.append(self._server.gui.add_html(line(f'and {hidden} more')))

    def _add_finding(self, finding: Finding) -> None:
        gui = self._server.gui
        button = gui.add_button(finding_label(finding), color=SEVERITY_COLORS[finding.severity],
                                hint='Go to this time and place')
        button.on_click(lambda event: self._actions.jump(finding, event.client))
        self._findings += [button, gui.add_html(line(escape(finding.message)))]

    def show_status(self, problem: str) -> None:
        """Say what is missing, or nothing."""
        text = line(f'&#9888; {escape(problem)}') if problem else ''
        if self._status.content != text:
            self._status.content = text
