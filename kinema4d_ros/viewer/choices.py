# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a person may choose to look at: a candidate, a world model, an earlier prediction."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from kinema4d_ros.viewer.candidates import Candidate
from kinema4d_ros.viewer.colors import STATUS_COLORS
from kinema4d_ros.viewer.text import line

if TYPE_CHECKING:
    from kinema4d_ros.viewer.viewer import Viewer

NOTHING = 'no prediction yet'
_MOST = 20      # candidates in the list


class CandidateList:
    """The candidates of one goal, best first; a click shows one."""

    def __init__(self, gui, listener: Viewer):
        """Add it at this place of the panel."""
        self._gui, self._listener = gui, listener
        self._folder = gui.add_folder('Candidates', visible=False)
        self._handles: list = []
        self._buttons: dict[str, tuple] = {}      # rollout id -> button, label

    def show(self, candidates: Sequence[Candidate]) -> None:
        """List candidates, best first; one alone is no choice."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._buttons = [], {}
        self._folder.visible = len(candidates) > 1
        with self._folder:
            for rank, candidate in enumerate(candidates[:_MOST], 1):
                verdict = candidate.verdict
                label = f'{rank}. {verdict.status.name}'
                button = self._gui.add_button(label, color=STATUS_COLORS[verdict.status],
                                              hint='Show this candidate')
                button.on_click(lambda _, key=candidate.rollout_id:
                                self._listener.choose_candidate(key))
                self._handles += [button, self._gui.add_html(line(escape(verdict.summary)))]
                self._buttons[candidate.rollout_id] = button, label
            if len(candidates) > _MOST:
                self._handles.append(
                    self._gui.add_html(line(f'and {len(candidates) - _MOST} more')))

    def mark(self, rollout_id: str | None) -> None:
        """Mark the one that is shown."""
        for key, (button, label) in self._buttons.items():
            text = f'{label} (shown)' if key == rollout_id else label
            if button.label != text:
                button.label = text


class HistoryChoice:
    """Earlier predictions, and what other world models predict for the same motion."""

    def __init__(self, gui, listener: Viewer):
        """Add it at this place of the panel."""
        with gui.add_folder('History'):
            self._follow = gui.add_checkbox('follow the newest', True)
            self._history = gui.add_dropdown('prediction', [NOTHING], initial_value=NOTHING)
            self._model = gui.add_dropdown(
                'world model', [''], initial_value='', visible=False,
                hint='What another world model predicts for the same motion')
        for control, act in ((self._history, listener.choose),
                             (self._model, listener.choose_model)):
            control.on_update(lambda event, control=control, act=act:
                              act(control.value) if event.client is not None else None)

    @property
    def follows(self) -> bool:
        """Whether the newest prediction is shown when it comes."""
        return self._follow.value

    def show(self, labels: Sequence[str], chosen: str, models: Mapping[str, str],
             model: str) -> None:
        """
        List what can be chosen.

        :param labels: predictions, newest first.
        :param models: world models that predicted the motion that is shown.
        :param model: the one that is shown.
        """
        labels = tuple(labels) or (NOTHING,)
        if tuple(self._history.options) != labels:
            self._history.options = labels
        self._history.value = chosen or labels[0]
        self._model.visible = len(models) > 1
        if self._model.visible:
            if tuple(self._model.options) != tuple(models):
                self._model.options = tuple(models)
            self._model.value = model
