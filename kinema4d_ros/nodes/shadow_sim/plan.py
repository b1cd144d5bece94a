# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is to be done for a request, as it and the settings say when it comes."""
from __future__ import annotations

from typing import NamedTuple

from kinema4d_ros.nodes.shadow_sim.requests import PrecheckRequest
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.precheck import Goal

_PREDICTED = 2    # the tier that looks at what the world model predicts


class Plan(NamedTuple):
    """What is to be done for a request."""

    settings: ShadowSimSettings         # as they were when it came; it keeps them to its end
    goal: Goal | None
    wanted: frozenset[int]              # tiers that the answer waits for
    is_judged: bool                     # whether tier 2 looks at the predictions

    @classmethod
    def of(cls, request: PrecheckRequest, settings: ShadowSimSettings) -> Plan:
        """
        Return the plan of a request.

        :param settings: as they are now.
        """
        values = settings.values
        goal = request.goal or settings.goal
        wanted = {*values['required_tiers'], *request.tiers}
        if goal is not None:
            wanted.add(1)       # which foresees the outcome
        return cls(settings, goal, frozenset(wanted),
                   _PREDICTED in wanted or _PREDICTED in values['late_tiers'])

    @property
    def predicts_first(self) -> bool:
        """Whether the answer waits for what the world model predicts."""
        return _PREDICTED in self.wanted
