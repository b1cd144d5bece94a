# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small episode made by hand: three frames, two joints, one object."""
import numpy as np
import pytest
from hand_made import CAMERA, START_NS, STEP_NS, URDF

from kinema4d_ros.episodes import EpisodeMetadata, EpisodeWriter, ObjectBox, TrueClearance
from kinema4d_ros.types import JointTrajectory


@pytest.fixture
def metadata():
    """Return what is said about the small episode."""
    return EpisodeMetadata(
        robot='two', task_text='push it', kind='success', success=True, camera='eye',
        carried_object='box', goal_object='bin', goal={'inside': {'object': 'box'}},
        source='a test', licence='CC0-1.0', trajectory_note='none', seed=3,
        objects={'box': ObjectBox((0., 0., 0.), (.1, .2, .4))},
        events=({'time': 0.1, 'kind': 'object_lifted', 'begins': True, 'object': 'box'},))


@pytest.fixture
def trajectory():
    """Return half a second of motion of two joints."""
    times = np.array([0.0, 0.2, 0.5])
    return JointTrajectory(('a', 'b'), times, np.c_[times, times / 2], np.ones((3, 2)))


@pytest.fixture
def pixels():
    """Return a smooth image (survives JPEG), a depth image with a hole, and a mask."""
    v, u = np.mgrid[:8, :12]
    image = np.stack([u * 15, v * 20, u * 5 + v * 5], -1).astype(np.uint8)
    depth = (0.5 + 0.1 * u + 0.01 * v).astype(np.float32)
    depth[2, 3] = np.nan
    return image, depth, (u > 5)


@pytest.fixture
def fill(metadata, trajectory, pixels):
    """Return a function that adds the small episode to a writer, some topics left out."""
    def run(writer: EpisodeWriter, without: tuple[str, ...] = (), **changed):
        image, depth, mask = pixels
        first = START_NS - STEP_NS
        pose = np.eye(4)
        pose[:3, 3] = 0.1, 0.2, 0.3
        calls = [
            ('add_metadata', first, changed.get('metadata', metadata)),
            ('add_robot_description', first, changed.get('urdf', URDF)),
            ('add_static_transform', first, 'hand', 'eye_optical_frame', pose),
            ('add_clearance', first, TrueClearance(
                np.array([0.0, 0.1]), ('arm',), np.array([[0.02], [np.inf]]),
                np.full((2, 1), np.inf))),
            ('add_trajectory', START_NS, changed.get('trajectory', trajectory))]
        for i in range(3):
            stamp = first + i * STEP_NS
            box = np.eye(4)
            box[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
            box[:3, 3] = i, 0, 0
            calls += [
                ('add_joint_state', stamp, ('a', 'b'),
                 np.array([changed.get('joint', 0.1 * i), 0.2]), np.zeros(2)),
                ('add_camera_info', stamp, 'eye_optical_frame', changed.get('camera', CAMERA)),
                ('add_image', stamp, 'eye_optical_frame', changed.get('image', image)),
                ('add_robot_mask', stamp, 'eye_optical_frame', mask),
                ('add_object_poses', stamp, 'base', {'box': box})]
            if i != 2:
                calls.append(('add_depth', stamp, 'eye_optical_frame', depth))
        for name, *values in calls:
            if name not in without:
                getattr(writer, name)(*values)
    return run


@pytest.fixture
def small_episode(tmp_path, fill):
    """Return the path of the small episode."""
    path = tmp_path / 'small.mcap'
    with EpisodeWriter(path) as writer:
        fill(writer)
    return path
