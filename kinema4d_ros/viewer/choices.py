# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a person may choose to look at: a candidate, a world model, an earlier prediction."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, TYPE_CHECKING

from kinema4d_ros.viewer.controls import ViewerActions
from kinema4d_ros.viewer.future import CandidateTrajectory
from kinema4d_ros.viewer.markup import line, STATUS_COLORS

if TYPE_CHECKING:
    import viser

NOTHING = 'no prediction yet'
_MOST = 20      # candidates in the list


def by_hand(control: Any, act: Callable[[Any], None]) -> None:
    """Call `act` with what a person chooses, but not with what the viewer itself sets."""
    control.on_update(lambda event: act(control.value) if event.client is not None else None)


class CandidateList:
    """The candidates of one goal, best first; a click shows one."""

    def __init__(self, gui: viser.GuiApi, actions: ViewerActions):
        """Add the controls at this place of the panel."""
        self._gui, self._actions = gui, actions
        self._folder = gui.add_folder('Candidates', visible=False)
        self._handles: list[Any] = []
        self._buttons: dict[str, tuple[Any, str]] = {}      # rollout id -> button, label

    def show(self, candidates: Sequence[CandidateTrajectory]) -> None:
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
                                self._actions.choose_candidate(key))
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

    def __init__(self, gui: viser.GuiApi, actions: ViewerActions):
        """Add the controls at this place of the panel."""
        with gui.add_folder('History'):
            self._follow: Any = gui.add_checkbox('follow the newest', True)
            self._history: Any = gui.add_dropdown('prediction', [NOTHING], initial_value=NOTHING)
            self._model: Any = gui.add_dropdown(
                'world model', [''], initial_value='', visible=False,
                hint='What another world model predicts for the same motion')
        by_hand(self._history, actions.choose)
        by_hand(self._model, actions.choose_model)

    @property
    def follows(self) -> bool:
        """Whether the newest prediction is shown when it comes."""
        return bool(self._follow.value)

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
