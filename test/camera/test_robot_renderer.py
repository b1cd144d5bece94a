# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot renderer: many links, moving cameras, observed colours."""
import os
import threading
from typing import NamedTuple

import numpy as np
import pytest
import trimesh

from kinema4d_ros.camera.drawing import Drawing
from kinema4d_ros.camera import rasterize, robot_renderer, RobotRenderer
from kinema4d_ros.errors import CameraError, MeshError, PredictionCancelled
from kinema4d_ros.types import PinholeCamera

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
LINKS = ('base', 'arm', 'hand')


class Mesh(NamedTuple):
    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray


def mesh(shape, color=(200, 200, 200)):
    return Mesh(shape.vertices.astype(np.float32), shape.faces.astype(np.int32),
                np.tile(np.uint8(color), (len(shape.vertices), 1)))


def shift(x, y, z):
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


MESHES = {'arm': mesh(trimesh.creation.icosphere(3, 0.15), (200, 0, 0)),
          'hand': mesh(trimesh.creation.box((0.2, 0.2, 0.2)), (0, 0, 200))}


@pytest.fixture(scope='module')
def renderer():
    return RobotRenderer(MESHES, LINKS)


def poses(count=4):
    """Return link poses (T, 3, 4, 4): the arm stays, the hand passes in front of it."""
    T = np.tile(np.eye(4), (count, 3, 1, 1))
    T[:, 1, :3, 3] = 0, 0, 1.2
    T[:, 2, :3, 3] = np.stack([np.linspace(-0.4, 0.4, count), np.zeros(count),
                               np.full(count, 0.8)], -1)
    return T


def test_pictures_have_the_promised_form(renderer):
    out = renderer.render(poses(), CAMERA, np.eye(4))
    assert out.pointmap.shape == (4, 120, 160, 3) and out.pointmap.dtype == np.float32
    assert out.link_id.shape == (4, 120, 160) and out.link_id.dtype == np.int16
    assert out.image.shape == (4, 120, 160, 3) and out.image.dtype == np.uint8
    robot = out.link_id >= 0
    assert set(np.unique(out.link_id)) == {-1, 1, 2}
    assert np.isfinite(out.pointmap[robot]).all() and np.isnan(out.pointmap[~robot]).all()
    assert (out.image[~robot] == 0).all() and out.image[robot].any(-1).all()


def test_a_link_is_where_its_mesh_alone_would_be_drawn(renderer):
    T = poses()
    out = renderer.render(T, CAMERA, np.eye(4))
    nearest = np.full((4, 120, 160), np.inf)
    owner = np.full((4, 120, 160), -1)
    for t in range(4):
        for link, name in enumerate(LINKS[1:], 1):
            vertices = MESHES[name].vertices + T[t, link, :3, 3].astype(np.float32)
            depth, _ = rasterize(vertices, MESHES[name].faces, CAMERA)
            nearer = np.nan_to_num(depth, nan=np.inf) < nearest[t]
            nearest[t][nearer], owner[t][nearer] = depth[nearer], link
    assert (out.link_id == owner).mean() > 0.9999
    same = (out.link_id == owner) & (owner >= 0)
    assert np.abs(out.pointmap[..., 2] - nearest)[same].max() < 1e-5


def test_points_project_onto_their_own_pixels(renderer):
    out = renderer.render(poses(1), CAMERA, np.eye(4))
    robot = out.link_id[0] >= 0
    rays = CAMERA.rays()
    expected = rays * out.pointmap[0, ..., 2:]
    assert np.abs(out.pointmap[0] - expected)[robot].max() < 1e-6


def test_moving_the_camera_is_moving_the_robot_the_other_way(renderer):
    T = poses(3)
    shifts = [shift(0.1 * t, -0.05 * t, 0.2 * t) for t in range(3)]
    moved = renderer.render(T, CAMERA, np.stack(shifts))
    same = renderer.render(np.stack([np.linalg.inv(s) @ t for s, t in zip(shifts, T)]),
                           CAMERA, np.eye(4))
    assert np.array_equal(moved.link_id, same.link_id)
    assert np.allclose(moved.pointmap, same.pointmap, atol=1e-6, equal_nan=True)


def test_near_cuts_away_what_the_camera_sits_in():
    T = np.tile(np.eye(4), (1, 3, 1, 1))
    T[0, 1, 2, 3] = 5.0
    inside = RobotRenderer(MESHES, LINKS).render(T, CAMERA, np.eye(4))
    assert (inside.link_id == 2).all(), 'the camera is inside of the hand'
    cut = RobotRenderer(MESHES, LINKS, near=0.3).render(T, CAMERA, np.eye(4))
    assert set(np.unique(cut.link_id)) == {-1, 1}


def test_a_result_that_is_held_is_not_drawn_over(renderer):
    first = renderer.render(poses(), CAMERA, np.eye(4))
    view = first.pointmap[1]
    copy = view.copy()
    del first
    for _ in range(3):
        renderer.render(poses()[::-1], CAMERA, np.eye(4))
    assert np.array_equal(view, copy, equal_nan=True)


def test_memory_of_a_result_that_is_gone_is_used_again(renderer):
    out = renderer.render(poses(), CAMERA, np.eye(4))
    place = out.pointmap.ctypes.data
    del out
    smaller = renderer.render(poses(2), CAMERA, np.eye(4))
    assert smaller.pointmap.ctypes.data == place and len(smaller.pointmap) == 2
    fresh = renderer.render(poses(), CAMERA, np.eye(4))
    assert fresh.pointmap.ctypes.data != place
    assert np.array_equal(np.isnan(fresh.pointmap[..., 0]), fresh.link_id < 0)


def test_drawing_ends_when_the_check_between_frames_says_so(renderer, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0})     # no thread but this one
    calls = []

    def check():
        calls.append(threading.current_thread())
        if len(calls) == 3:
            raise PredictionCancelled('not wanted any more')

    with pytest.raises(PredictionCancelled, match='not wanted'):
        renderer.render(poses(), CAMERA, np.eye(4), check=check)
    assert calls == [threading.current_thread()] * 3
    whole = renderer.render(poses(), CAMERA, np.eye(4), check=lambda: calls.append(None))
    assert len(calls) == 3 + len(poses()) and (whole.link_id >= 0).any(axis=(1, 2)).all()


def test_views_that_are_drawn_together_share_the_processors(renderer, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(5)))
    helpers = []
    monkeypatch.setattr(robot_renderer, 'Drawing', lambda frames, artist, count, check: (
        helpers.append(count), Drawing(frames, artist, 0, check))[1])
    for sharing in (1, 2, 3, 9):
        renderer.begin(poses(), CAMERA, np.eye(4), sharing=sharing)[0].wait()
    assert helpers == [4, 2, 2, 1]


def test_threads_that_help_stop_after_their_present_frame(renderer, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1})
    begun, ended, painted = threading.Event(), threading.Event(), []

    class StoppedDrawing(Drawing):
        def stop(self):
            self._stopped = True
            ended.set()       # this comes once no thread begins another frame
            super().stop()

    def paint(*args):
        painted.append(threading.current_thread())
        begun.set()
        assert ended.wait(20)

    def check():
        assert begun.wait(20)
        raise PredictionCancelled('not wanted any more')

    with monkeypatch.context() as patch:
        patch.setattr(robot_renderer, 'Drawing', StoppedDrawing)
        patch.setattr(robot_renderer, 'paint', paint)
        with pytest.raises(PredictionCancelled):
            renderer.render(poses(50), CAMERA, np.eye(4), check=check)
    assert len(painted) == 1 and painted[0] is not threading.current_thread()
    usual = renderer.render(poses(), CAMERA, np.eye(4))
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0})
    np.testing.assert_array_equal(renderer.render(poses(), CAMERA, np.eye(4)).image, usual.image)


def test_faces_towards_the_light_are_brighter_and_curved_ones_smooth(renderer):
    out = renderer.render(poses(1), CAMERA, np.eye(4))
    ball = out.image[0, ..., 0].astype(float) * (out.link_id[0] == 1)
    row = ball[60, ball[60] > 0]
    assert len(row) > 20 and np.abs(np.diff(row)).max() < 25
    assert row.max() > 1.3 * row[-1]


def textured_look():
    """Return an observed image with a pattern that no shading would make."""
    v, u = np.mgrid[0:120, 0:160]
    return np.stack([(u * 5) % 256, (v * 7) % 256, (u + v) % 256], -1).astype(np.uint8)


def see(renderer, T, image, **more):
    first = renderer.render(T[:1], CAMERA, np.eye(4))
    return first, renderer.appearance(image, first.link_id[0], first.pointmap[0], T[0], CAMERA,
                                      np.eye(4), **more)


def test_the_observed_frame_is_drawn_as_it_was_observed(renderer):
    T, image = poses(), textured_look()
    first, appearance = see(renderer, T, image)
    again = renderer.render(T[:1], CAMERA, np.eye(4), appearance).image[0]
    inside = appearance.link_id >= 0
    assert inside.sum() > 0.7 * (first.link_id[0] >= 0).sum()
    exact = (np.abs(again.astype(int) - image).max(-1) <= 1)[inside]
    assert exact.mean() > 0.95


def test_observed_colours_move_with_the_link(renderer):
    T, image = poses(2), textured_look()
    T[1, 2] = T[0, 2] @ shift(16 * 0.7 / 150, 0, 0)     # its front, at 0.7 m, moves 16 pixels
    first, appearance = see(renderer, T, image)
    moved = renderer.render(T, CAMERA, np.eye(4), appearance).image[1]
    front = (appearance.link_id == 2) & (first.pointmap[0, ..., 2] < 0.701)
    v, u = np.nonzero(front)
    was, now = image[v, u], moved[v, u + 16]
    # The pattern jumps where it wraps around, and blending across a jump is another colour.
    assert (np.abs(was.astype(int) - now).max(-1) <= 4).mean() > 0.8


def test_what_was_not_seen_gets_the_tint_of_its_link(renderer):
    T = poses(2)
    turn = np.diag([-1.0, 1, -1, 1])
    T[1, 2] = T[0, 2] @ turn                       # shows the side that was never seen
    image = np.full((120, 160, 3), (90, 120, 60), np.uint8)
    _, appearance = see(renderer, T, image)
    assert appearance.tint.shape == (3, 3)
    back = renderer.render(T, CAMERA, np.eye(4), appearance)
    plain = renderer.render(T, CAMERA, np.eye(4))
    hand = back.link_id[1] == 2
    ratio = back.image[1][hand].mean(0)[2] / plain.image[1][hand].mean(0)[2]
    assert ratio == pytest.approx(appearance.tint[2, 2], rel=0.05)


def test_what_is_in_front_of_the_robot_is_not_painted_on_it(renderer):
    T, image = poses(1), np.full((120, 160, 3), (0, 200, 0), np.uint8)
    depth = np.full((120, 160), 3.0, np.float32)
    depth[:, :80], image[:, :80] = 0.3, (255, 0, 255)     # something pink hides the left half
    _, appearance = see(renderer, T, image, depth=depth)
    assert (appearance.link_id[:, :80] == -1).all()
    assert (appearance.link_id[:, 80:] >= 0).any()


def test_a_robot_out_of_view_keeps_its_own_colours(renderer):
    T = poses(1)
    T[:, :, 2, 3] = -5.0
    _, appearance = see(renderer, T, textured_look())
    assert (appearance.tint == 1).all()


def test_bad_input_is_refused(renderer):
    with pytest.raises(MeshError, match='links that the robot does not have: arm, hand'):
        RobotRenderer(MESHES, ('base',))
    with pytest.raises(CameraError, match='near must be a positive distance'):
        RobotRenderer(MESHES, LINKS, near=0.0)
    bad = MESHES['arm']._replace(colors=MESHES['arm'].colors[1:])
    with pytest.raises(MeshError, match="link 'arm': colors must have shape"):
        RobotRenderer({'arm': bad}, LINKS)
    with pytest.raises(CameraError, match=r'T_base_link must have shape \(T, 3, 4, 4\)'):
        renderer.render(poses()[:, :2], CAMERA, np.eye(4))
    with pytest.raises(CameraError, match='T_base_camera must have shape'):
        renderer.render(poses(), CAMERA, np.tile(np.eye(4), (3, 1, 1)))
    broken = poses()
    broken[1, 1, 0, 3] = np.nan
    with pytest.raises(CameraError, match='not finite'):
        renderer.render(broken, CAMERA, np.eye(4))
    first, appearance = see(renderer, poses(), textured_look())
    with pytest.raises(CameraError, match='does not have the size of the camera'):
        renderer.appearance(textured_look()[1:], first.link_id[0], first.pointmap[0], poses()[0],
                            CAMERA, np.eye(4))
    with pytest.raises(CameraError, match='the appearance is of a robot with 3 links'):
        RobotRenderer({}, ('base',)).render(poses()[:, :1], CAMERA, np.eye(4), appearance)
