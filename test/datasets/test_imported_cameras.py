# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An imported episode holds all cameras; one whose place nobody knows is there to be looked at."""
from dataclasses import replace
from types import SimpleNamespace

import made_sets as made
import numpy as np
import pyarrow as pa
import pytest
import yaml
from made_sets import joints, lerobot, PANDA, ROWS

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.datasets import (EpisodeSettings, import_set, ImportSettings, load_extrinsics,
                                   open_source, RobotPreset)
from kinema4d_ros.datasets.views import depth_of
from kinema4d_ros.episodes import Episode, EpisodeMetadata
from kinema4d_ros.errors import DatasetError, EpisodeError
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import ForwardKinematics, Robot

assert pa      # as in test_layouts
T_BASE_FRONT = np.array([[0.0, -0.6, 0.8, 0.1], [-1, 0, 0, 0.3], [0, -0.8, -0.6, 0.7],
                         [0, 0, 0, 1.0]])
T_HAND_WRIST = np.array([[0.0, -1, 0, 0.05], [1, 0, 0, 0.0], [0, 0, 1, 0.02], [0, 0, 0, 1.0]])
KEYS = tuple(f'observation.images.{name}' for name in ('front', 'side', 'wrist'))


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Return a set of one episode with three cameras, of which it says nothing."""
    folder = tmp_path_factory.mktemp('sets') / 'three'
    return open_source(lerobot(folder, episodes=[{'observation.state': joints()}],
                               cameras=dict.fromkeys(KEYS, 'libx264')))


@pytest.fixture
def preset(tmp_path):
    """Return a preset that knows the front camera, and that on the hand."""
    values = yaml.safe_load((share_dir() / 'config/datasets/panda_hand.yaml').read_text())
    known = {'width': made.WIDTH, 'height': made.HEIGHT, 'K': list(made.K), 'exact': True}
    values['cameras'] = {
        'front': {**known, 'T_base_camera': T_BASE_FRONT.ravel().tolist()},
        'wrist': {**known, 'T_base_camera': T_HAND_WRIST.ravel().tolist(),
                  'parent': 'panda_hand'}}
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump(values))
    return path


def imported(source, out, robot='panda_hand', **settings):
    report = import_set(source, out, ImportSettings(str(robot), PANDA, episode=EpisodeSettings(
        **settings)))
    return report.imported[0], Episode.open(out / 'episode_000000.mcap')


def test_all_cameras_of_a_preset_are_seen_by_an_observation(source, preset, tmp_path):
    """One on the hand is where the hand is; one that nobody placed keeps its pictures."""
    line, episode = imported(source, tmp_path / 'out', preset)
    assert line.more_cameras == ('side', 'wrist') and line.unplaced == ('side',)
    check, = (check for check in line.checks if check.name == 'more cameras')
    assert check.status.name == 'PASS' and check.value == 1
    assert 'side is kept to be looked at, its place is not known' in check.message
    assert [camera.name for camera in episode.cameras] == ['camera', 'wrist']
    observation = episode.observation()
    front, wrist = observation.views
    assert np.allclose(front.T_base_camera, T_BASE_FRONT, atol=1e-6)
    robot = Robot.from_urdf(episode.robot_description)
    T = ForwardKinematics(robot)(robot.configuration(observation.joint_positions)[None])[0]
    hand = T[robot.link_names.index('panda_hand')]
    assert np.allclose(wrist.T_base_camera, hand @ T_HAND_WRIST, atol=1e-6)
    assert wrist.mount_link == 'wrist_color_optical_frame' and front.mount_link == ''
    assert list(observation.left_out) == ['side'] and 'not known' in observation.left_out['side']
    side = episode.unplaced['side']
    assert len(side.frames) == ROWS and abs(int(side.frames[0].image[:, -4:].mean()) - 60) < 6
    with pytest.raises(EpisodeError, match="no camera 'side'.*not known"):
        episode.camera('side')


def test_a_preset_places_nothing_by_half(source, preset):
    values = yaml.safe_load(preset.read_text())
    values['cameras']['wrist']['T_base_camera'].pop()
    preset.write_text(yaml.safe_dump(values))
    with pytest.raises(DatasetError, match='cameras.wrist.T_base_camera has 15 numbers'):
        RobotPreset.load(preset)


def test_extrinsics_of_several_cameras_by_the_command(source, tmp_path, capsys):
    files = [made.calibration_file(tmp_path / f'{name}.yaml', T_BASE_FRONT, scale)
             for name, scale in (('front', 1.0), ('other', 2.0))]
    words = ['import', str(source.path), str(tmp_path / 'out'), '--robot', 'panda_hand', '--urdf',
             str(PANDA), '--extrinsics', str(files[0]), '--extrinsics', f'side={files[1]}']
    assert main(words) == Exit.PASS
    episode = Episode.open(tmp_path / 'out' / 'episode_000000.mcap')
    assert [view.name for view in episode.observation().views] == ['camera', 'side']
    assert episode.camera('side').calibration.K[0] == 50.0      # of pictures half as large
    assert list(episode.unplaced) == ['wrist']
    said = ' '.join(capsys.readouterr().out.split())
    assert '+ side + wrist' in said and '(to look at)' in said      # in two lines of a table


def test_extrinsics_that_name_the_first_camera_are_its_own(source, tmp_path):
    given = load_extrinsics(made.calibration_file(tmp_path / 'x.yaml', T_BASE_FRONT))
    _, episode = imported(source, tmp_path / 'out', camera='front', more_extrinsics={'fro': given})
    assert np.allclose(episode.observation().view.T_base_camera, T_BASE_FRONT, atol=1e-6)


@pytest.mark.parametrize(('names', 'said'), [
    (['wirst'], "0 cameras are called 'wirst'; it has"),
    (['images'], "3 cameras are called 'images'"),
    (['side', 'sid'], 'two extrinsics are of the camera observation.images.side'),
    (['', 'front'], 'two extrinsics are of the first camera, observation.images.front')])
def test_extrinsics_of_no_camera_or_of_several_place_none(source, tmp_path, names, said):
    """What was given for one must not place another, nor be passed over."""
    given = load_extrinsics(made.calibration_file(tmp_path / 'x.yaml', T_BASE_FRONT))
    cameras = dict.fromkeys(names, given)
    episode, = import_set(source, tmp_path / 'out', ImportSettings('panda_hand', PANDA,
        episode=EpisodeSettings('front', extrinsics=cameras.pop('', None),
                                more_extrinsics=cameras))).episodes
    assert said in episode.refused


def test_two_extrinsics_of_one_name_are_refused(source, tmp_path, capsys):
    file = str(made.calibration_file(tmp_path / 'x.yaml', T_BASE_FRONT))
    assert main(['import', str(source.path), str(tmp_path / 'out'), '--robot', 'panda_hand',
                 '--extrinsics', file, '--extrinsics', file]) == Exit.USAGE
    assert 'two --extrinsics are of the first camera' in capsys.readouterr().err


def test_depth_is_that_of_its_camera():
    """A name that another one begins or ends with is not that one."""
    episode = SimpleNamespace(videos={name: SimpleNamespace(is_depth='depth' in name) for name in (
        'wrist', 'left_wrist', 'left_wrist_depth', 'cam_1', 'cam_10', 'cam_10_depth',
        'front')})
    found = {key: depth_of(key, episode) for key in episode.videos if 'depth' not in key}
    assert {key: depth and next(name for name, stream in episode.videos.items() if stream is depth)
            for key, depth in found.items()} == {
        'wrist': None, 'left_wrist': 'left_wrist_depth', 'cam_1': None, 'cam_10': 'cam_10_depth',
        'front': None}


def test_one_camera_is_what_is_wanted(source, tmp_path):
    line, episode = imported(source, tmp_path / 'out', camera='side', one_camera=True,
                             extrinsics=load_extrinsics(made.calibration_file(
                                 tmp_path / 'x.yaml', T_BASE_FRONT)))
    assert line.more_cameras == () and [camera.name for camera in episode.cameras] == ['camera']
    assert episode.metadata.cameras == () and not episode.left_out and not episode.unplaced


def test_a_camera_that_cannot_be_read_is_left_out_and_the_episode_stays(source, tmp_path):
    folder = tmp_path / 'set'
    lerobot(folder, episodes=[{'observation.state': joints()}],
            cameras=dict.fromkeys(KEYS[:2], 'libx264'))
    (folder / 'videos' / KEYS[1] / 'chunk-000' / 'file-000.mp4').write_bytes(b'no video')
    line, episode = imported(open_source(folder), tmp_path / 'out')
    assert not line.more_cameras and len(episode.frames) == ROWS
    check, = (check for check in line.doubts if check.name == 'more cameras')
    assert 'side is left out: ' in check.message


def test_names_of_cameras_are_those_of_topics_and_each_is_its_own(tmp_path):
    """What is no name of a topic, or one of something else, or taken, gets another one."""
    keys = ('observation.images.front', 'cam.front', 'joint_states', '1', 'camera', 'a-b')
    source = open_source(lerobot(tmp_path / 'set', episodes=[{'observation.state': joints()}],
                                 cameras=dict.fromkeys(keys, 'libx264')))
    line, episode = imported(source, tmp_path / 'out')
    assert line.camera == 'camera'      # as the preset has it
    assert line.more_cameras == ('front', 'front_2', 'joint_states_2', 'view', 'a_b')
    assert set(episode.unplaced) == set(line.more_cameras)


def test_the_metadata_of_one_camera_is_what_it_always_was(source, tmp_path):
    _, episode = imported(source, tmp_path / 'out', one_camera=True)
    assert '"unplaced"' not in episode.metadata.to_json()
    more = replace(episode.metadata, cameras=('camera', 'side'), unplaced=('side',))
    assert EpisodeMetadata.from_json(more.to_json()) == more
