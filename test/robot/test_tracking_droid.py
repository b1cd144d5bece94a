# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How a real Franka followed its commands: DROID episodes, 15 Hz, joints commanded and measured.

DROID commands a joint position that is 0.25 s of the wanted velocity ahead of where the arm is, so
what is called tracking here is its whole loop.
"""
import json

import numpy as np
import pytest
from shared_data import shared_data

from kinema4d_ros.episodes import Episode
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.robot.tracking_fit import fit_tracking, TrackingRecord, Windows

RATE = 15.0
JOINTS = tuple(f'panda_joint{number}' for number in range(1, 8))


@pytest.fixture(scope='module')
def episodes():
    """Return the fields of the episodes that have commands, as arrays."""
    folder = shared_data('ctrl_world_droid') / 'droid_subset' / 'annotation' / 'train'
    read = [json.loads(path.read_text()) for path in sorted(folder.glob('*.json'))]
    return [{name: np.array(rows) for name, rows in one.items() if '.' in name} for one in read]


@pytest.fixture(scope='module')
def records(episodes):
    """Return the same as what a fit takes."""
    return [TrackingRecord(
        JOINTS, np.arange(len(one['action.joint_position'])) / RATE,
        one['action.joint_position'], one['observation.state.joint_position'])
        for one in episodes]


@pytest.fixture(scope='module')
def flange():
    """Return what takes joint positions (..., 7) to places of panda_link8 (..., 3) [m]."""
    path = sorted((share_dir() / 'data' / 'episodes').glob('*.mcap'))[0]
    robot = Robot.from_urdf(Episode.open(path).robot_description)
    kinematics, link = ForwardKinematics(robot), robot.link_names.index('panda_link8')

    def places(joints):
        flat = np.zeros((joints[..., 0].size, len(robot.joint_names)))
        flat[:, [robot.joint_names.index(name) for name in JOINTS]] = joints.reshape(-1, 7)
        return kinematics(flat)[:, link, :3, 3].reshape(*joints.shape[:-1], 3)
    return places


def middle_and_most(distances):
    """Return median and 95th percentile [mm]."""
    flat = 1000 * np.concatenate([np.ravel(part) for part in distances])
    return float(np.median(flat)), float(np.percentile(flat, 95))


def test_the_flange_is_where_its_column_says(episodes, flange):
    for one in episodes:
        np.testing.assert_allclose(flange(one['observation.state.joint_position']),
                                   one['observation.state.cartesian_position'][:, :3], atol=1e-4)


def test_commanded_is_not_executed(episodes):
    """The flange is 32 and 94 mm (median, 95 %) from its command; at the best lag 13 and 51 mm."""
    def off(lag):
        return middle_and_most([np.linalg.norm(
            one['action.cartesian_position'][:len(one['action.cartesian_position']) - lag, :3]
            - one['observation.state.cartesian_position'][lag:, :3], axis=1) for one in episodes])

    assert off(0) == pytest.approx((32.2, 93.7), abs=0.5)
    assert min(range(9), key=lambda lag: off(lag)[0]) == 4
    assert off(4) == pytest.approx((13.4, 51.4), abs=0.5)


@pytest.mark.parametrize('lag', [1, 2])
def test_joints_reach_four_fifths_of_the_speed(episodes, lag):
    """0.82 of the commanded velocity, 67 to 133 ms late."""
    told, done = [], []
    for one in episodes:
        speed = np.diff(one['observation.state.joint_position'], axis=0) * RATE
        told.append(one['action.joint_velocity'][:len(speed) - lag].ravel())
        done.append(speed[lag:].ravel())
    told, done = np.concatenate(told), np.concatenate(done)
    assert (told @ done) / (told @ told) == pytest.approx(0.82, abs=0.01)
    assert np.corrcoef(told, done)[0, 1] > 0.92


def test_a_model_foresees_episodes_that_it_was_not_fitted_to(records, flange):
    """Two seconds ahead: 9 and 30 mm (median, 95 %) in place of 27 and 86, and the sigmas hold."""
    told, foreseen, within = [], [], []
    for number, record in enumerate(records):
        model = fit_tracking(records[:number] + records[number + 1:])
        windows = Windows.of([record])
        likely, did = windows.foreseen(model), flange(windows.measured)
        told.append(np.linalg.norm(flange(windows.commanded) - did, axis=-1))
        foreseen.append(np.linalg.norm(flange(likely) - did, axis=-1))
        sigmas = model.sigmas(windows.joint_names)
        within.append(np.abs(likely - windows.measured) <= 1.96 * sigmas)
        for joint in model.joints.values():
            assert 0.95 < joint.gain < 1.02 and 0.2 < joint.delay + joint.lag < 0.36
    assert middle_and_most(told) == pytest.approx((27.1, 86.2), abs=1)
    assert middle_and_most(foreseen) == pytest.approx((8.6, 30.3), abs=1)
    assert np.concatenate([part.reshape(-1) for part in within]).mean() == pytest.approx(
        0.95, abs=0.015)
