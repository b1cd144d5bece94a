# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points, voxels and solids from elsewhere: obstacles, and space that is known."""
import dataclasses

import cameras
import gantry
import numpy as np
import pytest
from cameras import arm, FRONT, NOW, observation, UP, view
from scenes import BLUE, box, World

from kinema4d_ros.precheck import PrecheckSettings, swept_knowledge, Tier1Settings
from kinema4d_ros.scene import Knowledge
from kinema4d_ros.scene.solids import surface_points
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (FindingCode, PointSource, Solid, SolidSource, Status, VoxelSource)

BOARD = World().add(BLUE, box((0.02, 0.5, 0.2), (0.1, 0.0, 0.0)))    # hides where the hand goes
DOWN = arm(UP, (0.0, 0.0, 0.02))
SIZE, AT = np.array([0.04, 0.03, 0.1]), np.array([0.0, 0.07, 0.05])  # what hides there
PLACE = np.block([[np.eye(3), AT[:, None]], [np.zeros(3), 1.0]])


@pytest.fixture(scope='module')
def shadow():
    return ShadowSimulator(cameras.ROBOT, None, gripper=gantry.GRIPPER)


@pytest.fixture(scope='module')
def front():
    return view(BOARD, 'front', FRONT)


def judge(shadow, *args, **more):
    shadow.forget()
    return shadow.precheck(*args, **more)


def voxels(step=0.02):
    """Return centres of voxels of the cell, and which are in what hides there."""
    axis = np.arange(-0.2, 0.2, step) + step / 2
    grid = np.stack(np.meshgrid(axis, axis, axis + 0.2, indexing='ij'), -1).reshape(-1, 3)
    return grid, (np.abs(grid - AT) <= SIZE / 2).all(axis=1)


@pytest.mark.parametrize('late', [0.0, 30.0, None])
def test_free_voxels_vouch_for_what_the_camera_does_not_see(shadow, front, late):
    assert judge(shadow, observation(front), DOWN).status is Status.UNSURE
    grid, _ = voxels()
    stamp_ns = None if late is None else NOW - round(late * 1e9)
    octomap = VoxelSource.from_centers('octomap', np.empty((0, 3)), grid, 0.02, stamp_ns=stamp_ns)
    verdict = judge(shadow, observation(front, others=(octomap,)), DOWN)
    assert verdict.status is Status.PASS, verdict.summary
    memory = [f for f in verdict.findings if 'from memory' in f.message]
    assert len(memory) == 1 and "'octomap'" in memory[0].message   # of an age nobody knows


def test_voxels_that_are_too_old_vouch_for_nothing(shadow, front):
    grid, _ = voxels()
    octomap = VoxelSource.from_centers('octomap', np.empty((0, 3)), grid, 0.02,
                                       stamp_ns=1)     # NOW is 50 s: the memory is set shorter
    seen = observation(front, others=(octomap,))
    assert judge(shadow, seen, DOWN).status is Status.PASS
    short = PrecheckSettings(tier1=Tier1Settings(memory_age=20.0))
    assert judge(shadow, seen, DOWN, settings=short).status is Status.UNSURE


@pytest.mark.parametrize('kind', ['points', 'solid', 'mesh'])
def test_what_another_source_knows_of_is_an_obstacle(shadow, front, kind):
    solid = Solid('box', tuple(SIZE), PLACE)
    corners = np.stack(np.meshgrid(*np.outer(SIZE, [-0.5, 0.5])), -1).reshape(-1, 3)
    source = {'points': PointSource('lidar', surface_points(solid, 0.01, 3.0), NOW, 0.003),
              'solid': SolidSource('planning scene', (solid,)),
              'mesh': SolidSource('planning scene', (Solid('mesh', (), PLACE, corners),))}[kind]
    verdict = judge(shadow, observation(front, others=(source,)), DOWN)
    assert verdict.status is Status.FAIL
    (hit,) = [f for f in verdict.findings
              if f.code is FindingCode.CONTACT and f.link == 'palm']
    assert abs(hit.value + 0.02) < 0.006        # the palm ends at 8 cm, it is 10 cm high
    assert judge(shadow, observation(front, others=(source,)),
                 arm(UP, (0.0, -0.2, 0.25))).status is Status.PASS


def test_occupied_voxels_forbid_a_pass_and_what_they_leave_free_does_not(shadow, front):
    grid, inside = voxels()
    octomap = VoxelSource.from_centers('octomap', grid[inside], grid, 0.02, stamp_ns=NOW)
    seen = observation(front, others=(octomap,))
    verdict = judge(shadow, seen, DOWN)
    assert verdict.status is not Status.PASS
    assert any(f.link == 'palm' and f.other == 'scene' for f in verdict.findings)
    assert judge(shadow, seen, arm(UP, (0.0, -0.2, 0.25))).status is Status.PASS


def slab(step, top):
    """Return centres of voxels of a larger cell, and which are of a slab below the palm."""
    axis = np.arange(-0.4, 0.4, step) + step / 2
    grid = np.stack(np.meshgrid(axis, axis, axis + 0.2, indexing='ij'), -1).reshape(-1, 3)
    size = np.array([max(0.03, step / 2), max(0.03, step / 2), step / 2]) + 1e-6
    return grid, (np.abs(grid - [0.0, 0.07, top - step / 2]) <= size).all(axis=1)


@pytest.mark.parametrize('step, top', [(0.02, 0.30), (0.05, 0.30), (0.05, 0.25), (0.1, 0.30)])
def test_coarse_voxels_close_to_the_robot_count_once_it_comes_nearer(shadow, front, step, top):
    """The palm ends at 31 cm; how close a coarse map's obstacle is to it nobody knows."""
    grid, inside = slab(step, top)
    octomap = VoxelSource.from_centers('octomap', grid[inside], grid, step, stamp_ns=NOW)
    verdict = judge(shadow, observation(front, others=(octomap,)), DOWN)
    assert verdict.status is not Status.PASS and inside.any()
    assert any(f.link == 'palm' and f.code in (FindingCode.NEAR_MISS, FindingCode.CONTACT)
               for f in verdict.findings)


@pytest.mark.parametrize('sigma', [0.02, 0.05])
def test_coarse_points_close_to_the_robot_count_once_it_comes_nearer(shadow, front, sigma):
    axis = np.arange(-0.03, 0.031, 0.01)
    points = np.stack(np.meshgrid(axis, axis + 0.07, [0.29, 0.30], indexing='ij'), -1)
    free = VoxelSource.from_centers('map', np.empty((0, 3)), slab(0.02, 0.3)[0], 0.02,
                                    stamp_ns=NOW)
    seen = observation(front, others=(PointSource('lidar', points.reshape(-1, 3), NOW, sigma),
                                      free))
    verdict = judge(shadow, seen, DOWN)
    assert verdict.status is not Status.PASS
    assert any(f.link == 'palm' and f.code is FindingCode.NEAR_MISS for f in verdict.findings)
    assert judge(shadow, seen, arm(UP, (0.0, 0.0, 0.3))).status is Status.PASS      # away


def test_the_robot_in_a_map_is_no_obstacle_where_it_goes_away_from_it(shadow, front):
    """Nobody took the robot out of the map."""
    grid, _ = slab(0.02, 0.3)
    robot = (np.abs(grid - [0.0, 0.0, 0.335]) <= np.array([0.03, 0.09, 0.035])).all(axis=1)
    octomap = VoxelSource.from_centers('octomap', grid[robot], grid, 0.02, stamp_ns=NOW)
    verdict = judge(shadow, observation(front, others=(octomap,)), arm(UP, (0.0, 0.0, 0.3)))
    assert verdict.status is Status.PASS, verdict.summary


def test_the_robot_is_left_out_of_a_cloud_where_it_was_at_the_stamp_of_the_cloud(shadow):
    """It was 6 cm lower 0.8 s ago, and goes back there."""
    front = view(World(), 'front', FRONT)
    palm = Solid('box', (0.04, 0.16, 0.05), np.block([
        [np.eye(3), np.array([[0], [0], [0.275]])], [np.zeros(3), 1.0]]))
    cloud = PointSource('lidar', surface_points(palm, 0.01, 3.0), NOW - 800_000_000, 0.004)
    back = arm(UP, (0.0, 0.0, 0.15))
    assert judge(shadow, observation(front, others=(cloud,)), back).status is Status.FAIL
    own = dataclasses.replace(cloud, joint_positions=cameras.joints((0.0, 0.0, 0.19)))
    verdict = judge(shadow, observation(front, others=(own,)), back)
    assert verdict.status is Status.PASS, verdict.summary


def test_the_robot_in_a_cloud_of_another_sensor_is_no_obstacle(shadow, front):
    solid = Solid('box', (0.04, 0.16, 0.05), np.block([
        [np.eye(3), np.array([[0], [0], [0.335]])], [np.zeros(3), 1.0]]))
    cloud = PointSource('lidar', surface_points(solid, 0.01, 3.0), NOW, 0.004)    # of the palm
    verdict = judge(shadow, observation(front, others=(cloud,)), arm(UP, (0.0, -0.2, 0.25)))
    assert verdict.status is Status.PASS, verdict.summary


def test_the_scene_is_judged_by_voxels_where_no_camera_has_depth(shadow, front):
    blind = observation(front).with_view(depth=None)
    assert judge(shadow, blind, DOWN).status is Status.UNSURE
    axis = np.arange(-0.3, 0.3, 0.02) + 0.01
    whole = np.stack(np.meshgrid(axis, axis, axis + 0.2, indexing='ij'), -1).reshape(-1, 3)
    free = VoxelSource.from_centers('octomap', whole[whole[:, 2] < 0],
                                    whole[whole[:, 2] > 0], 0.02, stamp_ns=NOW)
    seen = dataclasses.replace(blind, others=(free,))
    believed = PrecheckSettings(tier1=Tier1Settings(camera_check='when_visible'))
    only = VoxelSource.from_centers('octomap', whole[whole[:, 2] < 0], np.empty((0, 3)), 0.02,
                                    stamp_ns=NOW)
    told = judge(shadow, dataclasses.replace(blind, others=(only,)), DOWN, settings=believed)
    # it tells of nothing that is free
    assert FindingCode.NO_DEPTH in {finding.code for finding in told.findings}
    assert judge(shadow, seen, arm(UP, (0.0, -0.1, 0.2)), settings=believed).status is Status.PASS
    low = judge(shadow, seen, arm(UP, (0.0, 0.0, -0.05)), settings=believed)
    assert low.status is Status.UNSURE      # the palm is as thin as two voxels


@pytest.mark.parametrize('solid, area', [
    (Solid('box', (0.2, 0.1, 0.3)), 0.22), (Solid('sphere', (0.1,)), 4 * np.pi * 0.01),
    (Solid('cylinder', (0.2, 0.05)), 2 * np.pi * 0.05 * 0.25),
    (Solid('cone', (0.2, 0.05)), np.pi * 0.05 * (0.05 + np.hypot(0.2, 0.05)))])
def test_points_cover_the_surface_of_a_solid(solid, area):
    points = surface_points(solid, 0.01, 3.0)
    cells = len(np.unique(np.round(points / 0.01).astype(int), axis=0))
    assert 0.8 * area / 1e-4 < cells < 2.2 * area / 1e-4
    assert np.abs(points).max() < 0.16


def test_of_a_wall_without_end_only_what_is_in_reach_is_kept():
    points = surface_points(Solid('box', (100.0, 0.1, 100.0)), 0.05, 2.0)
    assert 5000 < len(points) < 50000 and np.linalg.norm(points, axis=1).max() <= 2.0


def test_how_much_of_the_way_nobody_has_seen_is_told_link_by_link(shadow, front):
    shadow.forget()
    alone = swept_knowledge(shadow.checker(), observation(front), DOWN)
    assert 0.1 < alone.whole.unseen < 0.6 and set(alone.links) == {'palm', 'left', 'right'}
    assert alone.links['palm'].shares[Knowledge.BEHIND] == pytest.approx(
        alone.links['palm'].unseen)
    assert sum(alone.whole.shares.values()) == pytest.approx(1.0)
    side = view(BOARD, 'side', cameras.SIDE)
    both = swept_knowledge(shadow.checker(), observation(front, side), DOWN)
    assert both.whole.unseen == 0.0 and both.whole.volume == pytest.approx(alone.whole.volume)
