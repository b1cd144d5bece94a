# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d fit-tracking` on bags of a made-up robot that is known to follow late."""
import json

import numpy as np
import pytest
from robots import one_joint
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.robot.tracking import follow, JointTracking, TrackingModel

TRUE = JointTracking(1.0, 0.1, 0.2)
STATE = 'control_msgs/msg/JointTrajectoryControllerState'
store = get_typestore(Stores.ROS2_JAZZY)
store.register(get_types_from_msg(
    'std_msgs/Header header\nstring[] joint_names\n'
    'trajectory_msgs/JointTrajectoryPoint feedback\n'
    'trajectory_msgs/JointTrajectoryPoint reference\nfloat64 speed_scaling_factor\n', STATE))
kinds = store.types
NOTHING = np.zeros(0)


def stamped(seconds):
    """Return a header."""
    whole = int(seconds)
    return kinds['std_msgs/msg/Header'](kinds['builtin_interfaces/msg/Time'](
        whole, round((seconds - whole) * 1e9)), '')


def point(position, seconds=0.0, velocity=None):
    """Return a point of one joint."""
    return kinds['trajectory_msgs/msg/JointTrajectoryPoint'](
        np.array([position]), NOTHING if velocity is None else np.array([velocity]), NOTHING,
        NOTHING, kinds['builtin_interfaces/msg/Duration'](int(seconds),
                                                          round(seconds % 1 * 1e9)))


def write(folder, messages):
    """Write a bag of (topic, type, time [s], message)."""
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {(topic, kind): writer.add_connection(topic, kind, typestore=store)
                       for topic, kind in dict.fromkeys(m[:2] for m in messages)}
        for topic, kind, at, message in messages:
            writer.write(connections[topic, kind], round(at * 1e9),
                         store.serialize_cdr(message, kind))
    return folder


def of_controller(folder):
    """Write what joint_trajectory_controller publishes of itself for 40 s."""
    times = np.arange(0, 40, 0.02)
    command = 0.4 * np.sin(0.9 * times) + 0.2 * np.sin(2.3 * times)
    did = follow(times, command, 0.0, 0.0, TRUE)
    return write(folder, [('/arm/controller_state', STATE, 100 + t, kinds[STATE](
        stamped(100 + t), ['j'], point(there), point(told), 1.0))
        for t, told, there in zip(times, command, did)])


def of_trajectories(folder):
    """Write a robot that is sent to and fro, one trajectory each 3 s."""
    times = np.arange(0, 40, 0.01)
    swings = np.where(times // 3 % 2 == 0, 0.5, -0.5)
    command, messages = np.zeros(len(times)), []
    at_rest = 0.0
    for begin in np.arange(0, 39, 3.0):
        inside = (times >= begin) & (times < begin + 3)
        share = np.clip((times[inside] - begin) / 1.5, 0, 1)
        goal = swings[inside][0]
        command[inside] = at_rest + (goal - at_rest) * share * share * (3 - 2 * share)
        at_rest = goal
        messages.append(('/joint_trajectory', 'trajectory_msgs/msg/JointTrajectory', 50 + begin,
                         kinds['trajectory_msgs/msg/JointTrajectory'](
                             stamped(0), ['j'], [point(goal, 1.5, 0.0)])))
    did = follow(times, command, 0.0, 0.0, TRUE)
    messages += [('/joint_states', 'sensor_msgs/msg/JointState', 50 + t,
                  kinds['sensor_msgs/msg/JointState'](stamped(50 + t), ['j'], np.array([there]),
                                                      NOTHING, NOTHING))
                 for t, there in zip(times, did)]
    urdf = one_joint('<limit lower="-9" upper="9"/>')
    messages.append(('/robot_description', 'std_msgs/msg/String', 50,
                     kinds['std_msgs/msg/String'](urdf)))
    return write(folder, sorted(messages, key=lambda m: m[2]))


def arrays(path):
    """Write the arrays of the same."""
    times = np.arange(0, 40, 0.02)
    command = 0.4 * np.sin(0.9 * times) + 0.2 * np.sin(2.3 * times)
    np.savez(path.with_suffix('.npz'), joint_names=np.array(['j']), times=times,
             commanded=command[:, None],
             measured=follow(times, command, 0.0, 0.0, TRUE)[:, None])
    return path.with_suffix('.npz')


@pytest.mark.parametrize('made', [of_controller, of_trajectories, arrays])
def test_what_a_recording_was_made_with_is_found_again(tmp_path, capsys, made):
    recording, model_path = made(tmp_path / 'monday'), tmp_path / 'arm.yaml'
    assert main(['fit-tracking', str(recording), '--output', str(model_path),
                 '--json']) == Exit.PASS
    told = json.loads(capsys.readouterr().out)
    found = TrackingModel.load(model_path).joints['j']
    assert found.delay + found.lag == pytest.approx(0.3, abs=0.03)
    assert found.gain == pytest.approx(1.0, abs=0.03)
    assert told['held_out']['foreseen'][1] < 0.25 * told['held_out']['commanded'][1]


def test_the_result_is_told_and_precheck_takes_it(tmp_path, capsys):
    model_path = tmp_path / 'arm.yaml'
    assert main(['fit-tracking', str(arrays(tmp_path / 'x')), '--output', str(model_path),
                 '--horizon', '1.5', '--joints', 'j']) == Exit.PASS
    told = capsys.readouterr().out
    assert 'by the model' in told and 'within 1.96 sigma' in told
    TrackingModel({'panda_joint4': JointTracking(1.0, 0.1, 0.2, 0.06)}).save(model_path)
    assert main(['precheck', 'libero_object_0_0_success', '--tracking', str(model_path),
                 '--json']) != Exit.PASS
    verdict = json.loads(capsys.readouterr().out)
    assert any('likely to follow' in f['message'] or f['code'] == 'TRACKING'
               for f in verdict['findings'])


@pytest.mark.parametrize('arguments, words', [
    (['/nowhere'], 'there is no recording /nowhere'),
    (['/nowhere.npz'], 'does not hold joint_names'),
    (['x.npz', '--joints', 'k'], 'no commands and states of k; it has j'),
    (['x.npz', '--horizon', '0'], '--horizon must be 0.1 to 60 s'),
    (['x.npz', '--horizon', '30'], 'record for longer')])
def test_what_cannot_be_fitted(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    arrays(tmp_path / 'x')
    assert main(['fit-tracking', *arguments, '--output', 'arm.yaml']) == Exit.USAGE
    assert words in capsys.readouterr().err


def test_a_bag_that_tells_nothing(tmp_path, capsys):
    bag = write(tmp_path / 'bag', [('/joint_states', 'sensor_msgs/msg/JointState', 1.0,
                                    kinds['sensor_msgs/msg/JointState'](
                                        stamped(1), ['j'], np.zeros(1), NOTHING, NOTHING))])
    assert main(['fit-tracking', str(bag), '--output', str(tmp_path / 'arm.yaml')]) == Exit.USAGE
    assert 'record the controller_state' in capsys.readouterr().err
    (tmp_path / 'bad.mcap').write_bytes(b'nothing')
    assert main(['fit-tracking', str(tmp_path / 'bad.mcap'), '--output', 'x']) == Exit.USAGE
    assert 'is damaged' in capsys.readouterr().err
