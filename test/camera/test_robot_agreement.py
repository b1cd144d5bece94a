# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rendered robot laid over a measured one: two made-up links whose true place is known."""
import time

import numpy as np
import pytest
from scenes import box, can, cast
from scipy.spatial.transform import Rotation

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.camera.robot_agreement import DepthNoise, in_front, robot_agreement
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(360, 240, 330.0, 330.0, 179.5, 119.5)
LINKS = ('base', 'arm', 'nowhere')
#: camera frame: x right, y down, z forward
POSE = np.eye(4)


def shapes(arm=np.eye(4)):
    """Return a can and a tilted box in front of it, the second moved by `arm`, and a wall."""
    base = can(0.07, 0.3, (0, 0, 0)).rotate(
        Rotation.from_euler('x', 70, degrees=True).as_matrix(), (0, 0, 0)).translate(
            (-0.12, 0.1, 1.0))
    tool = box((0.12, 0.2, 0.1), (0, 0, 0)).rotate(
        Rotation.from_euler('xyz', (20, 30, 10), degrees=True).as_matrix(), (0, 0, 0)).translate(
            (0.12, -0.05, 0.8))
    return [base, tool.transform(arm)], box((4, 4, 0.1), (0, 0, 1.6))


def shift(x=0.0, y=0.0, z=0.0, degrees=(0, 0, 0), about=(0, 0, 0)):
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler('xyz', degrees, degrees=True).as_matrix()
    move[:3, 3] = np.array([x, y, z]) + np.array(about) - move[:3, :3] @ about
    return move


def rendered():
    robot, _ = shapes()
    depth, mesh = cast(robot, CAMERA, POSE)
    return pointmap_from_depth(depth, CAMERA), mesh.astype(np.int16)


def measured(moved=np.eye(4), arm=np.eye(4), *more):
    """Return the depth of robot and wall as a camera sees them; the robot is moved."""
    robot, wall = shapes(arm)
    return cast([mesh.transform(moved) for mesh in robot] + [wall, *more], CAMERA, POSE)[0]


def compared(live, **options):
    points, links = rendered()
    return robot_agreement(live, points, links, LINKS, CAMERA, **options)


def noisy(live, seed=0, holes=0.2):
    random = np.random.default_rng(seed)
    live = live + random.normal(size=live.shape) * (0.001 + 0.0015 * live ** 2)
    live[random.random(live.shape) < holes] = np.nan
    return live.astype(np.float32)


def test_the_same_is_the_same():
    found = compared(measured())
    assert found.why_not_compared() is None and found.share == 1.0
    assert found.offset < 0.001 and found.turn < 0.003 and found.pixels < 0.5
    assert [link.name for link in found.links] == ['base', 'arm']
    assert found.shift_sigma < 0.003


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('move', [
    shift(0.01), shift(0, -0.01), shift(0, 0, 0.015), shift(0.02, 0.01, -0.01),
    shift(degrees=(0, 0, 2), about=(0, 0, 1)), shift(degrees=(2, -1, 0), about=(0, 0, 1))],
    ids=lambda move: str(np.round(move[:3, 3], 3)))
def test_a_small_motion_is_found(move, seed):
    """To 2 mm at the robot and half a degree, with noise and holes."""
    live = measured(move)
    for seen in (live, noisy(live, seed)):
        found = compared(seen)
        points = rendered()[0].reshape(-1, 3)
        points = points[np.isfinite(points[:, 2])]
        error = found.T_seen_rendered @ np.linalg.inv(move)
        moved = points @ move[:3, :3].T + move[:3, 3]
        off = np.linalg.norm(moved @ error[:3, :3].T + error[:3, 3] - moved, axis=1)
        assert off.mean() < 0.002 and off.max() < 0.006
        assert found.share > 0.98
        assert found.offset == pytest.approx(
            np.linalg.norm(moved - points, axis=1).mean(), abs=0.003)


def test_the_shift_has_a_direction():
    found = compared(measured(shift(0.02)))
    assert found.shift == pytest.approx((0.02, 0, 0), abs=0.0025)
    assert found.pixels == pytest.approx(0.02 * 330 / 0.88, rel=0.15)


def test_a_link_that_does_not_go_with_the_others():
    found = compared(measured(arm=shift(0.02)))
    apart = {link.name: link.apart for link in found.links}
    assert sum(apart.values()) > 0.012
    same = compared(measured(shift(0.02)))
    assert max(link.apart for link in same.links) < 0.004


def test_what_stands_in_front_says_nothing():
    clear, hidden = measured(), measured(np.eye(4), np.eye(4), box((0.1, 0.3, 0.02), (0.1, 0, 0.5)))
    found = compared(hidden)
    assert found.nearer > 500 and found.farther == 0 and found.share == 1.0
    assert found.compared < compared(clear).compared and found.offset < 0.002


def test_looking_through_the_robot_speaks_against_it():
    found = compared(np.full((240, 360), 1.6, np.float32))
    assert found.farther > 1000 and found.share < 0.05


@pytest.mark.parametrize('live, why', [
    (np.full((240, 360), np.nan), 'no depth'), (np.full((240, 360), np.inf), 'no depth'),
    (np.zeros((240, 360)), 'no depth'), (np.full((240, 360), 0.3), 'nearer hides 100 %')])
def test_what_cannot_be_compared_says_why(live, why):
    assert why in compared(live.astype(np.float32)).why_not_compared()


def test_a_robot_that_is_not_in_the_image():
    points, links = rendered()
    found = robot_agreement(measured(), np.full_like(points, np.nan), np.full_like(links, -1),
                            LINKS, CAMERA)
    assert 'outside of the image' in found.why_not_compared() and np.isnan(found.offset)
    links[:, 60:] = -1
    links[10:] = -1
    points[links < 0] = np.nan
    few = robot_agreement(measured(), points, links, LINKS, CAMERA)
    assert few.why_not_compared() is not None


def test_sparse_depth_will_do():
    live = np.full((240, 360), np.nan, np.float32)
    live[::2, ::2] = measured(shift(0.01))[::2, ::2]
    found = compared(live)
    assert found.why_not_compared() is None
    assert found.offset == pytest.approx(0.01, abs=0.0025)


def test_less_is_known_where_less_is_seen():
    live = noisy(measured())
    half = live.copy()
    half[:, 185:] = np.nan
    assert compared(half).turn_sigma > compared(live).turn_sigma
    assert compared(live, noise=DepthNoise(0.01, 0.01)).shift_sigma > compared(live).shift_sigma


def test_in_front_of_the_robot():
    robot = np.full((60, 80), np.nan, np.float32)
    robot[20:40, 20:40] = 1.0
    robot[20:40, 40:60] = 0.7                      # a nearer link beside a farther one
    live = np.where(np.isfinite(robot), robot, np.float32(2.0))
    assert not in_front(live, robot, 3, 0.02).any()
    beside = np.roll(live, -2, axis=1)             # the camera is off by two pixels
    assert not in_front(beside, robot, 3, 0.02).any()
    live[25:35, 22:32] = 0.5
    live[21, 45] = 0.3                             # a single pixel is noise
    found = in_front(live, robot, 3, 0.02)
    assert found.sum() == 100 and found[25:35, 22:32].all()
    assert not in_front(live, np.full_like(robot, np.nan), 3, 0.02).any()


def test_it_costs_little():
    """Generously: it takes 3 ms of one core; other work may go on beside the tests."""
    points, links = rendered()
    points, links = points.repeat(2, 0).repeat(2, 1), links.repeat(2, 0).repeat(2, 1)
    live, camera = measured().repeat(2, 0).repeat(2, 1), CAMERA.resized(720, 480)
    robot_agreement(live, points, links, LINKS, camera)
    taken = []
    for _ in range(7):
        begin = time.thread_time()
        robot_agreement(live, points, links, LINKS, camera)
        taken.append(time.thread_time() - begin)
    assert min(taken) < 0.02
