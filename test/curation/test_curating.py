# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings become 4D episodes: the drawn robot, the depth, the labels, and what is left out."""
import dataclasses
import json
import resource
import shutil

import numpy as np
import pytest
from small_recordings import (GAIN, install_backend, knowing_model, OFFSET, recording)

from kinema4d_ros.calibration import Extrinsics
from kinema4d_ros.cli.main import main
from kinema4d_ros.curation import CurationItem, CurationSettings, curate, one_episode
from kinema4d_ros.curation.clips import cut
from kinema4d_ros.curation.one_episode import UnwritableError
from kinema4d_ros.datasets.robo4d import ClipSizes, PIXELS, Robo4D
from kinema4d_ros.datasets.robo4d_writer import Robo4DWriter
from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.robot import Robot
from kinema4d_ros.serialization import from_plain, to_plain
from kinema4d_ros.training.encoding import clip_of_videos

SHORT = CurationSettings(frames=9)


def curated(path, out, settings=SHORT):
    return one_episode(CurationItem(path.stem, str(path), str(out), settings, {'source': 'x'}))


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return recording(tmp_path_factory.mktemp('in') / 'one.mcap')


@pytest.fixture(scope='module')
def made(path, tmp_path_factory):
    """Return the record of a recording of 14 frames with depth, and the folder."""
    out = tmp_path_factory.mktemp('out')
    return curated(path, out), out


def test_the_drawn_robot_is_where_the_depth_camera_saw_it(made):
    """The oracle: the simulator's depth. Points, links and colours are of one robot."""
    record, out = made
    assert record.refused == '' and record.clips == ('one_000', 'one_001')
    episode = Episode.open(out / 'episodes' / 'one_001.mcap')
    assert len(episode.frames) == len(episode.rendered) == 9
    names = Robot.from_urdf(episode.robot_description).link_names
    seen = set()
    for frame, drawn in zip(episode.frames, episode.rendered):
        assert frame.stamp_ns == drawn.stamp_ns
        mask = drawn.mask
        apart = np.abs(frame.depth - drawn.pointmap[..., 2])[mask]
        assert np.median(apart) < 0.0011 and 0.02 < mask.mean() < 0.3
        assert np.array_equal(np.isfinite(drawn.pointmap[..., 2]), mask)
        assert not drawn.image[~mask].any() and drawn.image[mask].any(axis=1).mean() > 0.9
        seen |= {names[link] for link in np.unique(drawn.link_id[mask])}
    assert any('hand' in name for name in seen) and len(seen) > 3
    first = episode.frames[0].image.astype(int)[episode.rendered[0].mask]
    assert np.abs(first - episode.rendered[0].image[episode.rendered[0].mask]).mean() < 25
    told = json.loads(episode.curation)
    assert told['link_names'] == list(names) and told['lineage'] == {'source': 'x'}
    assert told['frames'] == list(range(5, 14)) and told['quality']['robot_seen'] == 1.0


def test_a_clip_is_an_episode_of_its_own(path, made):
    """Its motion is the part that was driven, its label that of the recording."""
    whole = Episode.open(path)
    clip = Episode.open(made[1] / 'episodes' / 'one_001.mcap')
    assert clip.metadata.success is True and clip.metadata.depth_origin == ''
    assert clip.metadata.task_text == whole.metadata.task_text and 'one.mcap, frames 5 to 13' in \
        clip.metadata.source
    times = whole.frames.times
    assert np.allclose(clip.frames.times, times[5:] - times[5], atol=1e-6)
    assert clip.start_index == 0
    assert clip.trajectory.duration == pytest.approx(times[13] - times[5], abs=1e-6)
    assert np.allclose([clip.frames[i].joint_positions[name] for i in range(9)
                        for name in clip.trajectory.joint_names],
                       clip.trajectory.positions.ravel(), atol=1e-6)
    assert clip.frames[3].joint_positions == pytest.approx(
        dict(whole.frames[8].joint_positions), abs=1e-6)
    assert np.allclose(clip.observation().view.T_base_camera,
                       whole.observation().view.T_base_camera)
    assert np.abs(clip.frames[0].image.astype(int) - whole.frames[5].image).mean() < 3


def test_numbers_of_a_good_recording(made):
    quality = made[0].quality
    assert (quality.frames, quality.robot_seen, quality.depth_share) == (14, 1.0, 1.0)
    assert quality.rate == pytest.approx(2.0, rel=0.01) and quality.largest_gap < 1.01
    assert quality.picture_shift <= 1.5 and quality.picture_fit > 0.5
    assert quality.depth_agreement > 0.95 and quality.depth_offset < 0.003
    assert quality.motion > 0.5 and 0.3 < quality.moving <= 1.0
    assert made[0].depth == 'measured' and made[0].fit is None
    assert (made[1] / made[0].thumbnail).read_bytes()[:3] == b'\xff\xd8\xff'
    assert from_plain(type(made[0]), json.loads(json.dumps(to_plain(made[0])))) == made[0]


def test_a_camera_that_is_said_to_be_elsewhere_shows_in_the_numbers(path, tmp_path):
    T = Episode.open(path).observation().view.T_base_camera.copy()
    T[:3, 3] += 0.05 * T[:3, 0]      # to the right
    quality = curated(recording(tmp_path / 'off.mcap', T_base_camera=T), tmp_path / 'out').quality
    assert quality.picture_shift >= 2 and quality.depth_offset > 0.02


@pytest.mark.parametrize(('count', 'stride', 'overlap', 'want'), [
    (49, 1, 0, [(0, 48)]), (98, 1, 0, [(0, 48), (49, 97)]), (60, 1, 0, [(0, 48), (11, 59)]),
    (30, 1, 0, [(0, 29)]), (120, 2, 0, [(0, 96), (23, 119)]),
    (120, 1, 8, [(0, 48), (41, 89), (71, 119)])])
def test_clips_cover_a_recording(count, stride, overlap, want):
    clips = cut(count, CurationSettings(stride=stride, overlap=overlap))
    assert [(clip[0], clip[-1]) for clip in clips] == want
    assert all(len(clip) == 49 for clip in clips) or count < 49
    if stride == 1:
        assert set(np.concatenate(clips)) == set(range(count))


# ------------------------------------------------------------------------------- depth

@pytest.fixture
def estimating(path, tmp_path, monkeypatch):
    """Return settings with a network that knows the truth, and a recording without depth."""
    install_backend(tmp_path / 'site', monkeypatch)
    model = knowing_model(tmp_path / 'model', path)
    blind = recording(tmp_path / 'blind.mcap', depth=False)
    return CurationSettings(frames=9, depth_backend='knowing', depth_model=str(model)), blind


def test_estimated_depth_becomes_metres_by_the_robot(estimating, path, tmp_path):
    """The scene's depth, which nothing was fitted on, is that of the simulator."""
    settings, blind = estimating
    record = curated(blind, tmp_path / 'out', settings)
    assert record.refused == '' and record.depth == 'estimated'
    fit = record.fit
    assert fit.quantity == 'inverse_depth' and fit.frames + fit.tested == 14
    assert fit.scale == pytest.approx(1 / GAIN, rel=0.05)
    assert fit.shift == pytest.approx(-OFFSET / GAIN, abs=0.06)
    assert fit.residual < 0.01 and fit.relative < 0.01
    clip = Episode.open(tmp_path / 'out' / 'episodes' / 'blind_000.mcap')
    assert 'estimated by the depth model model' in clip.metadata.depth_origin
    truth = Episode.open(path)
    for index in (0, 4, 8):
        scene = ~clip.rendered[index].mask
        error = np.abs(clip.frames[index].depth - truth.frames[index].depth)[scene]
        assert np.nanmedian(error / truth.frames[index].depth[scene]) < 0.02
    assert record.quality.depth_share > 0.95 and record.quality.depth_agreement is None


def test_a_verdict_on_estimated_depth_comes_with_a_warning(estimating, tmp_path, capsys):
    settings, blind = estimating
    curated(blind, tmp_path / 'out', settings)
    main(['precheck', str(tmp_path / 'out' / 'episodes' / 'blind_000.mcap'), '--tiers', '0'])
    assert 'its depth was not measured' in capsys.readouterr().err


def test_depth_that_does_not_fit_is_left_out(estimating, path, tmp_path):
    """A network whose gain is another in each frame cannot be brought to metres by one scale."""
    settings, blind = estimating
    shutil.rmtree(settings.depth_model)
    knowing_model(tmp_path / 'model', path, noise=0.1)
    record = curated(blind, tmp_path / 'out', settings)
    assert 'mm (' in record.refused and 'off at the robot; the limit is 50 mm' in record.refused
    assert record.clips == () and record.fit.residual > 0.05 and record.thumbnail
    wide = dataclasses.replace(settings, residual=9.0, relative_residual=1.0)
    assert '% off' in curated(blind, tmp_path / 'out', wide).refused      # the scale is, then
    assert not list((tmp_path / 'out').glob('episodes/*.mcap'))


def test_measured_depth_goes_before_estimated(estimating, path, tmp_path):
    record = curated(path, tmp_path / 'out', estimating[0])
    assert record.depth == 'measured' and record.fit is None


# ------------------------------------------------------------------------------- what is left out

def test_what_is_left_out_says_why(path, tmp_path):
    out = tmp_path / 'out'
    blind = curated(recording(tmp_path / 'blind.mcap', frames=6, depth=False), out)
    assert blind.refused.startswith('no depth was recorded; give a model') and blind.quality
    unknown = curated(recording(tmp_path / 'a.mcap', frames=6, camera_known=False), out)
    assert 'kinema4d calibrate' in unknown.refused and unknown.success is True
    away = np.eye(4)
    away[:3, 3] = (0.0, 0.0, 3.0)      # looks up, from above
    empty = curated(recording(tmp_path / 'b.mcap', frames=6, T_base_camera=away), out)
    assert empty.refused.startswith('no robot in view: 0 % of the frames')
    damaged = tmp_path / 'c.mcap'
    damaged.write_bytes(path.read_bytes()[:30_000])
    assert 'is damaged' in curated(damaged, out).refused
    assert 'no camera' in curated(path, out, CurationSettings(camera='wrist')).refused
    assert 'no such episode' in curated(tmp_path / 'nowhere.mcap', out).refused
    assert not list(out.glob('episodes/*.mcap'))


def test_a_folder_that_cannot_be_written_to_stops_everything(path, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UnwritableError, match='cannot be written'):
        curated(path, tmp_path / 'file' / 'out')
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, was[1]))
        with pytest.raises(UnwritableError, match='cannot be written: .*File too large'):
            curated(path, tmp_path / 'full')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    assert list((tmp_path / 'full' / 'episodes').iterdir()) == []


@pytest.mark.parametrize(('values', 'told'), [
    ({'frames': 1}, '2 frames or more'), ({'overlap': 49}, 'overlap by 0 to 48'),
    ({'form': 'robo4d', 'frames': 48}, '49 frames, or of another multiple'),
    ({'depth_quantity': 'x'}, '--depth-quantity is'), ({'residual': 0.0}, '--residual must be'),
    ({'robot_seen': 2.0}, '--robot-seen must be 0 to 1'), ({'form': 'x'}, '--to is mcap')])
def test_settings_that_mean_nothing_are_refused(values, told):
    with pytest.raises(ConfigurationError, match=told):
        CurationSettings(**values).check()


# ------------------------------------------------------------------------------- the other forms

def test_the_layout_of_robo4d_has_the_drawn_robot_to_the_bit(tmp_path):
    """Masks are files of bits; a recording that is too short runs back, as the official ones."""
    path = recording(tmp_path / 'short.mcap', frames=4)
    record = curated(path, tmp_path, CurationSettings(form='robo4d', frames=5))
    root, (name,) = tmp_path / 'robo4d', record.clips
    writer = Robo4DWriter(root)
    assert writer.has(name, PIXELS) and not writer.has(name)
    assert writer.write_lists() == () and writer.write_lists(kinds=PIXELS) == (name,)
    layout = Robo4D(root)
    mask = np.load(layout.path('mask', name))
    assert mask.dtype == np.uint8 and mask.shape == (5, 480, 720, 1)
    clip = Episode.open(tmp_path / 'episodes' / f'{name}.mcap')
    assert len(clip.frames) == 4
    for index in range(5):      # 120x80 is 720x480 by whole pixels
        assert np.array_equal(mask[index, 3::6, 3::6, 0] > 0,
                              clip.rendered[min(index, 3)].mask)
    notes = json.loads((root / 'kinema4d_ros' / f'{name}.json').read_text())
    assert notes['source'] == f'{name}.mcap' and len(notes['times']) == 5
    again = clip_of_videos(root, name, ClipSizes(frames=5), 'reverse')
    assert np.array_equal(again.mask, mask[..., 0] > 0) and again.video.shape == (5, 480, 720, 3)


def test_a_camera_on_the_hand_is_a_4d_episode_and_no_clip_of_the_layout(tmp_path):
    """The model that the layout is for knows only cameras that stand still."""
    path = find_episode('libero_object_1_0_success_eye_in_hand')
    settings = CurationSettings(frames=5, stride=16)
    record = curated(path, tmp_path, settings)
    clip = Episode.open(tmp_path / 'episodes' / f'{record.clips[0]}.mcap')
    apart = np.concatenate([np.abs(frame.depth - drawn.pointmap[..., 2])[drawn.mask]
                            for frame, drawn in zip(clip.frames, clip.rendered)])
    assert np.median(apart) < 0.002 and len(apart) > 1000
    refused = curated(path, tmp_path / 'b', dataclasses.replace(settings, form='robo4d'))
    assert 'the camera moves' in refused.refused and refused.quality is not None
    assert not list((tmp_path / 'b').rglob('*.mcap'))


def test_a_camera_that_was_found_later_is_taken(path, tmp_path):
    """Its K is of pictures of another size; the recording says nothing about where it is."""
    whole = Episode.open(path).observation().view
    unknown = recording(tmp_path / 'a.mcap', frames=4, camera_known=False)
    camera = whole.camera.resized(240, 160)
    root = Robot.from_urdf(Episode.open(path).robot_description).root_link
    Extrinsics(root, whole.T_base_camera, 0.002, 0.001, camera=camera).save(tmp_path / 'c.yaml')
    settings = dataclasses.replace(SHORT, extrinsics=str(tmp_path / 'c.yaml'))
    record = curated(unknown, tmp_path / 'out', settings)
    clip = Episode.open(tmp_path / 'out' / 'episodes' / 'a_000.mcap')
    view = clip.observation().view
    assert np.allclose(view.T_base_camera, whole.T_base_camera, atol=1e-6)
    assert view.camera.fx == pytest.approx(whole.camera.fx) and record.quality.depth_offset < 0.003


def test_links_to_one_file_keep_their_names(path, tmp_path):
    """As when a folder is made of links: a second run finds each under its own name."""
    for name in 'ab':
        (tmp_path / f'{name}.mcap').symlink_to(path)
    for made in 2, 0:
        result = curate([tmp_path / 'a.mcap', tmp_path / 'b.mcap'], tmp_path / 'out', SHORT)
        assert sorted(record.name for record in result.summary.records) == ['a', 'b']
        assert result.made == made
