# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real camera that no background is seen by: close to the first links, cloths moved for good."""
import json

import cv2
import numpy as np
from shared_data import shared_data

from kinema4d_ros.calibration import ArmModel
from kinema4d_ros.calibration.flow_grid import FlowGrid
from kinema4d_ros.calibration.point_tracks import track_points
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.types import PinholeCamera

#: [m] where the whole calibration, whose drawn arm lies on the real one, has it
PLACE = (-0.098, -0.391, 0.456)


def test_motion_of_points_finds_a_camera_without_background():
    folder = shared_data('ctrl_world_droid') / 'droid_subset'
    rows = json.loads((folder / 'annotation/train/4.json').read_text())
    angles = np.array(rows['observation.state.joint_position'])[::3]
    film = cv2.VideoCapture(str(folder / 'videos/train/4/1.mp4'))
    images = []
    while (read := film.read())[0]:
        images.append(read[1][:, :, ::-1])
    robot = Robot.from_file(share_dir() / 'urdf' / 'panda' / 'panda.urdf')
    positions = np.stack([robot.configuration(
        {f'panda_joint{i + 1}': angle for i, angle in enumerate(row)}) for row in angles])
    count = min(len(images), len(positions))
    assert count > 100
    model = ArmModel(robot, load_meshes(robot))
    grid = FlowGrid(track_points(np.stack(images[:count])),
                    model.surface(model.poses(positions[:count])),
                    PinholeCamera(320, 192, 133.0, 141.8, 159.5, 91.7))
    best = grid.anywhere(0.06, 4500, np.random.default_rng(0))[0]
    place = np.linalg.inv(best.T_camera_base)[:3, 3]
    assert np.linalg.norm(place - PLACE) < 0.15, place
    assert best.score > 0.6
