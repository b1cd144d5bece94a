# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clips of a recorded episode: robot, picture and points are of the same moment and place."""
from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from lacking import needs

from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.errors import DatasetError, WorldModelError
from kinema4d_ros.training.clips import chosen, clip_name, clips_of_episode, ClipSettings, \
    pieces, without_holes
from kinema4d_ros.world_model.kinema4d.tiny import GEOMETRY

NAME = 'libero_object_0_0_success'


@pytest.fixture(scope='module')
def episode():
    """Return a recorded episode of a simulator, so robot and depth are true."""
    return Episode.open(find_episode(NAME))


@pytest.fixture(scope='module')
def clip(episode):
    """Return its one clip of 9 frames."""
    (made,) = clips_of_episode(episode, GEOMETRY, ClipSettings())
    return made


def test_the_robot_is_where_the_depth_camera_saw_it(clip):
    """The oracle: the simulator's depth, in metres, over all frames of a moving robot."""
    assert clip.video.shape == (9, 32, 48, 3) and clip.mask.shape == (9, 32, 48)
    scale = clip.notes['scale_m']
    apart = np.linalg.norm(clip.pointmap - clip.robot_pointmap, axis=-1)[clip.mask] * scale
    assert np.median(apart) < 0.005 and np.mean(apart < 0.05) > 0.8
    assert (clip.robot_pointmap[~clip.mask] == -1).all() and not clip.robot_video[~clip.mask].any()
    assert (clip.mask[0] != clip.mask[-1]).any()
    centre = np.array(clip.notes['centre_m'])
    assert centre.shape == (9, 3) and (centre == centre[0]).all()
    metres = clip.pointmap[0] * scale + centre[0]
    assert 0.2 < np.median(metres[..., 2]) < 3.0
    json.dumps(dict(clip.notes))


def test_its_own_robot_looks_like_what_was_seen(clip):
    """The first frame gives the robot's colours."""
    seen, drawn = (video[0][clip.mask[0]].astype(float) for video in (clip.video, clip.robot_video))
    assert np.abs(seen - drawn).mean() < 25


def test_motions_are_cut_into_clips_and_short_ones_padded(episode):
    whole, = pieces(episode, 0.0)
    times = episode.frames.times
    assert whole[0] == episode.start_index and times[whole[-1]] <= episode.trajectory.duration
    parts = pieces(episode, 2.0)
    assert np.array_equal(np.concatenate(parts), whole) and len(parts) > 1
    assert all(np.ptp(times[part]) <= 2.0 for part in parts)
    assert chosen(np.arange(10, 20), 4, 'reverse').tolist() == [10, 13, 16, 19]
    assert chosen(np.arange(10, 13), 5, 'reverse').tolist() == [10, 11, 12, 12, 11]
    assert chosen(np.arange(10, 13), 5, 'hold').tolist() == [10, 11, 12, 12, 12]


def test_what_cannot_be_used_is_told(episode, monkeypatch):
    moving = Episode.open(find_episode('libero_object_1_0_success_eye_in_hand'))
    with pytest.raises(DatasetError, match='eye_in_hand.mcap: the camera moves .*stand still'):
        next(clips_of_episode(moving, GEOMETRY, ClipSettings()))
    blind = Episode.open(find_episode(NAME))
    seen = blind.observation()
    monkeypatch.setattr(blind, 'observation', lambda offset: dataclasses.replace(
        seen, views=(dataclasses.replace(seen.view, depth=None),)))
    with pytest.raises(DatasetError, match='success.mcap: no depth was recorded'):
        next(clips_of_episode(blind, GEOMETRY, ClipSettings()))
    with pytest.raises(DatasetError, match='knows no pixel'):
        without_holes(np.full((2, 2), np.nan, np.float32))


@pytest.mark.parametrize('name, value, told', [
    ('normaliser', 'fixed', "normaliser 'fixed' cannot be trained with; choose one of: scene, per"),
    ('background', 2.0, 'background must be -1 to 1'), ('padding', 'loop', "padding 'loop'"),
    ('seconds', 0.05, 'seconds must be 0, for the whole motion')])
def test_settings_that_do_not_exist_are_refused(name, value, told):
    with pytest.raises(WorldModelError, match=told):
        ClipSettings(**{name: value}).check()


def test_holes_take_the_nearest_depth():
    depth = np.array([[1, np.nan, 3], [1, 1, 3]], np.float32)
    assert without_holes(depth).tolist() == [[1, 1, 3], [1, 1, 3]] or \
        without_holes(depth)[0, 1] in (1, 3)
    assert without_holes(np.ones((2, 2))).all()


def test_names_are_safe_for_the_official_scripts():
    assert clip_name('my videos/a.mp4', 3) == 'my_vids_a.m4_003'


@needs('torch')
def test_a_folder_of_videos_without_latents_is_encoded(clip, start, tmp_path):
    """What others publish: four videos and the lists; no mask, no latents."""
    from kinema4d_ros.datasets.robo4d import clip_path, Robo4D
    from kinema4d_ros.datasets.robo4d_writer import Robo4DWriter
    from kinema4d_ros.training.encoding import ClipEncoder, encode_layout, sizes_of
    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
    checkpoint = Checkpoint(*start)
    encoder, sizes = ClipEncoder(checkpoint, 'cpu'), sizes_of(checkpoint)
    writer, exact = Robo4DWriter(tmp_path), encoder.encode(clip)
    writer.add(clip, exact)
    writer.add(dataclasses.replace(clip, name='broken'), exact)
    writer.write_lists()
    kept = ('video', 'mask_video', 'pointmap', 'mask_pointmap')
    from kinema4d_ros.datasets.robo4d import FILES
    for name in (clip.name, 'broken'):
        for kind in FILES.keys() - kept:
            clip_path(tmp_path, kind, name).unlink()
    clip_path(tmp_path, 'pointmap', 'broken').write_bytes(b'no video')
    done = encode_layout(tmp_path, lambda: encoder, sizes)
    assert done.written == [clip.name] and done.broken.keys() == {'broken'}
    found = Robo4D(tmp_path, sizes).read(clip.name)
    assert (found.mask & clip.mask).sum() > 0.9 * clip.mask.sum()
    error = (found.video - exact.video.float()).square().mean().sqrt()
    assert error < 0.3 * exact.video.float().std()          # the videos are lossy
    again = encode_layout(tmp_path, lambda: pytest.fail('encoded twice'), sizes)
    assert again.kept == [clip.name]


def test_a_mask_of_other_frames_or_that_is_damaged_is_not_taken(tmp_path):
    """The official files have the first 49 frames; of a longer clip we take the middle ones."""
    from robo4d_clips import pixels, SIZES

    from kinema4d_ros.datasets.robo4d import clip_path
    from kinema4d_ros.datasets.robo4d_writer import as_rgb, write_mp4v
    from kinema4d_ros.training.encoding import clip_of_videos
    made = pixels('a')

    def write(repeats):
        for kind, frames in (('video', made.video), ('mask_video', made.robot_video),
                             ('pointmap', as_rgb(made.pointmap)),
                             ('mask_pointmap', as_rgb(made.robot_pointmap))):
            clip_path(tmp_path, kind, 'a').parent.mkdir(exist_ok=True)
            write_mp4v(clip_path(tmp_path, kind, 'a'), np.concatenate([frames] * repeats))

    path = clip_path(tmp_path, 'mask', 'a')
    path.parent.mkdir()
    nowhere = np.zeros((9, 32, 48, 1), np.uint8)
    np.save(path, nowhere)
    write(1)
    assert not clip_of_videos(tmp_path, 'a', SIZES, 'reverse').mask.any()      # the file's
    for wrong in (nowhere[:5], nowhere[..., 0], nowhere[:, :16]):
        np.save(path, wrong)
        assert clip_of_videos(tmp_path, 'a', SIZES, 'reverse').mask.any()
    np.save(path, nowhere)
    write(2)
    longer = clip_of_videos(tmp_path, 'a', SIZES, 'reverse')
    assert longer.notes['frames'][0] == 4 and longer.mask.any()
    write(1)
    path.write_bytes(b'no array')
    with pytest.raises(DatasetError, match="clip 'a': arm_masks_npy/a.npy: "):
        clip_of_videos(tmp_path, 'a', SIZES, 'reverse')


@needs('torch')
def test_clips_that_were_made_otherwise_are_not_mixed_with_others(clip, start, tmp_path,
                                                                  monkeypatch):
    from robo4d_clips import latents

    from kinema4d_ros.training import encoding
    from kinema4d_ros.training.encoding import encode_layout, prepare_episodes, sizes_of
    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
    checkpoint = Checkpoint(*start)

    class Encoder:
        def encode(self, clip):
            return latents()

    monkeypatch.setattr(encoding, 'clips_of_episode', lambda *more, **_: (
        dataclasses.replace(clip, name=name) for name in ('a',) if more[3](name)))

    def prepare(vae=checkpoint.vae_fingerprint, **settings):
        other = Checkpoint(*start)
        other.vae_fingerprint = vae
        return prepare_episodes([find_episode(NAME)], tmp_path, Encoder, other,
                                ClipSettings(**settings), held_out=0, videos=False)

    assert prepare().written == ['a'] and prepare().kept == ['a']
    with pytest.raises(DatasetError, match="normaliser 'scene' there, 'per_frame' now; .*--clips"):
        prepare(normaliser='per_frame')
    with pytest.raises(DatasetError, match="other settings: vae '.*' there, 'other' now"):
        prepare('other')
    sizes = sizes_of(checkpoint)
    assert encode_layout(tmp_path, Encoder, sizes, vae=checkpoint.vae_fingerprint,
                         padding='hold').kept == ['a']      # nothing to pad
    with pytest.raises(DatasetError, match='other settings: vae'):
        encode_layout(tmp_path, Encoder, sizes, vae='other')
    (tmp_path / encoding.MADE_BY).unlink()
    with pytest.raises(DatasetError, match='no kinema4d_clips.json that says how they were made'):
        prepare()
