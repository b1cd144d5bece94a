# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a motion takes the tool."""
import numpy as np

from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import ForwardKinematics, Robot, swept_path, tool_path
from kinema4d_ros.types import JointTrajectory

ARM = Robot.from_urdf((share_dir() / 'urdf' / 'demo_arm.urdf').read_text())
POLE = Robot.from_urdf('''<robot name="pole"><link name="a"/><link name="b"/><link name="c"/>
<joint name="turn" type="revolute"><parent link="a"/><child link="b"/><axis xyz="0 0 1"/>
<limit lower="-4" upper="4" velocity="1" effort="1"/></joint>
<joint name="end" type="fixed"><parent link="b"/><child link="c"/><origin xyz="2 0 1"/></joint>
</robot>''')


def test_without_a_gripper_the_end_of_the_arm_counts():
    angles = np.linspace(0.0, 3.0, 7)
    path = tool_path(POLE, ForwardKinematics(POLE)(angles[:, None]))
    expected = np.column_stack([2 * np.cos(angles), 2 * np.sin(angles), np.ones(7)])
    np.testing.assert_allclose(path, expected, atol=1e-12)


def test_the_middle_of_the_fingers_does_not_move_when_they_close():
    open_, closed = (ARM.configuration({'finger_joint': at, 'right_finger_joint': at},
                                       strict=False) for at in (0.02, 0.0))
    path = tool_path(ARM, ForwardKinematics(ARM)(np.array([open_, closed])))
    np.testing.assert_allclose(path[0], path[1], atol=1e-12)


def test_a_path_has_a_place_for_each_time_and_a_bad_trajectory_none():
    turn = JointTrajectory(('turn',), [0.0, 1.0], [[0.0], [1.0]])
    path = swept_path(POLE, turn, {'turn': 0.0}, points=11)
    assert path.shape == (11, 3)
    np.testing.assert_allclose(path[0], (2.0, 0.0, 1.0), atol=1e-12)
    np.testing.assert_allclose(path[-1], (2 * np.cos(1), 2 * np.sin(1), 1.0), atol=1e-12)
    bad = JointTrajectory(('turn',), [0.0, 1.0], [[0.0], [np.nan]])
    assert swept_path(POLE, bad, {'turn': 0.0}).shape == (0, 3)
