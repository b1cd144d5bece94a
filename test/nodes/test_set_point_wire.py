# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Set points of every kind as joints, and those of the gate's own; no node."""
import numpy as np
import pytest
from gate_driver import READY, ROBOT
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped, Vector3
from graph import JOINTS  # noqa: F401 - skips where the interfaces are not built
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from kinema4d_ros.bridge.motion import duration_message, time_message
from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.gate.set_points import SetPointKind
from kinema4d_ros.nodes.set_point_gate.wire import topics_of, wire_of
from kinema4d_ros.robot import ForwardKinematics

ARM = tuple(READY)[:6]
TIP = ROBOT.joints['wrist_roll_joint'].child
LIVE = ROBOT.configuration(READY)
FK = ForwardKinematics(ROBOT)
COLUMNS = [ROBOT.joint_names.index(name) for name in ARM]


def read(kind, message, live=LIVE, now_ns=0):
    return wire_of(SetPointKind(kind), ROBOT, ARM, TIP).read(serialize_message(message), live,
                                                             now_ns)


def tip(q):
    return FK(q[None])[0, ROBOT.link_names.index(TIP)]


def one_point(names=ARM, lasts=0.02, **fields):
    given = {'positions': LIVE[COLUMNS].tolist(), **fields}
    return JointTrajectory(joint_names=list(names), points=[JointTrajectoryPoint(
        time_from_start=duration_message(lasts), **given)])


def test_an_array_is_its_numbers_and_back():
    assert read('position', Float64MultiArray(data=[1.0, 2.0])).values.tolist() == [1.0, 2.0]
    wire = wire_of(SetPointKind.VELOCITY, ROBOT, ARM, '')
    assert list(wire.write(np.arange(6.0), 0.5, None).data) == [0, 1, 2, 3, 4, 5]


def test_a_point_in_another_order_is_put_into_that_of_the_controller():
    names = ARM[::-1]
    found = read('trajectory', one_point(names, 0.5, positions=[6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
                                         velocities=[0.0] * 5 + [1.0]))
    assert found.values.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] and found.lasts == 0.5
    assert found.beyond[0] == pytest.approx(0.5 * 4 / 27) and not found.beyond[1:].any()


@pytest.mark.parametrize('message, words', [
    (JointTrajectory(joint_names=list(ARM)), 'has 0 points'),
    (JointTrajectory(joint_names=list(ARM), points=[JointTrajectoryPoint()] * 2), 'has 2 points'),
    (one_point(ARM[:5], positions=[0.0] * 5), 'the controller has'),
    (one_point((*ARM[:5], ARM[0])), 'the controller has'),
    (one_point(positions=[0.0] * 5), 'has 5 positions and 0 velocities for 6 joints'),
    (one_point(accelerations=[1.0] * 6), 'accelerations or efforts'),
    (one_point(effort=[1.0] * 6), 'accelerations or efforts'),
    (one_point(velocities=[float('nan')] * 6), 'no numbers to move by'),
    (one_point(lasts=-1.0), 'its time -1.0 s'),
    (one_point(lasts=30.0), 'it lasts 30.00 s, a set point 1.0 s at most')])
def test_a_trajectory_that_is_no_set_point(message, words):
    assert words in read('trajectory', message).values


def test_a_trajectory_of_later_is_none_now():
    message = one_point()
    message.header.stamp.sec = 5
    assert 'is to begin in 5.00 s' in read('trajectory', message).values


@pytest.mark.parametrize('late, left', [(0.3, 0.2), (29.99, None), (0.5, None)])
def test_of_a_trajectory_that_has_begun_what_is_left_counts(late, left):
    message = one_point(lasts=0.5, velocities=[1.0] * 6)
    message.header.stamp.sec = 100
    found = read('trajectory', message, now_ns=round((100 + late) * 1e9))
    if left is None:
        assert 'its time was over' in found.values
    else:
        assert found.lasts == pytest.approx(left)
        assert found.beyond == pytest.approx(left * 4 / 27)
    assert read('trajectory', one_point(lasts=0.5)).beyond is None


def pose(T, frame=ROBOT.root_link):
    wire = wire_of(SetPointKind.POSE, ROBOT, ARM, TIP)
    message = wire.write(LIVE[COLUMNS], 1.0, LIVE)
    message.header.frame_id = frame
    message.pose.position.x += float(T[0])
    message.pose.position.z += float(T[2])
    return message


def test_a_pose_is_the_joints_nearby_that_reach_it():
    found = read('pose', pose((0.01, 0.0, -0.02)))
    joints = LIVE.copy()
    joints[COLUMNS] = found.values
    assert np.abs(tip(joints)[:3, 3] - tip(LIVE)[:3, 3] - [0.01, 0.0, -0.02]).max() < 1e-4
    assert np.abs(joints - LIVE).max() < 0.2


@pytest.mark.parametrize('message, live, words', [
    (pose((0, 0, 0), 'camera'), LIVE, "it is in frame 'camera'"),
    (pose((3.0, 0, 0)), LIVE, 'no joints nearby'), (pose((0, 0, 0)), None, 'is not known'),
    (PoseStamped(header=Header(frame_id=ROBOT.root_link)), LIVE, 'no joints nearby')])
def test_a_pose_that_is_no_set_point(message, live, words):
    assert words in read('pose', message, live).values


def test_the_gates_own_pose_is_where_the_joints_are():
    wire = wire_of(SetPointKind.POSE, ROBOT, ARM, TIP)
    message = deserialize_message(serialize_message(wire.write(LIVE[COLUMNS], 1.0, LIVE)),
                                  PoseStamped)
    place = message.pose.position
    assert np.allclose([place.x, place.y, place.z], tip(LIVE)[:3, 3])


@pytest.mark.parametrize('frame', [ROBOT.root_link, TIP])
def test_a_twist_is_the_velocities_that_move_the_link_so(frame):
    twist = np.array([0.02, -0.03, 0.01, 0.05, 0.02, -0.04])
    found = read('twist', TwistStamped(header=Header(frame_id=frame), twist=Twist(
        linear=Vector3(x=0.02, y=-0.03, z=0.01), angular=Vector3(x=0.05, y=0.02, z=-0.04))))
    step = LIVE.copy()
    step[COLUMNS] += 1e-5 * found.values
    before, after = tip(LIVE), tip(step)
    turn = before[:3, :3] if frame == TIP else np.eye(3)
    assert np.allclose((after[:3, 3] - before[:3, 3]) / 1e-5, turn @ twist[:3], atol=1e-3)
    spin = (after[:3, :3] @ before[:3, :3].T - np.eye(3)) / 1e-5
    assert np.allclose([spin[2, 1], spin[0, 2], spin[1, 0]], turn @ twist[3:], atol=1e-3)


def a_twist(x):
    return serialize_message(TwistStamped(header=Header(frame_id=TIP),
                                          twist=Twist(linear=Vector3(x=x))))


def test_a_twist_is_braked_as_it_came():
    wire = wire_of(SetPointKind.TWIST, ROBOT, ARM, TIP)
    wire.read(a_twist(0.1), LIVE, 0)
    wire.relayed()
    assert wire.write(np.zeros(6), 0.5, LIVE).twist.linear.x == pytest.approx(0.05)
    assert wire.write(np.zeros(6), 0.0, LIVE).twist.linear.x == 0.0


def test_a_twist_that_was_refused_is_never_sent_by_the_gate():
    wire = wire_of(SetPointKind.TWIST, ROBOT, ARM, TIP)
    assert wire.write(np.zeros(6), 1.0, LIVE).twist.linear.x == 0.0
    wire.read(a_twist(0.1), LIVE, 0)
    wire.relayed()
    assert isinstance(wire.read(a_twist(5.0), LIVE, 0).values, np.ndarray)     # and then refused
    assert wire.write(np.zeros(6), 0.98, LIVE).twist.linear.x == pytest.approx(0.098)


@pytest.mark.parametrize('twist, frame, words', [
    ((0.1, 0.0), 'camera', "it is in frame 'camera'"),
    ((float('nan'), 0.0), TIP, 'has numbers that are none')])
def test_a_twist_that_is_no_set_point(twist, frame, words):
    assert words in read('twist', TwistStamped(header=Header(frame_id=frame), twist=Twist(
        linear=Vector3(x=twist[0], y=twist[1])))).values


def test_a_stretched_arm_cannot_move_farther_out():
    straight = ROBOT.configuration({})
    straight[COLUMNS] = 0.0
    message = TwistStamped(header=Header(frame_id=ROBOT.root_link),
                           twist=Twist(angular=Vector3(x=1.0, y=1.0, z=1.0),
                                       linear=Vector3(x=1.0, y=1.0, z=1.0)))
    assert 'singularity' in read('twist', message, straight).values


@pytest.mark.parametrize('kind', ['pose', 'twist'])
@pytest.mark.parametrize('joints, link, words', [
    (ARM, 'nose', "tip_link is 'nose'"), (ARM, ROBOT.root_link, 'no joints of their own move'),
    (ARM[:3], TIP, "is none of the controller's joints")])
def test_a_link_that_the_controller_does_not_move(kind, joints, link, words):
    with pytest.raises(KinematicsError, match=words):
        wire_of(SetPointKind(kind), ROBOT, joints, link)


def test_each_kind_has_topics():
    assert topics_of(SetPointKind.POSITION)[1:] == ('~/commands', 'commands')
    assert topics_of(SetPointKind.TRAJECTORY)[0] is JointTrajectory
    assert len({topics_of(kind)[2] for kind in SetPointKind}) == 4


@pytest.mark.parametrize('kind', ['pose', 'twist'])
@pytest.mark.parametrize('age, words', [(0.0, None), (0.4, None), (-0.05, None),
                                        (0.7, '0.70 s in the past'), (-1.0, '1.00 s ahead')])
def test_what_was_meant_long_ago_is_not_meant_now(kind, age, words):
    message = pose((0, 0, 0)) if kind == 'pose' else TwistStamped(
        header=Header(frame_id=ROBOT.root_link))
    now = 10**12
    assert isinstance(read(kind, message, now_ns=now).values, np.ndarray)      # without a stamp
    message.header.stamp = time_message(now - round(age * 1e9))
    found = read(kind, message, now_ns=now).values
    assert isinstance(found, np.ndarray) if words is None else words in found


@pytest.mark.parametrize('length', [0.0, 0.5, 1.5, np.nan])
def test_a_quaternion_of_which_each_controller_makes_something_else(length):
    message = pose((0, 0, 0))
    turn = message.pose.orientation
    for name in 'xyzw':
        setattr(turn, name, length * getattr(turn, name))
    assert 'the length of its quaternion is' in read('pose', message).values
