# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much of the space that a motion sweeps anybody has seen, link by link."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.precheck.robot_checker import RobotChecker
from kinema4d_ros.precheck.tier1.swept_space import SweptSpace
from kinema4d_ros.scene import Knowledge
from kinema4d_ros.types import JointTrajectory, Observation


@dataclass(frozen=True)
class Swept:
    """The space that a link, or the whole robot, goes through in a motion."""

    volume: float                # [m^3]
    #: shares of the volume, 0 to 1, by what is known of it; they add up to 1
    shares: Mapping[Knowledge, float] = field(default_factory=dict)

    @property
    def unseen(self) -> float:
        """0..1 of the volume that nobody vouches for; 0 of a volume of nothing."""
        return sum(share for why, share in self.shares.items() if why > Knowledge.REMEMBERED)


@dataclass(frozen=True)
class SweptKnowledge:
    """What is known of the space that a motion sweeps; where it starts counts as known."""

    whole: Swept                        # of all moving links together, each place once
    links: Mapping[str, Swept]          # of each link that moves and has a shape


def swept_knowledge(checker: RobotChecker, observation: Observation, trajectory: JointTrajectory,
                    start: Mapping[str, float] | None = None) -> SweptKnowledge:
    """
    Return how much of what a motion sweeps is seen, remembered, or not known, and why.

    It is measured as tier 1 measures it: in voxels of 2 cm, by the cameras that are believed and
    the sources from elsewhere, with memory. How far from what is known a place is does not count.

    :param start: as for `RobotChecker.tier1`.
    """
    scene = checker.scene_of(observation)
    motion = checker.rollout_of(scene.observation, trajectory, start)
    fields, settings = checker.fields, checker.settings.tier1
    index = [motion.link_names.index(name) for name in fields.link_names]
    T = motion.T_base_link[:, index]
    moving = [name for name, is_moving in zip(
        fields.link_names, np.abs(T - T[:1]).max(axis=(0, 2, 3)) > 1e-4) if is_moving]
    space = SweptSpace.of(scene, motion, fields, dict.fromkeys(moving, 1), settings.known_free)
    return SweptKnowledge(
        _swept(space, {why: int(np.count_nonzero((space.knowledge == why) & (space.swept & 1 > 0)))
                       for why in Knowledge}),
        {name: _swept(space, {why: space.entered(name, space.knowledge == why)[0]
                              for why in Knowledge}) for name in moving})


def _swept(space: SweptSpace, voxels: Mapping[Knowledge, int]) -> Swept:
    total = sum(voxels.values())
    return Swept(total * space.voxel ** 3,
                 {why: count / total for why, count in voxels.items() if count})
