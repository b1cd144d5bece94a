# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What sets of others have been seen to do differently: names, structs, images, gaps, pointers."""
import json
from dataclasses import replace

import cv2
import made_sets as made
import numpy as np
import pytest
from made_sets import grip, joints, lerobot, PANDA, pictures, ROWS, tips, write_table, write_video

from scipy.spatial.transform import Rotation

from kinema4d_ros.datasets import (import_set, ImportSettings, MotionSettings, open_source,
                                   read_motion, RobotPreset, SourceEpisode)
from kinema4d_ros.datasets.timing import frame_timing
from kinema4d_ros.datasets.video import EncodedFrames
from kinema4d_ros.datasets.views import choose_stream
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Status

EPISODE = 'episode_000000'
TABLE = 'data/chunk-000/file-000.parquet'
POSE = ('x', 'y', 'z', 'roll', 'pitch', 'yaw', 'pad', 'gripper')


@pytest.fixture(scope='module')
def robot():
    return Robot.from_file(PANDA)


def rows_of(state, names=(), column='observation.state') -> SourceEpisode:
    return SourceEpisode('made', np.arange(ROWS) / made.RATE, {column: np.asarray(state)}, {},
                         {column: tuple(names)} if names else {})


def preset_with_fingers(name):
    preset = RobotPreset.load(name)
    return replace(preset, gripper=replace(preset.gripper, joints={
        'panda_finger_joint1': (0.04, 0.0)}))


def test_structs_are_columns_with_dots(tmp_path):
    """As an action that is a dict of its parts."""
    folder = lerobot(tmp_path / 'set', cameras={})
    write_table(folder / TABLE, {
        'observation': [{'state': {'joint_position': row.tolist()}, 'note': 'a'}
                        for row in joints()],
        'action': [{'joint_position': row.tolist(), 'gripper': float(value)}
                   for row, value in zip(joints(), grip())], 'episode_index': [0] * ROWS})
    columns = open_source(folder).read(EPISODE).columns
    assert {key: value.shape for key, value in columns.items()} == {
        'observation.state.joint_position': (ROWS, 7), 'action.joint_position': (ROWS, 7),
        'action.gripper': (ROWS, 1)}
    assert np.allclose(columns['observation.state.joint_position'], joints())


@pytest.mark.parametrize('kind', ['bytes', 'path'])
def test_images_that_are_bytes_or_paths(kind, tmp_path):
    folder = lerobot(tmp_path / 'set', cameras={}, features={
        'observation.images.front': {'dtype': 'image', 'shape': [32, 48, 3]}})
    images = [made.jpeg(image) for image in pictures()]
    for number, data in enumerate(images):
        path = folder / f'images/front/frame_{number:06d}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    write_table(folder / TABLE, {
        'observation.state': joints().tolist(), 'episode_index': [0] * ROWS,
        'observation.images.front': images if kind == 'bytes' else [
            f'images/front/frame_{number:06d}.jpg' for number in range(ROWS)]})
    frames = list(open_source(folder).read(EPISODE).videos['observation.images.front'])
    assert len(frames) == ROWS and frames[-1].mean() > frames[0].mean() + 50


def test_a_path_of_an_image_that_leads_out(tmp_path):
    folder = lerobot(tmp_path / 'set', cameras={}, features={'front': {'dtype': 'image'}})
    write_table(folder / TABLE, {'observation.state': joints().tolist(),
                                 'episode_index': [0] * ROWS, 'front': ['../out.png'] * ROWS})
    with pytest.raises(DatasetError, match='outside'):
        open_source(folder).read(EPISODE)


def test_images_of_16_bits_are_depth_in_millimetres(tmp_path):
    folder = lerobot(tmp_path / 'set', cameras={})
    depth = cv2.imencode('.png', np.full((32, 48), 1250, np.uint16))[1].tobytes()
    write_table(folder / TABLE, {
        'observation.state': joints().tolist(), 'episode_index': [0] * ROWS,
        'observation.images.front': [{'bytes': made.jpeg(image), 'path': None}
                                     for image in pictures()],
        'observation.images.front_depth': [{'bytes': depth, 'path': None}] * ROWS})
    episode = open_source(folder).read(EPISODE)
    key, _, found = choose_stream(episode, RobotPreset.load('panda_hand'), '')
    assert key == 'observation.images.front'
    assert np.allclose(next(iter(found)), 1.25)


def test_a_pointer_of_git_lfs_is_called_so(tmp_path):
    folder = lerobot(tmp_path / 'set')
    pointer = b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 130\n'
    video = next((folder / 'videos').rglob('*.mp4'))
    video.write_bytes(pointer)
    with pytest.raises(DatasetError, match='git lfs pull'):
        next(iter(open_source(folder).read(EPISODE).videos['observation.images.front']))
    (folder / TABLE).write_bytes(pointer)
    with pytest.raises(DatasetError, match='git lfs pull'):
        open_source(folder).read(EPISODE)


def test_a_tip_that_names_tell_is_no_joints(robot):
    """As the copies of Open X-Embodiment have it: a pose, a pad, and the gripper at the end."""
    path = joints()
    state = np.c_[tips(path), np.zeros(ROWS), grip()]
    motion = read_motion(rows_of(state, POSE), preset_with_fingers('panda_2f85'), robot,
                         MotionSettings(residual=(0.005, 0.05)))
    assert motion.by_ik and motion.why_refused() is None
    residual, = [check for check in motion.checks if check.name == 'IK residual']
    assert residual.value < 0.001
    finger = motion.joint_names.index('panda_finger_joint1')
    assert np.allclose(motion.positions[:, finger], 0.04 * (1 - grip()))
    with pytest.raises(DatasetError, match='no column of joints or tip'):
        read_motion(rows_of(state, ('x', 'y', 'z', 'a', 'b', 'c', 'pad', 'gripper')),
                    preset_with_fingers('panda_2f85'), robot)


def test_joints_that_names_tell_are_no_tip(robot):
    """The preset of Bridge takes the first six values of the state for a pose."""
    preset = RobotPreset.load('wx250s')
    arm = tuple(f'panda_joint{number}' for number in range(1, 7))
    preset = replace(preset, gripper=None, joints=replace(preset.joints, names=(arm,), home=()))
    motion = read_motion(rows_of(joints(), [f'{name}.pos' for name in arm] + ['gripper']), preset,
                         robot)
    assert not motion.by_ik and np.allclose(motion.positions[:, :6], joints()[:, :6])


def test_names_for_more_values_than_there_are(robot):
    arm = [f'panda_joint{number}' for number in range(1, 8)]
    with pytest.raises(DatasetError, match=r'8 names \(gripper, .* for the 7 values'):
        read_motion(rows_of(joints(), ['gripper', *arm]), RobotPreset.load('panda_hand'), robot)


def test_rlds_of_fractal(tmp_path, robot):
    """As RT-1 has it: the tip as a quaternion, an action in parts; a Panda moves here."""
    tip = tips(joints(), 'panda_hand')
    turn = Rotation.from_euler('xyz', tip[:, 3:]).as_quat()
    folder = made.rlds(tmp_path / 'fractal20220817_data/0.1.0', [{
        'steps/observation/base_pose_tool_reached': np.c_[tip[:, :3], turn],
        'steps/observation/gripper_closed': grip(),
        'steps/observation/image': [made.jpeg(image) for image in pictures()],
        'steps/observation/natural_language_instruction': [b'pick rxbar'] * ROWS,
        'steps/observation/natural_language_embedding': np.zeros((ROWS, 512)),
        'steps/action/world_vector': np.diff(tip[:, :3], axis=0, append=tip[-1:, :3]),
        'steps/action/terminate_episode': np.zeros((ROWS, 3), np.int64),
        'steps/is_first': np.eye(1, ROWS, dtype=np.int64)[0]}])
    preset = RobotPreset.load('google_robot')
    source = open_source(folder.parent, usual_rate=preset.rate)
    episode = source.read(source.episode_names()[0])
    assert episode.text == 'pick rxbar' and list(episode.videos) == ['observation.image']
    assert np.allclose(episode.times, np.arange(ROWS) / 3.0)
    arm = tuple(f'panda_joint{number}' for number in range(1, 8))
    preset = replace(preset, base='', tip=replace(preset.tip, link='panda_hand'), joints=replace(
        preset.joints, names=(arm,), home=tuple(made.HOME)), gripper=replace(
            preset.gripper, joints={'panda_finger_joint1': (0.04, 0.0)}))
    motion = read_motion(episode, preset, robot)
    assert motion.by_ik and motion.why_refused() is None
    there = tips(motion.positions[:, :7], 'panda_hand')
    assert np.abs(there[:, :3] - tip[:, :3]).max() < 1e-3
    action, = [check for check in motion.checks if check.name == 'action']
    assert 'delta' in action.message


def test_rows_that_the_list_of_episodes_does_not_have(robot, tmp_path):
    folder = lerobot(tmp_path / 'set', 'v2.1')
    listed = folder / 'meta' / 'episodes.jsonl'
    listed.write_text(listed.read_text().replace(f'"length": {ROWS}', f'"length": {ROWS + 9}'))
    report = import_set(open_source(folder), tmp_path / 'out', ImportSettings('panda_hand', PANDA))
    for episode in report.episodes:
        rows, = [check for check in episode.checks if check.name == 'rows']
        assert not episode.refused and rows.status is Status.UNSURE
        assert f'{ROWS} rows, where the list of episodes of the set says {ROWS + 9}' in rows.message


def test_an_episode_that_is_listed_twice(tmp_path):
    folder = lerobot(tmp_path / 'set', 'v2.1')
    listed = folder / 'meta' / 'episodes.jsonl'
    lines = listed.read_text().splitlines()
    other = json.dumps({'episode_index': 1, 'tasks': ['wait'], 'length': 3})
    listed.write_text('\n'.join([*lines, lines[0], other]))
    source = open_source(folder)
    assert source.episode_names() == ('episode_000000', 'episode_000001')
    assert source.read('episode_000000').text == 'wave'
    with pytest.raises(DatasetError, match='episode_000001 several times'):
        source.read('episode_000001')


@pytest.mark.parametrize('kept', [np.r_[5:ROWS], np.r_[0:8, 12:ROWS]])
def test_frames_of_rows_that_are_not_there(kept, tmp_path):
    """The video has a frame for each row that was recorded; some rows were taken out."""
    folder = lerobot(tmp_path / 'set', 'v2.1')
    write_table(folder / 'data/chunk-000/episode_000000.parquet', {
        'observation.state': joints()[kept].tolist(), 'timestamp': (kept / made.RATE).tolist(),
        'frame_index': kept.tolist(), 'episode_index': [0] * len(kept)})
    episode = open_source(folder).read(EPISODE)
    stream = episode.videos['observation.images.front']
    timing = frame_timing(episode.times, stream)
    assert timing.check.status is Status.PASS
    number = {round(float(time), 6): at for at, time in enumerate(stream.times)}
    assert [number[round(float(time), 6)] for time in episode.times] == kept.tolist()
    # the first picture is that of the first row, not the first of the video
    report = import_set(open_source(folder), tmp_path / 'out', ImportSettings(
        'panda_hand', PANDA, names=(EPISODE,)))
    frame = Episode.open(tmp_path / 'out' / report.imported[0].file).frames[0]
    want = pictures()[kept[0]].astype(float)
    assert abs(frame.image.astype(float) - want).mean() < 6


def test_depth_of_rows_goes_with_their_pictures(tmp_path):
    """The video has pictures of rows that were taken out, the table has depth of the others."""
    kept = np.r_[0:8, 12:ROWS]
    folder = lerobot(tmp_path / 'set', 'v2.1')
    depth = [cv2.imencode('.png', np.full((made.HEIGHT, made.WIDTH), 1000 + row, np.uint16))[1]
             for row in kept]
    write_table(folder / 'data/chunk-000/episode_000000.parquet', {
        'observation.state': joints()[kept].tolist(), 'timestamp': (kept / made.RATE).tolist(),
        'frame_index': kept.tolist(), 'episode_index': [0] * len(kept),
        'observation.images.front_depth': [{'bytes': each.tobytes(), 'path': None}
                                           for each in depth]})
    report = import_set(open_source(folder), tmp_path / 'out', ImportSettings(
        'panda_hand', PANDA, names=(EPISODE,)))
    frames = Episode.open(tmp_path / 'out' / report.imported[0].file).frames
    found = [frame.depth for frame in frames]
    assert [number for number, each in enumerate(found) if each is not None] == kept.tolist()
    assert [round(1000 * float(found[row][5, 5])) for row in kept] == (1000 + kept).tolist()


def test_a_stream_without_a_stamp_is_refused():
    stream = EncodedFrames([], times=np.zeros(0))
    assert frame_timing(np.arange(9.0), stream).check.status is Status.FAIL


def test_an_info_json_of_few_words(tmp_path):
    """No robot, splits or totals, a rate with a point, names of all kinds, links to files."""
    folder = lerobot(tmp_path / 'sät für dich', 'v2.1', info={
        'robot_type': None, 'fps': 10.0, 'video_path': None, 'splits': None}, features={
            'observation.state': {'dtype': 'float32', 'shape': [7], 'names': {
                'motors': {f'panda_joint{number}': number - 1 for number in range(1, 8)}}}})
    table = folder / 'data/chunk-000/episode_000000.parquet'
    stored = tmp_path / 'blobs' / 'x'
    stored.parent.mkdir()
    table.rename(stored)
    table.symlink_to(stored)      # as the cache of the hub has it
    (folder / 'videos/chunk-000/observation.images.front/episode_000001.mp4').write_bytes(b'')
    report = import_set(open_source(folder), tmp_path / 'out', ImportSettings('panda_hand', PANDA))
    assert [episode.name for episode in report.imported] == [EPISODE]
    refused, = report.refused
    assert 'cannot be opened' in refused.refused or 'no video' in refused.refused


def test_several_videos_of_one_camera_in_a_set_of_version_3(tmp_path):
    """Each file begins anew; where an episode is, is told from the beginning of its file."""
    folder = lerobot(tmp_path / 'set')
    key = 'observation.images.front'
    path = folder / f'videos/{key}/chunk-000'
    write_video(path / 'file-000.mp4', pictures())
    write_video(path / 'file-001.mp4', pictures()[::-1])
    rows = {'episode_index': [0, 1], 'tasks': [['wave']] * 2, 'length': [ROWS] * 2,
            'data/chunk_index': [0, 0], 'data/file_index': [0, 0],
            f'videos/{key}/chunk_index': [0, 0], f'videos/{key}/file_index': [0, 1],
            f'videos/{key}/from_timestamp': [0.0, 0.0],
            f'videos/{key}/to_timestamp': [ROWS / made.RATE] * 2}
    write_table(folder / 'meta/episodes/chunk-000/file-000.parquet', rows)
    source = open_source(folder)
    first, second = (list(source.read(f'episode_00000{number}').videos[key]) for number in (0, 1))
    assert len(first) == len(second) == ROWS
    assert first[0].mean() < first[-1].mean() and second[0].mean() > second[-1].mean()
