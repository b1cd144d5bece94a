# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A set becomes episodes: whole files only, what is broken by name, on again after an end."""
import json
import shutil
from dataclasses import replace
from pathlib import Path

import made_sets as made
import numpy as np
import pyarrow as pa
import pytest
import yaml
from bags import copy_bag
from made_sets import joints, lerobot, PANDA, ROWS
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation

from kinema4d_ros.calibration import Extrinsics
from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.datasets import (EpisodeSettings, import_set, ImportReport, ImportSettings,
                                   load_extrinsics, open_source, presets, RobotPreset)
from kinema4d_ros.datasets.report import LOG, REPORT
from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.errors import CalibrationError, DatasetError, EpisodeError

assert pa      # as in test_layouts
T_BASE_CAMERA = np.array([[0.0, -0.5, -0.8660254, 1.5], [1.0, 0.0, 0.0, 0.0],
                          [0.0, -0.8660254, 0.5, 0.3], [0.0, 0.0, 0.0, 1.0]])
ARM = ImportSettings('panda_hand', PANDA)


@pytest.fixture(scope='module')
def v3(tmp_path_factory):
    """Two good episodes around one whose joints do not move."""
    still = {'observation.state': np.tile(made.HOME, (ROWS, 1)), 'action': joints()}
    good = {'observation.state': joints(), 'action': joints()}
    return lerobot(tmp_path_factory.mktemp('v3') / 'set', episodes=[good, still, good])


@pytest.fixture(scope='module')
def panda(tmp_path_factory):
    """The one episode of a set whose camera is known, imported."""
    folder = tmp_path_factory.mktemp('panda')
    made.panda_folder(folder / 'set', np.linalg.inv(T_BASE_CAMERA))
    import_set(open_source(folder / 'set'), folder / 'out', ARM)
    return folder / 'out' / 'set.mcap'


def test_an_episode_is_what_the_set_has(panda):
    episode = Episode.open(panda)
    assert len(episode.frames) == ROWS and episode.start_index == 0
    assert np.allclose(episode.trajectory.positions[:, :7], joints())
    assert episode.trajectory.joint_names[:7] == tuple(f'panda_joint{n}' for n in range(1, 8))
    times, names, positions = episode.joint_states
    assert np.allclose(times, np.arange(ROWS) / made.RATE, atol=1e-6)
    assert np.allclose(positions[:, :7], joints()) and len(names) == 9
    assert episode.calibration.K[:3] == (50.0, 0.0, 23.5)
    view = episode.observation().views[0]
    assert np.allclose(view.T_base_camera, T_BASE_CAMERA, atol=1e-6)
    assert abs(int(view.image[:, -4:].mean()) - 60) < 6


def test_what_is_broken_is_refused_by_name_and_the_rest_goes_on(v3, tmp_path):
    report = import_set(open_source(v3), tmp_path, ARM)
    assert [episode.name for episode in report.imported] == ['episode_000000', 'episode_000002']
    refused, = report.refused
    assert refused.name == 'episode_000001' and 'moves' in refused.refused
    assert sorted(path.name for path in tmp_path.glob('*.mcap')) == [
        'episode_000000.mcap', 'episode_000002.mcap']
    assert ImportReport.load(tmp_path / REPORT) == report
    assert report.by_check()['moves'] == {'PASS': 2, 'FAIL': 1}


def test_an_episode_without_a_known_camera_gives_no_observation(v3, tmp_path):
    report = import_set(open_source(v3), tmp_path, replace(ARM, episodes=(0, 1)))
    assert not report.episodes[0].camera_known and 'a guess' in report.episodes[0].camera_origin
    episode = Episode.open(tmp_path / 'episode_000000.mcap')
    assert len(episode.frames) == ROWS        # it can be calibrated by
    with pytest.raises(EpisodeError, match='kinema4d calibrate'):
        episode.observation()


def test_a_gripper_that_reaches_its_end_stays_within_its_limits(tmp_path):
    """Between the points too, where joint_trajectory_controller goes along cubic splines."""
    width = np.clip(np.linspace(0.18, -0.10, ROWS), 0.0, 0.08)
    set_ = lerobot(tmp_path / 'set', episodes=[{
        'observation.state': np.c_[joints(), width], 'action': joints()}])
    import_set(open_source(set_), tmp_path / 'out', ARM)
    motion = Episode.open(tmp_path / 'out' / 'episode_000000.mcap').trajectory
    finger = motion.joint_names.index('panda_finger_joint1')
    opening = CubicHermiteSpline(motion.times, motion.positions[:, finger],
                                 motion.velocities[:, finger])(np.linspace(
                                     motion.times[0], motion.times[-1], 2000))
    assert motion.positions[:, finger].min() == 0.0 and motion.positions[:, finger].max() == 0.04
    assert opening.min() >= -1e-9 and opening.max() <= 0.04 + 1e-9


def test_extrinsics_of_the_user_go_before_all(v3, tmp_path):
    file = made.calibration_file(tmp_path / 'front.yaml', T_BASE_CAMERA)
    settings = replace(ARM, episodes=(0, 1), episode=EpisodeSettings(
        extrinsics=load_extrinsics(file)))
    import_set(open_source(v3), tmp_path / 'out', settings)
    episode = Episode.open(tmp_path / 'out' / 'episode_000000.mcap')
    assert np.allclose(episode.observation().views[0].T_base_camera, T_BASE_CAMERA, atol=1e-6)
    assert episode.calibration.K[0] == 50.0       # of pictures half as large


def told_cameras(folder: Path, T: np.ndarray) -> Path:
    """Write a LeRobot set of one episode that says K and, in each row, the pose of its camera."""
    return lerobot(folder, episodes=[{
        'observation.state': joints(), 'action': joints(),
        'camera_intrinsics.front': np.tile(made.K, (ROWS, 1)),
        'camera_extrinsics.front': np.broadcast_to(T, (ROWS, 4, 4)).reshape(ROWS, 16)}])


def moving(far: float, turn: float) -> np.ndarray:
    """Return poses (ROWS, 4, 4) of a camera that goes so far [m] and turns so much [deg]."""
    T = np.repeat(T_BASE_CAMERA[None], ROWS, axis=0)
    T[:, 0, 3] += np.linspace(0.0, far, ROWS)
    T[:, :3, :3] = T[:, :3, :3] @ Rotation.from_euler(
        'z', np.linspace(0.0, turn, ROWS)[:, None], degrees=True).as_matrix()
    return T


@pytest.mark.parametrize(('T', 'why'), [
    (T_BASE_CAMERA, ''), (moving(0.003, 0.2), ''), (moving(0.5, 0.0), 'moves, by up to 500 mm'),
    (moving(0.0, 2.0), '2.0 deg'), (T_BASE_CAMERA * 2, 'no rotation'),
    (np.where(np.arange(ROWS)[:, None, None] == 5, np.nan, T_BASE_CAMERA), 'not finite')])
def test_only_a_camera_that_stands_still_is_known(T, why, tmp_path):
    report = import_set(open_source(told_cameras(tmp_path / 'set', T)), tmp_path / 'out', ARM)
    episode, = report.imported
    assert episode.camera_known == (not why) and why in episode.camera_origin


def test_a_calibration_that_does_not_say_k(tmp_path):
    Extrinsics('panda_link0', T_BASE_CAMERA, 0.002, 0.001).save(tmp_path / 'x.yaml')
    with pytest.raises(DatasetError, match='does not say K'):
        load_extrinsics(tmp_path / 'x.yaml')
    (tmp_path / 'x.yaml').write_text('camera: 1')
    with pytest.raises(CalibrationError, match='kinema4d calibrate'):
        load_extrinsics(tmp_path / 'x.yaml')


def test_an_import_goes_on_where_it_was(v3, tmp_path):
    """Ctrl-C in the middle leaves whole files only, and what is done is not done again."""
    def stop(stage, step, total):
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_set(open_source(v3), tmp_path, ARM, stop)
    assert {path.name for path in tmp_path.iterdir()} == {LOG, 'episode_000000.mcap'}
    first = (tmp_path / 'episode_000000.mcap').stat()
    (tmp_path / '.episode_x').mkdir()             # as a kill leaves it
    with (tmp_path / LOG).open('a') as log:
        log.write('{"name": "episode_0000')       # a line that it cut off
    report = import_set(open_source(v3), tmp_path, ARM)
    assert len(report.episodes) == 3 and len(report.imported) == 2
    assert (tmp_path / 'episode_000000.mcap').stat().st_mtime_ns == first.st_mtime_ns
    assert not list(tmp_path.glob('.*'))
    (tmp_path / 'episode_000002.mcap').unlink()   # lost: it is made again
    assert len(import_set(open_source(v3), tmp_path, ARM).imported) == 2
    assert (tmp_path / 'episode_000002.mcap').is_file()


def test_another_import_does_not_go_on_with_it(v3, tmp_path):
    import_set(open_source(v3), tmp_path, replace(ARM, episodes=(0, 1)))
    old = (tmp_path / 'episode_000000.mcap').stat().st_mtime_ns
    import_set(open_source(v3), tmp_path, replace(
        ARM, episodes=(0, 1), episode=EpisodeSettings(jpeg_quality=50)))
    assert (tmp_path / 'episode_000000.mcap').stat().st_mtime_ns != old


def test_what_was_refused_is_tried_again(v3, tmp_path):
    """The cause may be gone, by hand or by another version, though all settings are the same."""
    folder = tmp_path / 'set'
    shutil.copytree(v3, folder)
    videos = folder / 'videos'
    videos.rename(tmp_path / 'elsewhere')
    one = replace(ARM, episodes=(0, 1))
    assert import_set(open_source(folder), tmp_path / 'out', one).refused
    (tmp_path / 'elsewhere').rename(videos)
    assert import_set(open_source(folder), tmp_path / 'out', one).imported


@pytest.mark.parametrize('change', ['rate', 'package path', 'topics'])
def test_what_another_import_left_is_removed(change, v3, tmp_path):
    """A rate, topics and paths of meshes are settings too; no file of the old ones stays."""
    source = open_source(v3)
    two = replace(ARM, names=('episode_000000', 'episode_000002'))
    import_set(source, tmp_path, two)
    old = (tmp_path / 'episode_000000.mcap').stat().st_mtime_ns
    (tmp_path / 'own.mcap').write_bytes(b'of the user')
    again = replace(ARM, names=('episode_000000',))
    if change == 'rate':
        source = open_source(v3, rate=5.0)
    elif change == 'package path':
        again = replace(again, package_paths=(tmp_path,))
    else:
        source.topics = {'image': '/cam'}
    import_set(source, tmp_path, again)
    assert sorted(path.name for path in tmp_path.glob('*.mcap')) == ['episode_000000.mcap',
                                                                     'own.mcap']
    assert (tmp_path / 'episode_000000.mcap').stat().st_mtime_ns != old


def test_pictures_that_change_their_size_leave_no_file(tmp_path):
    folder = made.panda_folder(tmp_path / 'set', np.linalg.inv(T_BASE_CAMERA))
    (folder / 'f9.jpg').write_bytes(made.jpeg(made.pictures(1, 64, 64)[0]))
    report = import_set(open_source(folder), tmp_path / 'out', ARM)
    assert 'picture 9 has 64 x 64' in report.refused[0].refused
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {LOG, REPORT}


def test_a_bag_of_each_kind_is_an_episode(tmp_path):
    """MCAP under other names, db3, split, and with zstd, against the episode that they are of."""
    original = find_episode('libero_object_0_0_success')
    want = Episode.open(original)
    named = copy_bag(original, tmp_path / 'bags' / 'named', names={
        '/camera/image_raw/compressed': '/cell/top', '/joint_states': '/arm/state'},
        without={'/episode/metadata', '/truth/tf', '/truth/robot_mask/compressed'})
    rewrite(named, tmp_path / 'bags' / 'db3', StoragePlugin.SQLITE3)
    rewrite(named, tmp_path / 'bags' / 'split', StoragePlugin.SQLITE3, split=True)
    source = open_source(tmp_path / 'bags', topics={
        'image': '/cell/top', 'joint_states': '/arm/state'})
    report = import_set(source, tmp_path / 'out', ImportSettings())
    assert {episode.name for episode in report.imported} == {'named', 'db3', 'split'}, [
        episode.refused for episode in report.refused]
    for episode in report.imported:
        assert episode.camera_known and episode.has_depth
        got = Episode.open(tmp_path / 'out' / episode.file)
        assert len(got.frames) == len(want.frames)
        assert np.allclose(got.observation().views[0].T_base_camera, want.observation(
            -want.start_index).views[0].T_base_camera, atol=1e-6)
        assert np.allclose(got.joint_states[2][:, :3], want.joint_states[2][:, :3])
        assert np.nanmax(np.abs(got.frames[3].depth - want.frames[3].depth)) < 1e-3


def rewrite(source: Path, target: Path, plugin: StoragePlugin, split: bool = False) -> None:
    """Copy a bag into another storage; split in two files with zstd."""
    with Reader(source) as reader:
        kept = list(reader.connections)
        messages = list(reader.messages())
    halves = [messages[:len(messages) // 2], messages[len(messages) // 2:]] if split \
        else [messages]
    parts = []
    for number, half in enumerate(halves):
        part = target.with_name(f'part{number}_{target.name}') if split else target
        bag = Writer(part, version=9, storage_plugin=plugin)
        if split:
            bag.set_compression(CompressionMode.FILE, CompressionFormat.ZSTD)
        with bag as writer:
            made_of = {}
            for connection, stamp, data in half:
                if connection.id not in made_of:
                    made_of[connection.id] = writer.add_connection(
                        connection.topic, connection.msgtype, msgdef=connection.msgdef.data,
                        rihs01=connection.digest)
                writer.write(made_of[connection.id], stamp, data)
        parts.append(part)
    assert kept
    if split:
        join_parts(parts, target)


def join_parts(parts: list[Path], target: Path) -> None:
    """Make one bag of several files, as a recorder that splits does."""
    target.mkdir()
    metas, names = [], []
    for number, part in enumerate(parts):
        metas.append(yaml.safe_load((part / 'metadata.yaml').read_text())[
            'rosbag2_bagfile_information'])
        file = next(path for path in part.iterdir() if path.suffix != '.yaml')
        names.append(f'{target.name}_{number}{"".join(file.suffixes)}')
        shutil.move(file, target / names[-1])
        shutil.rmtree(part)
    whole = metas[0] | {'relative_file_paths': names, 'message_count': sum(
        meta['message_count'] for meta in metas)}
    topics: dict = {}
    for meta in metas:
        for topic in meta['topics_with_message_count']:
            name = topic['topic_metadata']['name']
            topics.setdefault(name, topic | {'message_count': 0})
            topics[name]['message_count'] += topic['message_count']
    whole['topics_with_message_count'] = list(topics.values())
    (target / 'metadata.yaml').write_text(yaml.safe_dump(
        {'rosbag2_bagfile_information': whole}))


def test_every_preset_can_be_read_and_says_where_its_urdf_is():
    assert {'panda_2f85', 'panda_hand', 'wx250s', 'google_robot', 'so100', 'so101', 'ur5e',
            'xarm7'} <= set(presets())
    for name in presets():
        preset = RobotPreset.load(name)
        assert preset.name == name and preset.urdf.source and preset.title


@pytest.mark.parametrize(('change', 'match'), [
    ({'extra': 1}, 'extra'), ({'joints': {'names': []}}, 'joints.names'),
    ({'joints': {'names': [['a']], 'columns': ['x'], 'unit': 'gon'}}, 'gon'),
    ({'joints': {'names': [['a']]}}, 'neither joints nor tip')])
def test_a_preset_that_cannot_be_used(change, match, tmp_path):
    values = {'name': 'x', 'title': 'X', 'urdf': {'source': 'y'},
              'joints': {'names': [['a']], 'columns': ['x']}} | change
    (tmp_path / 'x.yaml').write_text(yaml.safe_dump(values))
    with pytest.raises(DatasetError, match=match):
        RobotPreset.load(tmp_path / 'x.yaml')
    with pytest.raises(DatasetError, match='panda_hand'):
        RobotPreset.load('nothing')


def test_the_command_and_its_exit_codes(v3, tmp_path, capsys):
    words = ['import', str(v3), str(tmp_path / 'out'), '--robot', 'panda_hand', '--urdf',
             str(PANDA)]
    assert main(words) == Exit.PASS
    printed = capsys.readouterr().out
    assert 'refused' in printed and 'episode_000001' in printed
    assert '2 of 3 episodes' in printed and 'kinema4d calibrate' in printed
    assert main([*words, '--json']) == Exit.PASS
    assert len(json.loads(capsys.readouterr().out)['episodes']) == 3
    assert main([*words[:2], str(tmp_path / 'one'), *words[3:], '--episodes', '1']) == Exit.FAIL
    assert main(words[:5]) == Exit.USAGE
    assert 'franka_description' in capsys.readouterr().err     # where the URDF is had
    assert main([*words, '--episodes', '7:9']) == Exit.USAGE
    assert '3 episodes' in capsys.readouterr().err
