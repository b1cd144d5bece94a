# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim makes of its parameters, once for each change of them."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE, world_model_settings
from kinema4d_ros.precheck import Goal, PrecheckSettings
from kinema4d_ros.precheck.from_parameters import precheck_settings, rules_in
from kinema4d_ros.precheck.rubrics import load_rubric


@dataclass(frozen=True)
class ShadowSimSettings:
    """What the node needs of its parameters; a request keeps one to its end."""

    values: Mapping[str, Any]               # of the parameters, by their names
    precheck: PrecheckSettings
    goal: Goal | None                       # of the parameter goal_rubric
    world_model: Mapping[str, Any]          # the world model's own settings, by name


def shadow_sim_settings(values: Mapping[str, Any]) -> ShadowSimSettings:
    """
    Return the settings; the files that parameters name are read here, and only here.

    :raises ConfigurationError: a value cannot be understood, or a file not be read.
    """
    return ShadowSimSettings(
        values, precheck_settings(rules_in(values)),
        load_rubric(values['goal_rubric'], values['rubric_dir']), world_model_settings(values))


class SettingsOfNode:
    """The settings by the newest accepted parameters; may be read from any thread."""

    def __init__(self, node):
        """Declare the parameters; the settings are made when they are first asked for."""
        TABLE.declare(node)
        self._node, self._lock = node, threading.Lock()
        self._current: ShadowSimSettings | None = None
        node.add_post_set_parameters_callback(lambda _: self._renew())

    @property
    def current(self) -> ShadowSimSettings:
        """
        The settings as they are now.

        :raises ConfigurationError: a value at start is bad; later changes are checked before.
        """
        with self._lock:
            if self._current is None:
                self._current = shadow_sim_settings(TABLE.snapshot(self._node))
            return self._current

    def _renew(self) -> None:
        """Make the settings anew after a change, which was found good a moment before."""
        with self._lock:
            try:
                self._current = shadow_sim_settings(TABLE.snapshot(self._node))
            except Kinema4DError as error:     # a file that was there then, and is gone now
                self._node.get_logger().error(f'the settings stay as they were: {error}')
