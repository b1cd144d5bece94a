# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Of each layout one file that is cut or whose bytes are others: named, and the rest goes on."""
import io
import re
import shutil
import zipfile

import made_sets as made
import numpy as np
import pyarrow as pa
import pytest
import yaml
from made_sets import joints, lerobot, PANDA, pictures, ROWS, write_video

from kinema4d_ros.datasets import import_set, ImportSettings, open_source
from kinema4d_ros.episodes import find_episode
from kinema4d_ros.errors import DatasetError

assert pa      # as in test_layouts
GOOD = {'observation.state': joints(), 'action': joints()}
COLUMNS = ['observation.state[0:7]', 'observation.joint_position', 'joint_position',
           'observation.state.joint_position', 'observation.robot_state.joint_positions']


def npz(path):
    np.savez_compressed(path, joint_position=joints(), times=np.arange(ROWS) / made.RATE)


def one_file_each(folder):
    return lerobot(folder, 'v2.1', episodes=[GOOD, GOOD])


def rlds(folder):
    return made.rlds(folder, [made.droid_steps(), made.droid_steps()])


def droid_raw(folder):
    for name in 'ab':
        made.droid_raw(folder / name)
    return folder


def bare(folder):
    for name in 'ab':
        write_video(folder / f'{name}.mp4', pictures())
        npz(folder / f'{name}.npz')
    return folder


def bags(folder):
    folder.mkdir()
    for name in 'ab':
        shutil.copy(find_episode('libero_object_0_0_missed_grasp'), folder / f'{name}.mcap')
    return folder


def ctrl_world(folder):
    made.ctrl_world(folder)
    for path in ('annotation/train/{}.json', 'videos/train/{}/0.mp4'):
        other = folder / path.format(1)
        other.parent.mkdir(exist_ok=True)
        shutil.copy(folder / path.format(0), other)
    other = folder / 'annotation/train/1.json'
    other.write_text(other.read_text().replace('train/0/0.mp4', 'train/1/0.mp4'))
    return folder


@pytest.mark.parametrize(('make', 'file', 'says'), [
    (one_file_each, 'data/chunk-000/episode_000000.parquet', 'is damaged'),
    (one_file_each, 'videos/chunk-000/observation.images.front/episode_000000.mp4', 'video'),
    (rlds, 'made-train.tfrecord-00000-of-00001', 'checksum|damaged'),
    (droid_raw, 'a/trajectory.h5', 'no HDF5 file'), (droid_raw, 'a/recordings/MP4/123.mp4', 'mp4'),
    (droid_raw, 'a/metadata_AUTOLab.json', 'no JSON'),
    (ctrl_world, 'annotation/train/0.json', 'no JSON'), (ctrl_world, 'videos/train/0/0.mp4', 'mp4'),
    (bare, 'a.mp4', 'mp4'), (bare, 'a.npz', 'cannot be read'),
    (bags, 'a.mcap', 'is damaged, or no bag')],
    ids=lambda value: value.rpartition('/')[2] if isinstance(value, str) else value.__name__)
def test_one_damaged_file_is_named_and_the_rest_goes_on(make, file, says, tmp_path):
    folder = make(tmp_path / 'set')
    (tmp_path / 'arm.yaml').write_text(yaml.safe_dump({
        'name': 'arm', 'title': 'Arm', 'urdf': {'source': 'x'}, 'joints': {
            'names': [[f'panda_joint{n}' for n in range(1, 8)]], 'columns': COLUMNS}}))
    settings = ImportSettings() if make is bags else ImportSettings(str(tmp_path / 'arm.yaml'),
                                                                    PANDA)
    path, whole = folder / file, (folder / file).read_bytes()
    third = len(whole) // 3
    noise = np.random.default_rng(1).integers(0, 256, third // 2, np.uint8).tobytes()
    other = whole[:third // 2] + noise + whole[third // 2 + len(noise):]
    # a shard that is cut has lost its second episode, too; noise in a video is concealed
    damages = [other] if make is rlds else [whole[:third]]
    damages += [other] if path.suffix in ('.parquet', '.h5', '.json', '.npz') else []
    for damaged in damages:
        path.write_bytes(damaged)
        out = tmp_path / 'out'
        shutil.rmtree(out, ignore_errors=True)
        report = import_set(open_source(folder, rate=15.0 if make is rlds else None), out, settings)
        refused, = report.refused
        assert path.name in refused.refused or make is rlds
        assert re.search(says, refused.refused), refused.refused
        assert len(report.imported) == 1 and len(list(out.glob('*.mcap'))) == 1


def test_arrays_that_say_they_are_huge(tmp_path, monkeypatch):
    """A few bytes that say they are exabytes: of the header, and of what they unpack to."""
    folder = bare(tmp_path / 'set')
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {
        'descr': '<f8', 'fortran_order': False, 'shape': (1 << 57, 1)})
    with zipfile.ZipFile(folder / 'a.npz', 'w') as archive:
        archive.writestr('joint_position.npy', head.getvalue())
    with zipfile.ZipFile(folder / 'b.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('joint_position.npy', bytes(1 << 22))
    monkeypatch.setattr('kinema4d_ros.datasets.frame_folder.MOST_BYTES', 1 << 20)
    source = open_source(folder)
    with pytest.raises(DatasetError, match=r'a\.npz cannot be read'):
        source.read('a')
    with pytest.raises(DatasetError, match=r'b\.npz unpacks to 4194304 bytes, more than'):
        source.read('b')
