# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a motion does to the world by a simulation with dynamics, for tier 1."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.precheck.dynamics_rules import DynamicsRules
from kinema4d_ros.precheck.goal_rules import Region
from kinema4d_ros.precheck.neighbours import moved_neighbours
from kinema4d_ros.precheck.outcome import MovedObject, Outcome
from kinema4d_ros.precheck.verdict import not_checked
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import Finding, FindingCode, RobotRollout

if TYPE_CHECKING:      # what it needs takes a quarter of a second to import, and few ask for it
    from kinema4d_ros.world_model.physics import Reconstruction, Tale

_AT = 0.05      # [m] two places closer than this are one object


class SimulatedOutcome:
    """Simulates motions in one scene after the other; what is made of a scene is kept."""

    def __init__(self, largest: float):
        """
        Make it, without a scene.

        :param largest: [m] longest horizontal extent of what can move.
        """
        self._largest = largest
        self._seen: tuple[Scene, Reconstruction | None] | None = None

    def foresee(self, geometric: Outcome, scene: Scene, motion: RobotRollout,
                rules: DynamicsRules) -> tuple[Outcome, tuple[Finding, ...]]:
        """
        Return the outcome by simulation, and the findings that it adds.

        Where nothing can be simulated the geometric outcome stays, and a finding forbids a PASS:
        somebody asked for a simulation. So it never speaks for a motion, only against it.

        :param geometric: the outcome as geometry foresees it.
        """
        from kinema4d_ros.world_model.physics import Tale

        try:
            reconstruction = self._reconstructed(scene)
            if reconstruction is None:
                return geometric, (not_checked(
                    'no level surface is seen that things could stand on, so what the motion does '
                    'to them could not be simulated'),)
            tale = Tale(reconstruction, scene.views[reconstruction.source], motion,
                        members=rules.members, pictures=False, foreseen=geometric.events)
        except Kinema4DError as error:
            return geometric, (not_checked(f'what the motion does to things could not be '
                                           f'simulated: {error}'),)
        events = tuple(each.event for each in tale.events)
        found = rules.findings(events)
        pushed = [f.point_base for f in found if f.point_base is not None
                  and f.code in (FindingCode.PUSHED, FindingCode.DRAGGED, FindingCode.TOPPLED)]
        outcome = Outcome(
            events, _ends(tale, geometric), _others(geometric.swept, pushed), geometric.doubts,
            members=tuple(_ends(tale, geometric, run)
                          for run in range(len(tale.ensemble.runs))))
        return outcome, found

    def neighbours(self, geometric: Outcome, scene: Scene, motion: RobotRollout,
                   rules: DynamicsRules, places: Sequence[Region]) -> tuple[Finding, ...]:
        """
        Return what speaks against a motion since things are moved that nobody meant.

        :param places: where the goal wants things to go.
        """
        from kinema4d_ros.world_model.physics import Tale

        try:
            reconstruction = self._reconstructed(scene)
            if reconstruction is None:
                return (not_checked(
                    'no level surface is seen that things could stand on, so what the motion does '
                    'to them beside the goal could not be simulated'),)
            tale = Tale(reconstruction, scene.views[reconstruction.source], motion,
                        members=rules.neighbours, pictures=False)
        except Kinema4DError as error:
            return (not_checked('what the motion does to things beside the goal could not be '
                                f'simulated: {error}'),)
        return moved_neighbours(tale.ensemble, tale.world.things, geometric, places)

    def _reconstructed(self, scene: Scene) -> Reconstruction | None:
        from kinema4d_ros.world_model.physics import reconstruct_all

        if self._seen is None or self._seen[0] is not scene:
            self._seen = scene, reconstruct_all(scene, self._largest, pictures=False)
        return self._seen[1]

    def forget(self) -> None:
        """Forget the scene."""
        self._seen = None


def _ends(tale: Tale, geometric: Outcome, run: int = 0) -> tuple[MovedObject, ...]:
    """
    Return where the things that move end in one of the runs.

    What geometry doubts of a grasp or a landing is doubtful here too.
    """
    ends = []
    for start, end, bottom in tale.ends(run):
        grip = next((doubt.message for doubt in geometric.doubts if doubt.point_base is not None
                     and np.linalg.norm(np.subtract(doubt.point_base, start)) < _AT), '')
        landing = next((item.landing_doubt for item in geometric.moved
                        if np.linalg.norm(item.start - start) < _AT), '')
        ends.append(MovedObject(start, end, bottom, grip, landing))
    return (*ends, *(item for item in geometric.moved if item.is_part))


def _others(swept: Sequence[Finding], places: Sequence[Sequence[float]]) -> tuple[Finding, ...]:
    """Return what is swept by geometry and not told by the simulation."""
    return tuple(finding for finding in swept if finding.point_base is None or not any(
        np.linalg.norm(np.subtract(finding.point_base, place)) < _AT for place in places))
