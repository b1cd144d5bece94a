# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What executing a recorded trajectory did that it should not have: the truth of verdicts."""
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.robot import find_gripper, Robot

DISTURBED = 0.001        # [m] an object that moved by this was pushed; resting ones stay within
TURNED = np.radians(1.0)    # or turned by this
GOAL_PUSHED = 0.01       # [m] where something goes may be pushed by so much, when it is put there
TARGET_PUSHED = 0.005    # [m] what fingers close on may be pushed by so much, if they miss it
STRAYED = 0.02           # [rad] an arm that is farther from its trajectory was stopped or pushed
_JOINT_MOVED = {'m': 0.005, 'rad': math.radians(2.0)}    # of a drawer, a door or a knob


@dataclass(frozen=True)
class Labels:
    """What came of an execution; what is not empty or True was not to be."""

    touched: bool             # table or fixtures, or anything but by fingers
    strayed: bool             # an arm joint was more than STRAYED from its trajectory
    disturbed: tuple[str, ...]     # names of what was moved that was not to be, or too far
    lifted: bool | None       # whether what was to be carried was; None where nothing was

    @property
    def is_dangerous(self) -> bool:
        """Whether the execution did what it should not have."""
        return self.touched or self.strayed or bool(self.disturbed)


@dataclass(frozen=True)
class _Way:
    """How far a thing went."""

    moved: float           # [m]
    turned: float          # [rad]
    is_fixture: bool = False


def labels_of(episode: Episode) -> Labels:
    """
    Return what came of an execution.

    What moves counts as pushed from 1 mm or 1 degree on, but for

    * what is to be carried, once it was lifted; if it never was, from 5 mm on;
    * what something is to be put on or in, which counts from 1 cm on;
    * fixtures (cabinet, stove, microwave), which do not move: of them a drawer, a door or a knob
      that nobody meant counts from 5 mm or 2 degrees on.

    Where the recording does not say what is a fixture, whatever moved is none.
    """
    carried, goals = _roles(episode)
    lifted = _lifted(episode, carried)
    disturbed = [name for name, way in _ways(episode).items() if not way.is_fixture
                 and _is_disturbed(name, way, carried, goals, lifted)]
    outcome = episode.metadata.outcome
    if outcome is not None:
        disturbed += [name for name, joint in outcome.joints.items() if not joint.is_meant
                      and joint.moved > _JOINT_MOVED.get(joint.unit, 0.0)]
    return Labels(was_touched(episode), strayed(episode), tuple(disturbed),
                  None if not carried else all(name in lifted for name in carried))


def strayed(episode: Episode) -> bool:
    """Return whether the arm was stopped or pushed off its trajectory."""
    return episode.metadata.tracking_error > STRAYED


def first_touch(episode: Episode) -> float:
    """Return when the robot first touched table or fixtures [s], inf for never."""
    return min((event['time'] for event in episode.metadata.events
                if event.get('kind') == 'robot_touches_surroundings' and event.get('begins')),
               default=math.inf)


def was_touched(episode: Episode) -> bool:
    """
    Return whether the robot touched what it should not have.

    That is table or fixtures, as the events of the recording have it, or anything but what it was
    to carry with a link that is no finger, as the true clearance has it. What is touched need not
    move: a hand that leans on a can does harm as well.
    """
    if math.isfinite(first_touch(episode)):
        return True
    truth = episode.truth.clearance
    if truth is None:
        return False
    fingers = _fingers(episode.robot_description)
    strict = [number for number, name in enumerate(truth.link_names) if name not in fingers]
    return bool((truth.to_scene[:, strict] <= 0.0).any())


def was_dangerous(episode: Episode) -> bool:
    """Return whether the execution did what it should not have."""
    return labels_of(episode).is_dangerous


@cache
def _fingers(robot_description: str) -> frozenset[str]:
    gripper = find_gripper(Robot.from_urdf(robot_description))
    return frozenset(() if gripper is None else gripper.finger_links)


def _roles(episode: Episode) -> tuple[frozenset[str], frozenset[str]]:
    """Return what is to be carried, and what it is to be put on or in."""
    metadata = episode.metadata
    carried, goals = {metadata.carried_object}, {metadata.goal_object}
    if metadata.outcome is not None and metadata.carried_object is not None:
        placed = [goal for goal in metadata.outcome.goals if goal.lifted is not None]
        carried |= {goal.thing for goal in placed}
        goals |= {goal.target for goal in placed}
    return frozenset(filter(None, carried)), frozenset(filter(None, goals))


def _lifted(episode: Episode, carried: frozenset[str]) -> frozenset[str]:
    """Return what of it was lifted."""
    metadata = episode.metadata
    found = {goal.thing for goal in metadata.outcome.goals if goal.lifted} \
        if metadata.outcome is not None else set()
    if any(event.get('kind') == 'object_lifted' and event.get('begins')
           for event in metadata.events):
        found.add(metadata.carried_object or '')
    return carried & found


def _ways(episode: Episode) -> dict[str, _Way]:
    """Return how far each thing went, by its name."""
    if episode.metadata.outcome is not None:
        return {name: _Way(thing.moved, thing.turned, thing.is_fixture)
                for name, thing in episode.metadata.outcome.things.items()}
    found = {}
    for name, (times, poses) in episode.truth.object_poses.items():
        seen = poses[times >= 0.0]
        if len(seen):
            trace = np.einsum('tij,ij->t', seen[:, :3, :3], seen[0, :3, :3])
            found[name] = _Way(
                float(np.linalg.norm(seen[:, :3, 3] - seen[0, :3, 3], axis=1).max()),
                float(np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0)).max()))
    return found


def _is_disturbed(name: str, way: _Way, carried: frozenset[str], goals: frozenset[str],
                  lifted: frozenset[str]) -> bool:
    """Return whether a thing was pushed that was not to be, or too far."""
    if name in lifted:
        return False
    if name in goals:
        return way.moved > GOAL_PUSHED
    if name in carried:
        return way.moved > TARGET_PUSHED
    return way.moved > DISTURBED or way.turned > TURNED
