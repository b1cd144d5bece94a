# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Obstacles that the depth image does not show, on a bundled episode."""
import numpy as np
import pytest
from graph import ROOT

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation import hidden_obstacles
from kinema4d_ros.evaluation.hidden_obstacles import (box_distance, hidden_obstacle_rows, IN_FRONT,
                                                      KINDS, markdown, OUTSIDE, SIDE,
                                                      SMALL_KINDS)
from kinema4d_ros.precheck import PrecheckSettings, RobotChecker, Tier1Settings, Unseen
from kinema4d_ros.robot import find_gripper, load_meshes, Robot
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import CameraView, FindingCode, PinholeCamera, Severity

EPISODE = ROOT / 'data' / 'episodes' / 'libero_spatial_3_0_success.mcap'
INTO_TABLE = ROOT / 'data' / 'episodes' / 'libero_spatial_0_0_into_table.mcap'


def view(depth=2.0, size=(120, 160)) -> CameraView:
    """Return a camera at the origin that looks along z at a wall."""
    camera = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
    return CameraView(np.zeros((*size, 3), np.uint8), np.full(size, depth, np.float32), camera,
                      np.eye(4))


def test_the_front_of_the_box_by_hand():
    distance, share = box_distance(view(), np.array([0.0, 0.0, 1.0]))
    assert share == 1.0 and distance[60, 80] == pytest.approx(1.0 - SIDE / 2)
    width = np.isfinite(distance[60]).sum()
    assert width == pytest.approx(SIDE / (1.0 - SIDE / 2) * 150.0, abs=1.5)
    half = box_distance(view(), np.array([-79.5 / 150.0, 0.0, 1.0]))[1]
    assert half == pytest.approx(0.5, abs=0.05)
    assert box_distance(view(), np.array([0.0, 0.0, -1.0]))[1] == 0.0


@pytest.mark.parametrize('kind', KINDS)
def test_each_way_of_hiding_leaves_nothing_of_the_box(kind):
    before = view()
    distance, _ = box_distance(before, np.array([0.3, 0.0, 1.0]))
    after = KINDS[kind](before, distance)
    box = np.isfinite(distance)
    if kind == OUTSIDE:
        assert after.camera.width < 160 or after.camera.height < 120
        assert after.depth.shape == (after.camera.height, after.camera.width)
        middle = after.camera.fx * 0.3 + after.camera.cx
        assert not 0 <= middle < after.camera.width
    elif kind == IN_FRONT:
        assert (after.depth[box] < distance[box] - 0.1).all()
    else:
        shown = after.depth[box]
        assert not ((shown > 0) & (shown < 2.0)).any()
        np.testing.assert_array_equal(after.depth[~box], before.depth[~box])


def test_no_motion_through_a_hidden_obstacle_passes(monkeypatch):
    monkeypatch.setattr(hidden_obstacles, 'TIMES', 1)
    rows = hidden_obstacle_rows([EPISODE])
    tried = {(row.kind, row.role) for row in rows}
    kinds = {*KINDS, *(f'{kind}, 4 cm' for kind in SMALL_KINDS)}
    assert {(kind, role) for kind in kinds for role in ('hand', 'wrist')} <= tried
    assert not [row for row in rows if row.passed and (row.kind, row.role) != (OUTSIDE, 'forearm')]
    assert all(row.why for row in rows if not row.passed)
    table = markdown(rows)
    assert '| zeros | hand | 0/1 (0.0 to ' in table and markdown([]) == ''


def test_who_only_wants_a_report_lets_them_pass(monkeypatch):
    monkeypatch.setattr(hidden_obstacles, 'TIMES', 1)
    monkeypatch.setattr(hidden_obstacles, 'KINDS', {'zeros': KINDS['zeros']})
    settings = PrecheckSettings(tier1=Tier1Settings(unseen=Unseen.REPORT))
    assert any(row.passed for row in hidden_obstacle_rows([EPISODE], settings))


@pytest.mark.parametrize('radius', [0.12, 0.08])
def test_a_hand_pushed_into_the_table_through_a_hole_in_the_depth_is_no_pass(radius):
    episode = Episode.open(INTO_TABLE)
    robot = Robot.from_urdf(episode.robot_description)
    meshes = load_meshes(robot)
    checker = RobotChecker(robot, meshes, with_finger_boxes(find_gripper(robot), meshes))
    observation, trajectory = episode.observation(), episode.trajectory
    contact = next(finding for finding in checker.tier1(observation, trajectory).findings
                   if finding.code is FindingCode.CONTACT).point_base
    seen = observation.view
    points = seen.camera.rays() * seen.depth[..., None]
    points = points @ seen.T_base_camera[:3, :3].T + seen.T_base_camera[:3, 3]
    hole = np.linalg.norm(points - contact, axis=-1) < radius
    deleted = observation.with_view(depth=np.where(hole, np.nan, seen.depth).astype(np.float32))
    found = checker.tier1(deleted, trajectory).findings
    assert max(finding.severity for finding in found) >= Severity.UNSURE
