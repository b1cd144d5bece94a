# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The motion of an incident packet judged again, and compared with the recorded verdict."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.incident.meshes import changed_meshes
from kinema4d_ros.incident.packet import IncidentPacket, IncidentRules
from kinema4d_ros.precheck.sequence import run_precheck
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Severity, StartState, Verdict
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.registry import model_class, without_needless_device
from kinema4d_ros.world_model.base import WorldModel

#: numbers of a verdict, and by how much they may differ when it is made again
TOLERANCES = {'min_clearance': 0.002, 'clearance_sigma': 0.002, 'safe_prefix': 0.05,
              'success': 0.05, 'action_following': 0.005, 'speed_factor': 0.05}


@dataclass(frozen=True)
class ReplayResult:
    """A verdict that was made again, and how it differs from the one that was recorded."""

    verdict: Verdict
    recorded: Verdict
    differences: tuple[str, ...]      # sentences; none when it is reproduced
    notes: tuple[str, ...]            # what may explain differences: other meshes, other weights

    @property
    def is_reproduced(self) -> bool:
        """Whether status, findings and numbers came again."""
        return not self.differences


def replay(packet: IncidentPacket, *, package_paths: Sequence[str | Path] = (),
           world_model: WorldModel | None = None,
           report: Callable[[str, int, int], None] = lambda *_: None) -> ReplayResult:
    """
    Judge the motion of a packet again, from nothing but the packet, meshes and weights.

    :param package_paths: folders to look for mesh packages in.
    :param world_model: to predict with, where tier 2 was run; None for the one that the packet
        names. One that it names as module:Class is not imported: a file from elsewhere must not
        choose what code runs here.
    :param report: as WorldModel.predict.
    :raises MeshError: a mesh is missing here; the message names it and the places searched.
    :raises WorldModelError: the world model cannot be had.
    """
    rules = packet.rules
    robot = Robot.from_urdf(packet.robot_description, package_paths=package_paths)
    notes = [*robot.warnings, *changed_meshes(robot, packet.meshes)]
    if world_model is None:
        world_model = _world_model(rules)
    if 2 in rules.tiers and world_model.fingerprint != rules.checkpoint_hash:
        notes.append(f'the weights are others: {world_model.fingerprint or "none"} here, '
                     f'{rules.checkpoint_hash or "none"} then')
    mount = LinkPose(rules.camera_link, np.array(rules.T_link_camera)) if rules.camera_link \
        else None
    simulator = ShadowSimulator(
        robot, world_model, frames=rules.frames, meshes=load_meshes(robot),
        camera_poses=None if mount is None else mount.poses)
    try:
        verdict = run_precheck(
            simulator, simulator.checker(rules.settings), packet.observation, packet.trajectory,
            tiers=rules.tiers, required=rules.required, goal=rules.goal, seed=rules.seed,
            report=report, live_joints=StartState(rules.live_joints, rules.live_velocities))
    finally:
        simulator.close()
    return ReplayResult(verdict, packet.verdict, differences(packet.verdict, verdict), tuple(notes))


def differences(recorded: Verdict, again: Verdict) -> tuple[str, ...]:
    """
    Return how two verdicts on one motion differ, a sentence each.

    Findings count by code and link as long as they speak against the motion; what the
    surroundings of a live node add (a stale image, a deadline) is not to be had again and reported.
    """
    found = []
    if recorded.status != again.status:
        found.append(f'status: {recorded.status.name} then, {again.status.name} now '
                     f'({again.summary})')
    then, now = _against(recorded), _against(again)
    found += [f'finding {name} of then did not come again' for name in sorted(then - now)]
    found += [f'finding {name} is new' for name in sorted(now - then)]
    for name in ('trajectory_hash', 'robot_hash'):
        if getattr(recorded, name) != getattr(again, name):
            found.append(f'{name} differs: the packet was put together from different parts')
    for name, tolerance in TOLERANCES.items():
        a, b = getattr(recorded, name), getattr(again, name)
        if a == b:      # not measured, or nothing near at all, which no subtraction shows
            continue
        if a is None or b is None or not abs(a - b) <= tolerance:
            found.append(f'{name}: {_number(a)} then, {_number(b)} now')
    return tuple(found)


def _against(verdict: Verdict) -> set[str]:
    return {f'{f.severity.name} {f.code.name}' + (f' of {f.link}' if f.link else '')
            for f in verdict.findings if f.severity > Severity.INFO}


def _number(value: float | None) -> str:
    return 'not measured' if value is None else f'{value:.4g}'


def _world_model(rules: IncidentRules) -> WorldModel:
    if 2 not in rules.tiers:
        return load_world_model('frozen')       # nothing is predicted
    if ':' in rules.world_model:
        raise WorldModelError(
            f'the packet was made with the world model {rules.world_model!r}, which is not part of '
            'this package and is not imported on the word of a file; make it and pass it as '
            'world_model')
    return load_world_model(rules.world_model, **without_needless_device(
        model_class(rules.world_model), rules.model_settings))
