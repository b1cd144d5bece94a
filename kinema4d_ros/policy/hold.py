# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Actions that keep a robot where it is, in whatever form a policy's actions have."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.action_format import GripperColumn, Reference
from kinema4d_ros.robot.kinematics import ForwardKinematics


def hold_actions(reader: ActionReader, positions: Mapping[str, float], width: int, rows: int
                 ) -> np.ndarray:
    """
    Return `rows` actions that hold all joints, (rows, width) float64 in the policy's own numbers.

    Changes and velocities are zero, places and positions those of `positions`; grippers are told
    what they are nearer to, open or closed, where their numbers have a threshold.

    :param positions: [rad or m] by name, of all joints of the robot.
    :param width: columns, one of `form.widths`.
    """
    form, robot = reader.form, reader.robot
    still = form.reference is not Reference.ABSOLUTE or form.velocity is not None
    place = width - len(form.joints) - len(form.grippers)
    tip = np.zeros(0)
    if form.tip_link and still:
        tip = np.zeros(place)
        if place == 7 and form.velocity is None:
            tip[6] = 1.0                    # no turn, as a quaternion
    elif form.tip_link:
        here = robot.configuration(positions, strict=False)
        pose = ForwardKinematics(robot)(here[None])[0, robot.link_names.index(form.tip_link)]
        turn = Rotation.from_matrix(pose[:3, :3])
        tip = np.concatenate([pose[:3, 3], turn.as_quat() if place == 7 else
                              turn.as_euler('xyz') if form.rpy else turn.as_rotvec()])
    joints = [0.0 if still and name not in form.absolute_joints else positions[name]
              for name in form.joints]
    arm = np.concatenate([tip, joints]) - (np.asarray(form.offset) if form.offset else 0.0)
    arm = arm / (np.asarray(form.scale) if form.scale else 1.0)
    action, places = np.zeros(width), [gripper.column % width for gripper in form.grippers]
    action[np.delete(np.arange(width), places)] = arm
    for gripper, column in zip(form.grippers, places):
        action[column] = _number(gripper, positions)
    return np.tile(action, (rows, 1))


def stopped_after(reader: ActionReader, actions: np.ndarray, executed: int) -> np.ndarray:
    """
    Return as many actions, of which those after the first `executed` stay where these lead.

    Changes and velocities become zero; places, positions and grippers are those of the last one.

    :param actions: (N, columns) in the policy's own numbers; the same array if N <= `executed`.
    """
    form = reader.form
    if len(actions) <= executed:
        return actions
    width, rest = actions.shape[1], actions[executed - 1].copy()
    if form.velocity is not None or form.reference is Reference.PREVIOUS:
        still = hold_actions(reader, dict.fromkeys(reader.robot.joint_names, 0.0), width, 1)[0]
        places = [gripper.column % width for gripper in form.grippers]
        columns = np.delete(np.arange(width), places)
        first = len(columns) - len(form.joints)
        kept = [columns[first + form.joints.index(name)] for name in form.absolute_joints]
        changes = np.setdiff1d(columns, kept)
        rest[changes] = still[changes]
    return np.vstack([actions[:executed], np.tile(rest, (len(actions) - executed, 1))])


def _number(gripper: GripperColumn, positions: Mapping[str, float]) -> float:
    """Return the number that keeps a gripper; open where it has no joints to tell by."""
    parts = [(positions[name] - opened) / (closed - opened)
             for name, (opened, closed) in gripper.joints.items()
             if name in positions and opened != closed]
    part = float(np.clip(parts[0], 0.0, 1.0)) if parts else 0.0
    if gripper.threshold is not None:
        part = float(part > 0.5)
    return gripper.open + part * (gripper.closed - gripper.open)
