# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bundled episodes are whole, small, varied, and honest about their trajectory."""
import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from kinema4d_ros.episodes import Episode

REPOSITORY = Path(__file__).parents[2]
PATHS = sorted((REPOSITORY / 'data' / 'episodes').glob('*.mcap'))
HANDLED = ('push', 'topple')     # by what became of the thing, which no task is about
SPEED_LIMITS = np.array([2.175] * 4 + [2.61] * 3 + [0.2] * 2)      # [rad/s, m/s] of the URDF
ACCELERATION_LIMITS = np.array([15, 7.5, 10, 12.5, 15, 20, 20])    # [rad/s^2], as Franka has it


@pytest.fixture(params=PATHS, ids=lambda path: path.stem, scope='module')
def episode(request):
    """Return each bundled episode."""
    return Episode.open(request.param)

def event_times(episode, kind):
    """Return the times at which something begins."""
    return [e['time'] for e in episode.metadata.events if e['kind'] == kind and e['begins']]


def test_collection():
    kinds = Counter(Episode.open(path).metadata.kind for path in PATHS)
    assert kinds['success'] >= 10
    assert set(kinds) == {'success', 'missed_grasp', 'missed_place', 'slip', 'into_table', 'push',
                          'topple'}
    assert sum(path.stat().st_size for path in PATHS) < 34e6
    assert max(path.stat().st_size for path in PATHS) < 8e6


def test_list_is_what_is_bundled():
    rows = yaml.safe_load((REPOSITORY / 'config' / 'episodes.yaml').read_text())
    assert len(rows) == len(PATHS)
    listed = Counter((row['suite'], row['task'], row['init'], row['kind']) for row in rows)
    found = [Episode.open(path).metadata for path in PATHS]
    assert listed == Counter((m.suite, m.task, m.init, m.kind) for m in found)


def test_outcome_is_what_the_kind_says(episode):
    metadata = episode.metadata
    assert metadata.licence and metadata.source and metadata.trajectory_note
    if metadata.kind in HANDLED:          # no task, so nobody says whether it was solved
        assert metadata.success is None
        end = episode.truth.object_poses[metadata.carried_object][1][-1]
        assert (end[2, 2] < 0.7) == (metadata.kind == 'topple')
        return
    assert metadata.success == (metadata.kind == 'success')
    lifted = event_times(episode, 'object_lifted')
    hit = [t for t in event_times(episode, 'robot_touches_surroundings') if t > 0]
    assert bool(lifted) == (metadata.kind in ('success', 'missed_place', 'slip'))
    assert bool(hit) == (metadata.kind == 'into_table')


def test_trajectory_is_one_that_a_robot_could_be_given(episode):
    trajectory = episode.trajectory
    assert trajectory.times[0] == 0.0
    np.testing.assert_allclose(np.diff(trajectory.times), 0.05, atol=1e-9)
    assert (np.abs(trajectory.velocities) < SPEED_LIMITS).all()
    accelerations = np.gradient(trajectory.velocities[:, :7], trajectory.times, axis=0)
    assert (np.abs(accelerations) < ACCELERATION_LIMITS).all()
    assert (trajectory.velocities[[0, -1]] == 0).all()
    fingers = trajectory.positions[:, -2:]
    assert fingers.min() >= 0 and fingers.max() <= 0.04
    if episode.metadata.kind in HANDLED:      # the hand is closed while it pushes
        assert np.round(fingers[-1], 4).tolist() == [0.0, 0.0]
        return
    assert set(np.round(fingers[[0, -1]].ravel(), 4)) == {0.04}
    # nothing of what stopped the fingers is in it: closing means closing entirely
    assert fingers.min() == (0.04 if episode.metadata.kind == 'into_table' else 0.0)


def test_arm_realises_the_reference_unless_the_table_stops_it(episode):
    times, names, positions = episode.joint_states
    reference, trajectory = {}, episode.trajectory
    arm = [name for name in trajectory.joint_names if 'finger' not in name]
    at = np.isin(np.round(times * 20), np.round(trajectory.times * 20)) & (times > -1e-6)
    for name in arm:
        reference[name] = np.interp(times[at], trajectory.times,
                                    trajectory.positions[:, trajectory.joint_names.index(name)])
    worst = max(np.abs(positions[at, names.index(name)] - reference[name]).max() for name in arm)
    if episode.metadata.kind == 'into_table':
        assert worst > 0.02
    else:
        assert worst < 0.02
    assert worst <= episode.metadata.tracking_error + 1e-3


def test_first_observation(episode):
    frame = episode.frames[episode.start_index]
    assert frame.stamp_ns == episode.trajectory_stamp_ns and episode.start_index >= 5
    assert frame.image.shape == (240, 360, 3) and frame.depth.shape == (240, 360)
    assert np.isfinite(frame.depth).mean() > 0.99
    assert episode.frames.times[-1] > episode.trajectory.duration
    mask = episode.truth.robot_masks[episode.start_index]
    assert 0.005 < mask.mean() < 0.5
    start = dict(zip(episode.trajectory.joint_names, episode.trajectory.positions[0]))
    assert all(abs(start[name] - value) < 2e-3 for name, value in frame.joint_positions.items())


def test_carried_object_ends_where_the_outcome_says(episode):
    metadata, truth = episode.metadata, episode.truth
    if metadata.carried_object is None or metadata.kind in HANDLED:
        return
    box = metadata.objects[metadata.carried_object]
    end = truth.object_center(metadata.carried_object, box.center, episode.frames.times[-1:])[0]
    region = next(iter(metadata.goal.values()))['region']
    inside = (end[:2] >= np.array(region['low'])[:2]).all() \
        and (end[:2] <= np.array(region['high'])[:2]).all()
    assert inside == metadata.success


def test_the_right_camera_of_a_stereo_pair_is_beside_the_left_one():
    """Its frame is that of the left one; the fourth column of P says how far it is."""
    episode = Episode.open(PATHS[0])
    left = episode.observation().view.T_base_camera
    plain = episode.calibration
    fx = plain.pinhole.fx
    P = np.array(plain.P if plain.P[0] else np.insert(np.reshape(plain.K, (3, 3)), 3, 0, axis=1))
    P = P.ravel()
    P[3] = -0.125 * fx
    episode.cameras[0].calibration = dataclasses.replace(plain, P=tuple(P))
    right = episode.observation().view.T_base_camera
    np.testing.assert_allclose((np.linalg.inv(left) @ right)[:3, 3], (0.125, 0, 0), atol=1e-9)
