# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The inverse kinematics of the recorder's plans, on the robot description alone."""
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.episodes.libero.frames import about_z, tilted
from kinema4d_ros.episodes.libero.plan import (ARM_JOINTS, CLOSED, CubicInterpolation, follow,
                                               MAX_ACCELERATION, MAX_SPEED, OPEN, Step,
                                               UnreachableError)
from kinema4d_ros.robot import ForwardKinematics, Robot

URDF = Path(__file__).parents[2] / 'urdf' / 'panda' / 'panda.urdf'
START = np.array([0.02, -0.15, 0.0, -2.48, 0.0, 2.25, 0.8])
GRIP = np.array([0.0, 0.0, 0.097])      # [m] of the grip point from the hand's origin


class Arm:
    """A Panda with nothing around: what a plan needs of a scene."""

    def __init__(self):
        self.robot = Robot.from_urdf(URDF.read_text(), package_paths=[URDF.parent])
        self._forward = ForwardKinematics(self.robot)
        names, links = self.robot.joint_names, self.robot.link_names
        self._columns = [names.index(name) for name in ARM_JOINTS]
        self._links = [links.index(f'panda_link{i}') for i in range(1, 8)]
        self._hand = links.index('panda_hand')
        self.arm_positions = START
        limits = [self.robot.joints[name].limit for name in ARM_JOINTS]
        self.arm_limits = tuple(np.array([[limit.lower, limit.upper] for limit in limits]).T)

    def scratch(self):
        return None

    def grip_kinematics(self, positions, scratch):
        """Each of the Panda's joints turns about z of its child's frame."""
        row = np.zeros((1, len(self.robot.joint_names)))
        row[0, self._columns] = positions
        poses = self._forward(row)[0]
        grip = poses[self._hand].copy()
        grip[:3, 3] += grip[:3, :3] @ GRIP
        axes, origins = poses[self._links, :3, 2], poses[self._links, :3, 3]
        return grip, np.r_[np.cross(axes, grip[:3, 3] - origins).T, axes.T]


@pytest.fixture(scope='module')
def arm():
    return Arm()


def grips(arm, trajectory):
    """Return T_base_grip at each point of a trajectory, (N, 4, 4)."""
    return np.array([arm.grip_kinematics(row[:7], None)[0] for row in trajectory.positions])


def test_hand_tilts_towards_a_drawer_and_pulls_straight(arm):
    """Turning far from where the elbow was at the start: no jerk, no limit that is broken."""
    before, turn = arm.grip_kinematics(START, None)[0], tilted(np.array([0.0, 1.0, 0.0]), 1.3)
    bar, out = np.array([0.7, -0.09, 0.104]), np.array([0.0, 0.15, 0.0])
    trajectory = follow(arm, [Step(bar, OPEN, turn=turn), Step(None, CLOSED),
                              Step(bar + out, CLOSED, 0.15)])
    found = grips(arm, trajectory)
    np.testing.assert_allclose(found[-1, :3, :3], turn @ before[:3, :3], atol=0.01)
    np.testing.assert_allclose(found[-1, :3, 3], bar + out, atol=1e-3)
    pulled = trajectory.positions[:, 7] == CLOSED
    assert np.abs(found[pulled][:, :3, 3] - bar)[:, [0, 2]].max() < 2e-3
    # Fingers that close up and down point where the drawer is.
    assert found[-1, :3, 2] @ [0.0, -1.0, 0.0] > 0.9
    fine = CubicInterpolation(trajectory)
    moments = np.arange(0.0, trajectory.duration, 0.01)
    assert (np.abs([fine(t)[1][:7] for t in moments]) <= MAX_SPEED * 1.15).all()
    assert (np.abs([fine(t)[2][:7] for t in moments]) <= MAX_ACCELERATION * 1.5).all()


def test_quarter_turn_and_back_ends_where_it_began(arm):
    place = arm.grip_kinematics(START, None)[0][:3, 3]
    aside = place + [0.1, 0.1, -0.05]
    trajectory = follow(arm, [Step(aside, OPEN, turn=about_z(np.pi / 2)),
                              Step(place, OPEN, turn=np.eye(3))])
    assert np.abs(trajectory.positions[-1, :7] - START).max() < 0.1
    assert np.ptp(trajectory.positions[:, 6]) > 1.2


def test_knob_is_turned_from_far_aside(arm):
    """An elbow that is pulled back by fits and starts would have to go half as fast."""
    knob, up = np.array([0.466, -0.2, 0.043]), np.array([0.0, 0.0, 0.12])
    trajectory = follow(arm, [Step(knob + up, OPEN, turn=about_z(1.44)), Step(knob, OPEN),
                              Step(None, CLOSED), Step(knob, CLOSED, 0.15, about_z(-0.1)),
                              Step(None, OPEN), Step(knob + up, OPEN)])
    assert trajectory.duration < 14.0
    turned = trajectory.positions[:, 6]
    assert np.ptp(turned[trajectory.positions[:, 7] == CLOSED]) == pytest.approx(1.54, abs=0.3)


@pytest.mark.parametrize('step', [Step(np.array([1.3, 0.0, 0.3]), OPEN),
                                  Step(np.array([0.4, 0.0, 0.3]), OPEN, turn=about_z(-2.6))])
def test_what_cannot_be_reached_says_so(arm, step):
    with pytest.raises(UnreachableError, match='cannot reach|beyond the limits'):
        follow(arm, [step])
