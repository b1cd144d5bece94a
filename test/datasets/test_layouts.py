# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each layout is read as it was written, on small sets made here."""
import json
import os

import h5py
import made_sets as made
import numpy as np
import pyarrow as pa
import pytest
from made_sets import joints, lerobot, pictures, ROWS, write_table, write_video

from kinema4d_ros.datasets import open_source
from kinema4d_ros.datasets.tfrecord import crc32c, parse_example
from kinema4d_ros.datasets.video import DepthCode, VideoFrames
from kinema4d_ros.errors import DatasetError

assert pa and h5py      # what these tests lack where the extra [datasets] is not installed
CAMERA = 'observation.images.front'


@pytest.fixture(scope='module')
def v3(tmp_path_factory):
    return lerobot(tmp_path_factory.mktemp('v3') / 'set')


@pytest.mark.parametrize('version', ['v2.0', 'v2.1', 'v3.0'])
def test_lerobot_of_each_version(version, tmp_path, v3):
    source = open_source(v3 if version == 'v3.0' else lerobot(tmp_path / 'set', version))
    assert source.form == f'LeRobot {version}'
    assert list(source.episode_names()) == ['episode_000000', 'episode_000001']
    for number, name in enumerate(source.episode_names()):
        episode = source.read(name)
        assert np.allclose(episode.columns['observation.state'], joints(phase=number), atol=1e-6)
        assert np.allclose(episode.times, np.arange(ROWS) / made.RATE, atol=1e-6)
        assert episode.text == 'wave' and episode.videos[CAMERA].count == ROWS
        levels = [int(image[:, -4:].mean()) for image in episode.videos[CAMERA]]
        assert np.abs(np.array(levels) - pictures()[:, 0, -1, 0]).max() <= 4     # the right ones


@pytest.mark.parametrize('codec', ['libsvtav1', 'libx265'])
def test_videos_of_other_codecs(codec, tmp_path):
    frames = pictures(6, 64, 64)
    stream = VideoFrames(write_video(tmp_path / 'v.mp4', frames, codec=codec))
    got = list(stream)
    assert stream.count == len(got) == 6
    assert np.abs(np.array(got, int) - frames).mean() < 6
    assert os.sched_getscheduler(0) == os.SCHED_OTHER       # or the machine would serve us alone


def test_part_of_a_video_is_the_part(tmp_path):
    frames = pictures(40)
    path = write_video(tmp_path / 'v.mp4', frames, codec='libx264')
    part = VideoFrames(path, begin=2.0, end=3.0)
    assert part.count == 10
    levels = [int(image[:, -4:].mean()) for image in part]
    assert np.abs(np.array(levels) - frames[20:30, 0, -1, 0]).max() <= 4


def test_depth_video(tmp_path):
    """A feature that is a depth map is decoded to metres; both ends of the code are unknown."""
    depth = np.full((ROWS, 32, 48), 0.8, np.float32)
    depth[:, 4:20, 4:20], depth[:, 25:, 25:] = 1.6, np.nan
    code = DepthCode()
    folder = lerobot(tmp_path / 'set', features={'observation.images.front_depth': {
        'dtype': 'video', 'shape': [32, 48, 1], 'info': {
            'video.is_depth_map': True, 'video.depth_min': 0.01, 'video.depth_max': 10.0,
            'video.shift': 3.5, 'video.use_log': True}}})
    write_video(folder / 'videos/observation.images.front_depth/chunk-000/file-000.mp4',
                np.stack([code.encode(image) for image in depth]), codec='libx265',
                pixels='gray12le')
    stream = open_source(folder).read('episode_000000').videos['observation.images.front_depth']
    got = next(iter(stream))
    assert stream.is_depth and got.dtype == np.float32
    assert np.array_equal(np.isnan(got), np.isnan(depth[0]))
    assert np.nanmax(np.abs(got - depth[0])) < 0.001        # a step of the code is 1 mm there


def test_linear_depth_codes():
    code = DepthCode(0.0, 4.0, 0.0, False)
    depth = np.array([[0.5, 1.0, np.nan, 3.9]])
    got = code.decode(code.encode(depth))
    assert np.allclose(got[0, [0, 1, 3]], depth[0, [0, 1, 3]], atol=1e-3) and np.isnan(got[0, 2])
    with pytest.raises(DatasetError, match='codes of depth'):
        DepthCode(2.0, 1.0)


def test_other_template_names_and_nested_names(tmp_path, v3):
    """As the DROID example of Cosmos has them; files that are called otherwise are found."""
    folder = lerobot(tmp_path / 'set', info={
        'data_path': 'data/chunk-{episode_chunk:03d}/file_{episode_file:03d}.parquet'},
        features={'observation.state': {'dtype': 'float32', 'shape': [7], 'names': {
            'motors': [f'panda_joint{number}' for number in range(7, 0, -1)]}}})
    episode = open_source(folder).read('episode_000001')
    assert np.allclose(episode.columns['observation.state'], joints(phase=1), atol=1e-6)
    assert episode.names['observation.state'][0] == 'panda_joint7'


def test_a_video_that_is_not_there_is_no_camera(tmp_path):
    folder = lerobot(tmp_path / 'set', cameras={CAMERA: 'libx264', 'wrist': 'libx264'})
    next((folder / 'videos' / 'wrist').rglob('*.mp4')).unlink()
    assert list(open_source(folder).read('episode_000000').videos) == [CAMERA]


def test_images_in_the_table_and_ragged_columns(tmp_path):
    folder = lerobot(tmp_path / 'set', cameras={})
    images = [{'bytes': made.jpeg(image), 'path': None} for image in pictures()]
    write_table(folder / 'data/chunk-000/file-000.parquet', {
        'observation.state': joints().tolist(), 'episode_index': [0] * ROWS,
        'observation.image': images, 'ragged': [[1.0] * (1 + i % 2) for i in range(ROWS)],
        'text': ['a'] * ROWS})
    episode = open_source(folder).read('episode_000000')
    assert set(episode.columns) == {'observation.state'}
    assert next(iter(episode.videos['observation.image'])).shape == (32, 48, 3)


def test_cameras_that_columns_tell(tmp_path):
    pose = np.tile([1.0, 0.0, 0.5, 0.1, 0.2, 0.3], (ROWS, 1))
    folder = lerobot(tmp_path / 'set', episodes=[{
        'observation.state': joints(), 'camera_extrinsics.front': pose,
        'camera_intrinsics.front': np.tile(made.K, (ROWS, 1))}])
    camera = open_source(folder).read('episode_000000').cameras[CAMERA]
    assert camera.K[0, 0] == 50.0 and np.allclose(camera.T_base_camera[:3, 3], [1.0, 0.0, 0.5])


def test_crc32c_is_that_of_the_standard():
    """RFC 3720, B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(b'\xff' * 32) == 0x62A8AB43
    assert crc32c(b'123456789') == 0xE3069283


def test_examples_and_sequence_examples():
    values = {'f': np.array([0.5, -2.0], np.float32), 'i': np.array([3, -1]), 'b': [b'x', b'']}
    got = parse_example(made.example(values)).features
    assert got['f'].tolist() == [0.5, -2.0] and got['i'].tolist() == [3, -1]
    assert got['b'] == [b'x', b'']
    steps = parse_example(made.sequence_example({'n': np.array([2])}, {'s': [
        np.array([1.0]), np.array([2.0])]}))
    assert steps.features['n'].tolist() == [2]
    assert [item.tolist() for item in steps.sequences['s']] == [[1.0], [2.0]]


@pytest.mark.parametrize('with_shapes', [True, False])
def test_rlds_of_droid(with_shapes, tmp_path):
    steps = made.droid_steps()
    folder = made.rlds(tmp_path / 'droid', [steps], {
        'observation/joint_position': (7,), 'observation/gripper_position': (1,),
        'observation/cartesian_position': (6,)} if with_shapes else {})
    source = open_source(folder, usual_rate=15.0)
    episode = source.read(*source.episode_names())
    assert np.allclose(episode.columns['observation.joint_position'], joints(), atol=1e-6)
    assert episode.columns['observation.gripper_position'].shape == (ROWS, 1)
    assert episode.success is True and episode.text == 'wave'
    assert np.allclose(episode.times, np.arange(ROWS) / 15.0)
    assert len(list(episode.videos['observation.exterior_image_1_left'])) == ROWS
    with pytest.raises(DatasetError, match='--rate'):
        open_source(folder).read(*source.episode_names())


def test_rlds_in_a_sequence_example_and_a_black_camera(tmp_path):
    images = [made.jpeg(image) for image in pictures(6)]
    black = made.jpeg(np.zeros((32, 48, 3), np.uint8))
    data = made.sequence_example({}, {
        'steps/observation/state': list(np.tile(np.arange(7.0), (6, 1))),
        'steps/is_first': [np.array([i == 0], np.int64) for i in range(6)],
        'steps/observation/image_0': [[image] for image in images],
        'steps/observation/image_3': [[black]] * 6})
    (tmp_path / 'x-train.tfrecord-00000-of-00001').write_bytes(made.record(data))
    source = open_source(tmp_path, rate=5.0)
    episode = source.read(*source.episode_names())
    assert episode.columns['observation.state'].shape == (6, 7)
    assert list(episode.videos) == ['observation.image_0']


def test_rlds_of_several_versions(tmp_path):
    """The newest, unless another one is wanted; by number, as 1.10 is newer than 1.9."""
    for version, rows in ('1.9.0', 6), ('1.10.0', 8):
        made.rlds(tmp_path / 'droid' / version, [made.droid_steps(rows)])

    def rows(path, **wanted):
        source = open_source(path, rate=15.0, **wanted)
        name, = source.episode_names()
        return source.form, len(source.read(name).times)

    assert rows(tmp_path / 'droid') == (
        'RLDS (TFRecord), version 1.10.0 of 1.9.0, 1.10.0', 8)
    assert rows(tmp_path / 'droid', version='1.9.0')[1] == 6
    assert rows(tmp_path / 'droid' / '1.9.0') == ('RLDS (TFRecord)', 6)
    made.rlds(tmp_path / 'bridge' / '1.0.0', [made.droid_steps(5)])
    both = open_source(tmp_path, rate=15.0)      # the newest of each
    assert sorted(len(both.read(name).times) for name in both.episode_names()) == [5, 8]
    with pytest.raises(DatasetError, match=r'no version 2.0.0; it has 1.9.0, 1.10.0'):
        open_source(tmp_path / 'droid', version='2.0.0')
    with pytest.raises(DatasetError, match='which has no versions'):
        open_source(lerobot(tmp_path / 'set', 'v2.1'), version='1.0.0')


def test_droid_as_it_was_recorded(tmp_path):
    made.droid_raw(tmp_path / 'success' / '2023-04-20' / 'x')
    source = open_source(tmp_path)
    assert list(source.episode_names()) == ['success_2023-04-20_x']
    episode = source.read('success_2023-04-20_x')
    assert np.allclose(episode.columns['observation.robot_state.joint_positions'], joints())
    assert np.allclose(episode.times, np.arange(ROWS) / made.RATE)
    assert episode.success is True and episode.text == 'wave'
    assert np.allclose(episode.cameras['exterior_1_left'].T_base_camera[:3, 3], [1.0, 0.0, 0.6])
    assert episode.videos['exterior_1_left'].count == ROWS


def test_ctrl_world(tmp_path):
    source = open_source(made.ctrl_world(tmp_path / 'set'))
    episode = source.read('train_0')
    assert episode.columns['observation.state.joint_position'].shape == (23, 7)
    assert episode.success is False and episode.videos['exterior_1_left'].count == 8


def test_pictures_with_a_camera(tmp_path):
    T_camera_base = np.eye(4)
    T_camera_base[:3, 3] = 0.1, 0.2, 1.5
    folder = made.panda_folder(tmp_path / 'set', T_camera_base)
    episode = open_source(folder).read('set')
    assert np.allclose(episode.cameras['camera'].T_base_camera, np.linalg.inv(T_camera_base))
    assert np.allclose(episode.videos['camera'].times, np.arange(ROWS) / made.RATE, atol=1e-5)


def test_bare_videos_need_rows_beside_them(tmp_path):
    write_video(tmp_path / 'a.mp4', pictures())
    write_video(tmp_path / 'b.mp4', pictures())
    np.savez(tmp_path / 'b.npz', times=np.arange(ROWS) / 5.0, joint_position=joints())
    source = open_source(tmp_path)
    with pytest.raises(DatasetError, match=r'a\.npz'):
        source.read('a')
    episode = source.read('b')
    assert np.allclose(episode.times, np.arange(ROWS) / 5.0)
    assert np.allclose(episode.columns['joint_position'], joints())


def test_a_layout_that_is_not_known_says_which_are(tmp_path):
    (tmp_path / 'notes.txt').write_text('x')
    with pytest.raises(DatasetError, match=r'LeRobot 2\.0'):
        open_source(tmp_path)
    with pytest.raises(DatasetError, match='there is no data set'):
        open_source(tmp_path / 'nowhere')


def test_clips_of_robo4d_become_no_episodes(tmp_path):
    (tmp_path / 'mask_videos').mkdir()
    with pytest.raises(DatasetError, match='kinema4d train'):
        open_source(tmp_path)


def test_another_version_of_lerobot_is_refused(tmp_path):
    folder = lerobot(tmp_path / 'set')
    info = folder / 'meta' / 'info.json'
    info.write_text(json.dumps(json.loads(info.read_text()) | {'codebase_version': 'v1.6'}))
    with pytest.raises(DatasetError, match=r'v1\.6.*v2\.0, v2\.1, v3\.0'):
        open_source(folder)
