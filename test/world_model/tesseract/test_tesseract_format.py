# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What TesserAct sees and shows, and metres of it; also against pictures that it released."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from shared_data import shared_data
from sliding_box import make_scene

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import PinholeCamera
from kinema4d_ros.world_model.tesseract import fit_depth, Panels
from kinema4d_ros.world_model.tesseract.metric import angle_between
from kinema4d_ros.world_model.tesseract.panels import model_fit, normals_of

CAMERA = PinholeCamera(64, 48, 48.0, 48.0, 31.5, 23.5)
VIDEOS = ('val_0_move_the_cup_near_bottle_Franka_Emika_Panda_0',
          'val_0_pick_up_the_apple_google_robot_0',
          'val_0_pick_up_the_pickle_rick_Franka_Emika_Panda_0')


def slope(down=0.3):
    """Return the depth (H, W) of a plane that comes nearer downwards, and its normal."""
    # n . p = -1 with n = (0, -down, -1): z (1 + down y') = 1
    depth = (1 / (1 + down * CAMERA.rays()[..., 1])).astype(np.float32)
    normal = np.array([0, -down, -1]) / np.hypot(down, 1)
    return depth, normal


def test_normals_of_a_plane():
    depth, normal = slope()
    normals = normals_of(pointmap_from_depth(depth, CAMERA))
    assert np.allclose(normals, normal, atol=2e-3)
    assert np.allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)


def test_what_the_model_is_shown():
    """Near is bright; of normals red is right, green is up, blue is to the camera."""
    observation, _ = make_scene(2)
    view = observation.with_view(depth=slope()[0]).view
    panels = Panels.seen(view, model_fit(view.camera, 64, 48))
    image, depth, normals = panels.values
    assert np.array_equal(np.rint(image * 255), view.image)
    assert depth.shape == normals.shape == (48, 64, 3)
    assert depth.min() == 0 and depth.max() == 1
    assert depth[-1, 0, 0] == pytest.approx(1) and depth[0, 0, 0] == pytest.approx(0)
    assert np.allclose(normals[20, 30], (np.array([0, 0.3, 1]) / np.hypot(0.3, 1) + 1) / 2,
                       atol=2e-3)
    back = Panels.of_values(image, depth, normals)
    assert np.allclose(back.depth, panels.depth, atol=1e-6)
    assert np.allclose(back.normals, panels.normals, atol=1e-5)


def test_holes_are_filled_from_what_is_nearest():
    observation, _ = make_scene(2)
    depth = np.full((48, 64), 2.0, np.float32)
    depth[:, 40:] = 1.0
    depth[10:20, 10:20] = depth[30:34, 38:40] = np.nan
    view = observation.with_view(depth=depth).view
    shown = Panels.seen(view, model_fit(view.camera, 64, 48))
    assert (shown.depth[10:20, 10:20] == 0).all() and (shown.depth[31:33, 39] == 1).all()
    assert np.isfinite(shown.values[2]).all()


def test_a_wide_picture_is_cropped_to_the_middle():
    observation, _ = make_scene(2, 128, 48)
    view = observation.view
    fit = model_fit(view.camera, 64, 48)
    shown = Panels.seen(view, fit)
    assert np.array_equal(np.rint(shown.image * 255), view.image[:, 32:96])
    assert np.isnan(fit.undo(shown.depth, nearest=True, fill=np.nan)[:, :32]).all()


def test_pictures_side_by_side():
    picture = np.zeros((4, 12, 3), np.uint8)
    picture[:, 4:8], picture[:, 8:] = 51, (255, 128, 128)
    panels = Panels.side_by_side(picture)
    assert (panels.image == 0).all() and np.allclose(panels.depth, 0.2)
    assert np.allclose(panels.normals, [1, 0, 0], atol=0.01)
    with pytest.raises(WorldModelError, match='three pictures wide'):
        Panels.side_by_side(np.zeros((4, 13, 3), np.uint8))


# ------------------------------------------------------------------------------- metres

QUICK = hypothesis_settings(max_examples=25, deadline=None)


@QUICK
@given(st.floats(0.5, 3.0), st.floats(-2.0, -0.1), st.floats(0, 0.4), st.integers(0, 9))
def test_the_line_is_found_whatever_has_moved(shift, scale, moved, seed):
    """Up to two fifths of the picture are somewhere else by half a metre."""
    random = np.random.default_rng(seed)
    depth = random.uniform(0, 1, (48, 64)).astype(np.float32)
    known = (shift + scale * depth + random.normal(0, 0.002, depth.shape)).astype(np.float32)
    known[:int(48 * moved)] += 0.5
    known[random.uniform(size=depth.shape) < 0.2] = np.nan
    fit = fit_depth(depth, known)
    assert (fit.shift, fit.scale) == pytest.approx((shift, scale), abs=0.01)
    assert 0.001 < fit.residual < 0.02
    assert fit.pixels == np.isfinite(known).sum()
    z = fit.metres(depth)
    assert np.allclose(z[z > 0], (shift + scale * depth)[z > 0], atol=0.02)


def test_a_fit_says_how_far_it_is_off():
    random = np.random.default_rng(1)
    depth = random.uniform(0, 1, (48, 64)).astype(np.float32)
    known = (2 - depth + random.normal(0, 0.1, depth.shape)).astype(np.float32)
    assert fit_depth(depth, known).residual == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize('depth, known', [
    (np.full((48, 64), 0.5), np.ones((48, 64))),                        # flat
    (np.linspace(0, 1, 3072).reshape(48, 64), np.linspace(1, 2, 3072).reshape(48, 64)),  # rises
    (np.linspace(0, 1, 3072).reshape(48, 64), np.full((48, 64), np.nan)),
    (np.full((48, 64), np.nan), np.ones((48, 64)))])
def test_no_line_where_there_is_none(depth, known):
    assert fit_depth(depth.astype(np.float32), known.astype(np.float32)) is None


def test_what_would_be_behind_the_camera_is_unknown():
    depth = np.linspace(0, 1, 3072).reshape(48, 64).astype(np.float32)
    fit = fit_depth(depth, 0.5 - depth)
    assert np.array_equal(np.isnan(fit.metres(depth)), depth > 0.5)


def test_angles_of_normals():
    straight = np.zeros((4, 4, 3), np.float32)
    straight[..., 2] = -1
    turned = straight @ np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)],
                                  [0, np.sin(0.3), np.cos(0.3)]]).T
    assert angle_between(straight, turned) == pytest.approx(0.3, abs=1e-6)
    assert angle_between(straight, np.full_like(straight, np.nan)) is None


# ------------------------------------------------------------------------------- their pictures

@pytest.mark.parametrize('name', VIDEOS)
def test_a_released_video_has_the_format(name):
    """Its size and length, and the signs of its panels, which are told by the pictures alone."""
    path = shared_data('tesseract_fixtures') / f'{name}.mp4'
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == 8.0
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1][..., ::-1])
    assert len(frames) == 49 and frames[0].shape == (480, 1920, 3)
    first, last = Panels.side_by_side(frames[0]), Panels.side_by_side(frames[-1])
    # The table before the camera is nearer than what is behind it.
    assert first.depth[400:].mean() > first.depth[:80].mean() + 0.2
    # Surfaces look to the camera, and turn as the distance changes along the picture.
    normals = first.normals
    known = np.isfinite(normals[..., 0])
    assert known.mean() > 0.99 and np.median(normals[known][:, 2]) < -0.7
    z = cv2.GaussianBlur(1.5 - 0.9 * first.depth, (0, 0), 4)
    for axis, along in ((0, 1), (1, 0)):
        slopes = np.gradient(z, axis=along)
        assert np.corrcoef(normals[..., axis][known], slopes[known])[0, 1] > 0.15
    # Seen 6 s later, the same scene still gives its metres, nearly.
    fit = fit_depth(last.depth, (1.5 - 0.9 * first.depth).astype(np.float32))
    assert (fit.shift, fit.scale) == pytest.approx((1.5, -0.9), abs=0.12)
    assert fit.residual < 0.03


@pytest.mark.parametrize('name', ['fruit_vangogh', 'majo'])
def test_their_input_normals_are_unit_vectors_to_the_camera(name):
    folder = shared_data('tesseract_fixtures')
    image = cv2.imread(str(folder / f'{name}_normal.png'))[..., ::-1].astype(np.float32) / 255
    assert np.linalg.norm(2 * image - 1, axis=-1).mean() == pytest.approx(1, abs=0.02)
    normals = Panels.of_values(image, image, image).normals
    assert np.nanmedian(normals[..., 2]) < -0.5
