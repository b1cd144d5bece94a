# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The joints of an episode as the URDF calls and measures them, from whatever the set has."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinema4d_ros.datasets.check import (agreement_check, finite_check, ImportCheck, moves_check,
                                         residual_check, rows_check, speed_check)
from kinema4d_ros.datasets.column_names import (arms_check, gripper_column, joint_column,
                                                named_fingers, tip_column)
from kinema4d_ros.datasets.conventions import (action_check, gripper_check, joint_unit, to_radians)
from kinema4d_ros.datasets.poses import pose_matrices
from kinema4d_ros.datasets.preset import GripperColumns, pick, RobotPreset, TipColumns
from kinema4d_ros.datasets.source import SourceEpisode
from kinema4d_ros.errors import DatasetError, KinematicsError
from kinema4d_ros.robot import ForwardKinematics, InverseKinematics, Robot
from kinema4d_ros.types import Status

_MOST_FK = 400      # rows that forward kinematics is asked for, for the checks


@dataclass(frozen=True)
class MotionSettings:
    """What the user says of a set, in place of what preset and numbers say."""

    unit: str = ''                                  # '' as the preset has it
    flip_gripper: bool = False
    residual: tuple[float, float] = (0.005, 0.05)   # [m], [rad] of IK, above which it is refused
    allow: frozenset[str] = frozenset()             # names of checks whose FAIL is no refusal
    from_tip: bool = False                          # joints by IK, though the set has some


@dataclass(frozen=True, eq=False)
class SourceMotion:
    """How the robot moved."""

    times: np.ndarray                 # (N,) float64 [s]
    joint_names: tuple[str, ...]      # all that can be commanded, as the robot has them
    positions: np.ndarray             # (N, J) float64 [rad or m]
    moved: tuple[str, ...]            # of joint_names: arm and gripper, which the set tells of
    by_ik: bool                       # the set has no joints
    checks: tuple[ImportCheck, ...]

    def why_refused(self, allow: frozenset[str] = frozenset()) -> str | None:
        """Return what is wrong with it; None where nothing is known to be."""
        return why_refused(self.checks, allow)


def why_refused(checks: tuple[ImportCheck, ...], allow: frozenset[str]) -> str | None:
    """Return the messages of the checks that FAIL; None where none does."""
    bad = [f'{check.name}: {check.message}' for check in checks
           if check.status is Status.FAIL and check.name not in allow]
    return '; '.join(bad) or None


def read_motion(episode: SourceEpisode, preset: RobotPreset, robot: Robot,
                settings: MotionSettings | None = None) -> SourceMotion:
    """
    Return the motion of an episode, and what was found out about it.

    :raises DatasetError: the set lacks joints and tip, or the robot is not that of the preset.
    """
    settings = settings or MotionSettings()
    arm = _arm_names(preset, robot)
    joints = None if settings.from_tip else joint_column(episode, preset, arm)
    posed = tip_column(episode, preset)
    tip = None if posed is None else posed[:2]
    if joints is None and tip is None:
        raise DatasetError(
            f'{episode.name} has no column of joints or tip that the preset {preset.name} names; '
            f'it has {", ".join(f"{key} ({v.shape[1]})" for key, v in episode.columns.items())}: '
            'write a preset for it')
    checks = [rows_check(episode.times, episode.stated_rows)]
    for column in (joints, tip):
        wrong = finite_check(*column) if column is not None else None
        if wrong is not None:
            checks.append(wrong)
    if any(check.status is Status.FAIL for check in checks):
        return _refused(episode, checks)
    checks.append(moves_check(joints, None if tip is None else (tip[0], tip[1][:, :3])))
    if joints is not None and joints[1].shape[1] != len(arm):
        checks.append(ImportCheck('width', Status.FAIL, joints[1].shape[1], len(arm), 'joints',
                                  f'{joints[0]} has {joints[1].shape[1]} values a row, the arm has '
                                  f'{len(arm)} joints'))
        return _refused(episode, checks)
    if 'moves' not in settings.allow and checks[-1].status is Status.FAIL:
        return _refused(episode, checks)
    two = None if joints is None else arms_check(episode, joints[0])
    if two is not None:
        checks.append(two)
    out = np.repeat(robot.configuration({})[None], len(episode.times), axis=0)
    places = [robot.joint_names.index(name) for name in arm]
    lower, upper = _limits(robot, arm)
    T_base_tip = _tip_poses(posed[1], posed[2], preset.tip) if posed and preset.tip else None
    if joints is not None:
        unit, check = joint_unit(joints[1], lower, upper, settings.unit or preset.joints.unit)
        checks.append(check)
        out[:, places] = to_radians(joints[1], unit, lower, upper)
        if T_base_tip is not None and preset.tip is not None:
            checks.append(_agreement(robot, preset, out, T_base_tip))
    elif T_base_tip is not None:
        check = _solve(robot, preset, out, places, T_base_tip, episode.times, settings)
        checks.append(check)
        if check.status is Status.FAIL and check.name not in settings.allow:
            return _refused(episode, checks)
    moved = list(arm)
    if preset.gripper is not None:
        moved += _fill_gripper(episode, preset.gripper, robot, out, checks, settings)
    speeds = np.array([np.nan if robot.limits[name].velocity is None
                       else robot.limits[name].velocity for name in arm], np.float64)
    checks.append(speed_check(arm, out[:, places], episode.times, speeds))
    checks += _actions(episode, preset, joints, tip)
    return SourceMotion(episode.times, robot.joint_names, out, tuple(moved), joints is None,
                        tuple(checks))


def _refused(episode: SourceEpisode, checks: list[ImportCheck]) -> SourceMotion:
    return SourceMotion(episode.times, (), np.zeros((len(episode.times), 0)), (), False,
                        tuple(checks))


def _arm_names(preset: RobotPreset, robot: Robot) -> tuple[str, ...]:
    for names in preset.joints.names:
        if set(names) <= set(robot.joint_names):
            return names
    raise DatasetError(
        f'the URDF has none of the joints that the preset {preset.name} names ('
        f'{"; ".join(", ".join(names) for names in preset.joints.names)}); it has '
        f'{", ".join(robot.joint_names)}')


def _limits(robot: Robot, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    limits = [robot.limits[name] for name in names]
    return (np.array([-np.inf if item.lower is None else item.lower for item in limits]),
            np.array([np.inf if item.upper is None else item.upper for item in limits]))


def _tip_poses(values: np.ndarray, form: str, told: TipColumns) -> np.ndarray:
    T = pose_matrices(values, form)
    if told.rotation_after:
        T[:, :3, :3] = T[:, :3, :3] @ np.reshape(told.rotation_after, (3, 3))
    return T


def _T_root_base(robot: Robot, preset: RobotPreset, T_root_link: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) of the link that the set takes for the base, in the root."""
    if not preset.base or preset.base == robot.root_link:
        return np.repeat(np.eye(4)[None], len(T_root_link), axis=0)
    if preset.base not in robot.link_names:
        raise DatasetError(f'the URDF has no link {preset.base!r}, which the preset {preset.name} '
                           f'calls the base; it has {", ".join(robot.link_names)}')
    found: np.ndarray = T_root_link[:, robot.link_names.index(preset.base)]
    return found


def _agreement(robot: Robot, preset: RobotPreset, positions: np.ndarray, T_base_tip: np.ndarray
               ) -> ImportCheck:
    """Compare the tip of the set with forward kinematics of its joints, for every link."""
    rows = np.unique(np.linspace(0, len(positions) - 1, _MOST_FK).astype(int))
    T_root_link = ForwardKinematics(robot)(positions[rows])
    tip = (_T_root_base(robot, preset, T_root_link) @ T_base_tip[rows])[:, :3, 3]
    offsets = {}
    for number, name in enumerate(robot.link_names):
        T = T_root_link[:, number]
        offsets[name] = np.einsum('nji,nj->ni', T[:, :3, :3], tip - T[:, :3, 3])
    link = preset.tip.link if preset.tip else ''
    return agreement_check(link, offsets)


def _solve(robot: Robot, preset: RobotPreset, out: np.ndarray, places: list[int],
           T_base_tip: np.ndarray, times: np.ndarray, settings: MotionSettings) -> ImportCheck:
    """Fill in the joints of the arm that bring the tip to where the set has it."""
    tip = preset.tip
    assert tip is not None
    if preset.joints.home:
        out[:, places] = preset.joints.home
    fk = ForwardKinematics(robot)
    T_root_tip = _T_root_base(robot, preset, fk(out[:1])) @ T_base_tip
    # A rotation of a file is one to its last digit only; the solver wants one to 1e-6.
    try:
        solver = InverseKinematics(robot, tip.link)
        out[:] = solver.solve(T_root_tip, out[0], times=times,
                              nearest=(4 * settings.residual[0], 4 * settings.residual[1]))
    except KinematicsError as error:
        return ImportCheck('IK residual', Status.FAIL, None, settings.residual[0], 'm', str(error))
    reached = fk(out)[:, robot.link_names.index(tip.link)]
    turn = np.einsum('nij,nik->njk', reached[:, :3, :3], T_root_tip[:, :3, :3])
    angle = np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1))
    away = np.linalg.norm(reached[:, :3, 3] - T_root_tip[:, :3, 3], axis=1)
    return residual_check(away, angle, settings.residual, tip.link, len(places))


def _fill_gripper(episode: SourceEpisode, told: GripperColumns, robot: Robot, out: np.ndarray,
                  checks: list[ImportCheck], settings: MotionSettings) -> list[str]:
    """Fill in the joints of the gripper; return them."""
    known = {name: ends for name, ends in told.joints.items() if name in robot.joint_names}
    if not settings.flip_gripper and (named := named_fingers(episode, told, known)):
        first, values = next(iter(named.items()))
        checks.append(gripper_check(values, *known[first]))
        part = (values - known[first][0]) / (known[first][1] - known[first][0])
        for name, (at_open, at_closed) in known.items():
            low, high = sorted((at_open, at_closed))
            out[:, robot.joint_names.index(name)] = np.clip(named.get(
                name, at_open + part * (at_closed - at_open)), low, high)
        return list(known)
    found = gripper_column(episode, told)
    if found is None or found[1].shape[1] != 1 or not known:
        why = 'the set has no column of it' if found is None or found[1].shape[1] != 1 else \
            'the URDF has none of its joints'
        checks.append(ImportCheck('gripper', Status.UNSURE, None, None, '',
                                  f'{why}; it is drawn as the URDF has it at 0'))
        return []
    opened, closed = (told.closed, told.open) if settings.flip_gripper else \
        (told.open, told.closed)
    values = found[1][:, 0]
    command = pick(episode.columns, ('action.gripper_position', 'action_dict.gripper_position',
                                     'action.gripper_closedness_action'))
    checks.append(gripper_check(values, opened, closed,
                                None if command is None else command[1][:, 0]))
    part = np.clip((values - opened) / (closed - opened), 0.0, 1.0)
    for name, (at_open, at_closed) in known.items():
        out[:, robot.joint_names.index(name)] = at_open + part * (at_closed - at_open)
    return list(known)


def _actions(episode: SourceEpisode, preset: RobotPreset, joints: tuple[str, np.ndarray] | None,
             tip: tuple[str, np.ndarray] | None) -> list[ImportCheck]:
    """Tell what the actions are, where they are of the joints or of the tip's position."""
    found = pick(episode.columns, preset.action)
    if found is None:
        return []
    if joints is not None and found[1].shape[1] >= joints[1].shape[1]:
        return [action_check(found[1][:, :joints[1].shape[1]], joints[1], episode.times)]
    if tip is not None and found[1].shape[1] >= 3:
        return [action_check(found[1][:, :3], tip[1][:, :3], episode.times)]
    return []


