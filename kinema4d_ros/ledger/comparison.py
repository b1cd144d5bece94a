# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What was predicted of a motion against what camera and joints saw of it: an entry."""
from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.foresight import can_grasp, Fingers
from kinema4d_ros.ledger.entry import LedgerEntry, Origin
from kinema4d_ros.ledger.joints import executed, follow
from kinema4d_ros.ledger.limits import judged, LedgerLimits
from kinema4d_ros.ledger.motions import PredictedMotion, SeenMotion
from kinema4d_ros.ledger.prediction import held_at_end, is_loose, kind_of, places_of
from kinema4d_ros.ledger.scene import compare_scenes
from kinema4d_ros.precheck import CameraCheck, PrecheckSettings
from kinema4d_ros.precheck.look import Look
from kinema4d_ros.precheck.robot_checker import RobotChecker
from kinema4d_ros.robot import Robot
from kinema4d_ros.robot.distances import REACH
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation


class Comparer:
    """
    Compares motions of one robot; a context manager.

    One thread owns it. Motions are to come in the order of their stamps.
    """

    def __init__(self, robot: Robot, settings: PrecheckSettings | None = None,
                 limits: LedgerLimits = LedgerLimits()):
        """
        Load what the robot looks like.

        :param settings: as the motions were judged by; its tracking model is left out, since where
            the joints went is measured here.
        :raises MeshError: a mesh cannot be read.
        """
        self.limits, self._robot = limits, robot
        settings = dataclasses.replace(settings or PrecheckSettings(), tracking=None)
        self._simulator = ShadowSimulator(robot, None, settings=settings)

    def close(self) -> None:
        """Let go of what was kept."""
        self._simulator.close()

    def compare(self, motion: PredictedMotion, seen: SeenMotion, *,
                origin: Origin = Origin.ROBOT, kind: str = '', task: str = '',
                success: bool | None = None, time_ns: int | None = None) -> LedgerEntry:
        """
        Return the entry of a motion; what cannot be found out is unknown in it.

        :param kind: of motion; '' for what the verdict foresees.
        :param success: whether somebody says that the task is done.
        :param time_ns: wall clock; None for now.
        """
        verdict, checker = motion.verdict, self._simulator.checker()
        self._simulator.forget()
        places = places_of(verdict, self.limits.place)
        entry = LedgerEntry(
            time.time_ns() if time_ns is None else time_ns, str(origin), self._robot.name,
            self._robot.description_hash, verdict.world_model, verdict.checkpoint_hash,
            kind or kind_of(verdict), task, verdict.status.name, motion.rollout_id,
            verdict.trajectory_hash, str(seen.ended), motion.observation.stamp_ns,
            motion.trajectory.duration, _within_reach(verdict.min_clearance),
            verdict.clearance_sigma,
            held_at_end(verdict), verdict.success, places, success=success)
        doubts: list[str] = []
        followed = follow(seen.history, motion.trajectory, self._robot,
                          motion.start or motion.observation.start)
        if followed is None:
            doubts.append(seen.history.why_unknown() or 'a joint of it is not in the joint states')
        else:
            entry = dataclasses.replace(
                entry, seconds=followed.seconds, path_error=followed.path_error,
                end_error=followed.end_error)
        for look in (self._clearance, self._after):
            try:
                entry = dataclasses.replace(entry, **look(checker, motion, seen, doubts))
            except Kinema4DError as error:      # it stays unknown, and says why
                doubts.append(str(error))
        entry = judged(entry, self.limits)
        return dataclasses.replace(entry, reasons=(*entry.reasons, *doubts))

    @staticmethod
    def _clearance(checker: RobotChecker, motion: PredictedMotion, seen: SeenMotion,
                   doubts: list[str]) -> dict[str, Any]:
        """Return the least clearance that the robot truly had to the scene as it was seen."""
        path = executed(seen.history, checker.robot)
        if path is None:
            return {}
        begin: Mapping[str, float] = dict(zip(path.joint_names, path.positions[0].tolist()))
        start = {**motion.observation.joint_positions, **begin}
        found = checker.tier1(motion.observation, path, start)
        if found.clearance is None:
            doubts.append('the clearance could not be measured: ' + (
                found.findings[0].message if found.findings else 'nothing of the scene is known'))
            return {}
        return {'seen_clearance': _within_reach(found.clearance.minimum)}

    def _after(self, checker: RobotChecker, motion: PredictedMotion, seen: SeenMotion,
               doubts: list[str]) -> dict[str, Any]:
        """Return what the cameras see when it has ended."""
        if seen.after is None:
            doubts.append(seen.why_not_seen or 'no camera saw the end of it')
            return {}
        before, after = checker.look(motion.observation), checker.look(seen.after)
        told: dict[str, Any] = {'robot_residual': None if checker.settings.tier1.camera_check
                                is CameraCheck.OFF else _residual(after)}
        if not (before.is_believed and after.is_believed):
            doubts.append('the cameras are not believed: '
                          + (after.findings or before.findings)[0].message)
            return told
        fingers, is_shut = self._fingers(seen.after)
        told['seen_held'] = False if is_shut else True if any(
            each.in_fingers for each in after.held.objects) else None if after.held.doubt else False
        found = compare_scenes(
            before.scene, after.scene, places_of(motion.verdict, self.limits.place), self.limits,
            fingers=fingers, is_loose=is_loose(motion.verdict))
        if found is not None:
            told |= {'scene_compared': True, 'unforeseen': found.unforeseen,
                     'missing': found.missing, 'hidden': found.hidden}
        return told

    def _fingers(self, after: Observation) -> tuple[np.ndarray | None, bool]:
        """Return the middle between the fingers (3,) [m] base, and whether they are shut."""
        gripper = self._simulator.gripper
        if gripper is None or not set(gripper.finger_joints) <= set(after.joint_positions):
            return None, False
        here = JointTrajectory(gripper.finger_joints, np.array([0.0, 1.0]), np.array(
            [[after.joint_positions[name] for name in gripper.finger_joints]] * 2))
        rollout = self._simulator.checker().rollout_of(after, here, after.joint_positions)
        if not can_grasp(rollout):
            return None, False
        fingers = Fingers(rollout)
        return fingers.middle_base(0), bool(fingers.gap[0] < _SHUT)


def _within_reach(clearance: float | None) -> float | None:
    """Return a clearance [m], REACH where nothing is as near as distances are known."""
    return clearance if clearance is None or math.isnan(clearance) else min(clearance, REACH)


_SHUT = 0.002       # [m] between fingers that hold nothing


def _residual(look: Look) -> float | None:
    """Return how far cameras see the robot from where its joints say [m], the worst; None."""
    found = [view.agreement.offset for view in look.views
             if view.agreement.why_not_compared() is None]
    return max(found) if found else None
