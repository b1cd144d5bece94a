# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files that are damaged, lie about their size, or lead out of the set, are refused and named."""
import json
import struct
import zipfile
import zlib

import h5py
import made_sets as made
import numpy as np
import pyarrow as pa
import pytest
from made_sets import joints, lerobot, pictures, ROWS, write_table, write_video

from kinema4d_ros.datasets import open_source
from kinema4d_ros.datasets.paths import file_names, fill, inside
from kinema4d_ros.datasets.tfrecord import parse_example
from kinema4d_ros.datasets.video import decode_image, VideoFrames
from kinema4d_ros.errors import DatasetError

assert pa      # as in test_layouts


@pytest.mark.parametrize('name', ['../x.parquet', '/etc/passwd', 'a/../../x', 'a\\..\\..\\x',
                                  'C:/x', 'a\0b'])
def test_names_that_leave_the_set(name, tmp_path):
    with pytest.raises(DatasetError, match='outside of it'):
        inside(tmp_path, name)


def test_templates_hold_names_and_widths_only():
    assert fill('a-{episode_index:03d}/{video_key}', {'episode_index': 7, 'video_key': 'c'}) == \
        'a-007/c'
    for template in ('{episode_index.__class__}', '{episode_index:0999999999d}', '{0}', '{',
                     '{episode_index!r}'):
        with pytest.raises(DatasetError, match='template'):
            fill(template, {'episode_index': 1})


def test_no_two_episodes_have_one_name():
    names = file_names([('a b', 1), ('a_b', 2), ('A/b', 3), ('c.x', 4), ('c.y', 5), ('d.x', 6)],
                       ('.x', '.y'))
    assert sorted(names.values()) == [1, 2, 3, 4, 5, 6] and names['d'] == 6
    assert len({name.lower() for name in names}) == 6
    again = file_names([('A/b', 3), ('a b', 1), ('c.x', 4), ('c.y', 5)], ('.x', '.y'))
    assert set(again) <= set(names)         # whatever else there is, and in whichever order
    with pytest.raises(DatasetError, match='called a'):
        file_names([('a', 1), ('a', 2)])


def test_episodes_of_like_names_in_several_folders(tmp_path):
    for folder in ('a', 'b'):
        write_video(tmp_path / 'videos' / folder / '0.mp4', pictures(4))
    assert list(open_source(tmp_path / 'videos').episode_names()) == ['a_0', 'b_0']
    for folder in ('droid/1.0.0', 'other/1.0.0'):      # of two versions the newest is read
        made.rlds(tmp_path / 'rlds' / folder, [made.droid_steps(8)])
    source = open_source(tmp_path / 'rlds', rate=15.0)
    assert len(source.episode_names()) == 2
    assert all(source.read(name).columns for name in source.episode_names())
    for folder in ('x y', 'x_y'):
        made.droid_raw(tmp_path / 'raw' / folder)
    assert len(open_source(tmp_path / 'raw').episode_names()) == 2


@pytest.mark.parametrize('key', ['data_path', 'video_path'])
def test_a_template_that_leads_out_of_the_set(key, tmp_path):
    folder = lerobot(tmp_path / 'set', info={key: '../../etc/{episode_index}.parquet'})
    with pytest.raises(DatasetError, match='outside of it'):
        open_source(folder).read('episode_000000')


def test_a_camera_that_is_called_like_a_way_out(tmp_path):
    folder = lerobot(tmp_path / 'set', features={'../../secret': {'dtype': 'video', 'shape': [1]}})
    with pytest.raises(DatasetError, match='outside of it'):
        open_source(folder).read('episode_000000')


def test_pictures_of_info_json_that_lead_out(tmp_path):
    (tmp_path / 'info.json').write_text(json.dumps({'steps': {'0.0': {
        'img_file': '../secret.png', 'joint_angles': [0.0] * 7}}}))
    with pytest.raises(DatasetError, match='outside of it'):
        open_source(tmp_path).read(tmp_path.name)


def test_a_parquet_that_is_cut(tmp_path):
    folder = lerobot(tmp_path / 'set')
    table = folder / 'data/chunk-000/file-000.parquet'
    table.write_bytes(table.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r'file-000\.parquet is damaged'):
        open_source(folder).read('episode_000000')


def test_a_parquet_whose_middle_is_damaged(tmp_path):
    folder = lerobot(tmp_path / 'set')
    table = folder / 'data/chunk-000/file-000.parquet'
    data = bytearray(table.read_bytes())
    data[10:400] = bytes(390)
    table.write_bytes(data)
    with pytest.raises(DatasetError, match='damaged'):
        open_source(folder).read('episode_000000')


def test_a_parquet_that_unpacks_to_more_than_fits(tmp_path, monkeypatch):
    folder = lerobot(tmp_path / 'set')
    monkeypatch.setattr('kinema4d_ros.datasets.parquet.MOST_BYTES', 1000)
    with pytest.raises(DatasetError, match=r'more than the 1000 that are unpacked'):
        open_source(folder).read('episode_000000')


@pytest.mark.parametrize('columns', [
    {'episode_index': [0] * 3000, 'a': [False] * 3000, 'b': [False] * 3000},
    {'episode_index': [0], 'wide': [[False] * 9000]}], ids=['long', 'wide'])
def test_a_small_parquet_of_many_equal_numbers(columns, tmp_path, monkeypatch):
    """Its pages are small as they are encoded; it is refused before they are unpacked."""
    folder = lerobot(tmp_path / 'set')
    table = write_table(folder / 'data/chunk-000/file-000.parquet', columns)
    monkeypatch.setattr('kinema4d_ros.datasets.parquet.MOST_BYTES', 2500)
    monkeypatch.setattr('kinema4d_ros.datasets.parquet.MOST_VALUES', 8000)
    assert table.stat().st_size < 2500
    with pytest.raises(DatasetError, match='more than the 8000 that are unpacked'):
        open_source(folder).read('episode_000000')


def test_a_picture_that_is_missing_does_not_shift_the_others(tmp_path):
    folder = lerobot(tmp_path / 'set', cameras={})
    images = [{'bytes': made.jpeg(image), 'path': None} for image in pictures()]
    images[5] = None
    write_table(folder / 'data/chunk-000/file-000.parquet', {
        'observation.state': joints().tolist(), 'observation.image': images,
        'episode_index': [0] * ROWS})
    stream = open_source(folder).read('episode_000000').videos['observation.image']
    assert stream.count == ROWS
    with pytest.raises(DatasetError, match='image 5 is missing'):
        list(stream)


@pytest.mark.parametrize('text', ['{"codebase_version": "v3.0", ', '[1, 2]', '[' * 100_000,
                                  '{"codebase_version": "v3.0", "fps": "x", "features": {}}',
                                  '{"codebase_version": "v3.0", "fps": 0, "features": {}}'])
def test_an_info_json_that_is_none(text, tmp_path):
    folder = lerobot(tmp_path / 'set')
    (folder / 'meta/info.json').write_text(text)
    with pytest.raises(DatasetError, match=r'info\.json'):
        open_source(folder)


def test_a_list_of_episodes_that_is_damaged(tmp_path):
    folder = lerobot(tmp_path / 'set', 'v2.1')
    listed = folder / 'meta/episodes.jsonl'
    listed.write_text(listed.read_text() + '\n{"episode_index": ')
    with pytest.raises(DatasetError, match='line 3'):
        open_source(folder).episode_names()


def test_rows_that_are_in_no_file(tmp_path):
    folder = lerobot(tmp_path / 'set')
    write_table(folder / 'data/chunk-000/file-000.parquet', {
        'observation.state': joints().tolist(), 'episode_index': [0] * ROWS})
    assert open_source(folder).read('episode_000000').columns
    with pytest.raises(DatasetError, match='no row of episode_000001'):
        open_source(folder).read('episode_000001')


def test_a_video_that_is_cut_says_after_how_many_frames(tmp_path):
    rng = np.random.default_rng(0)
    path = write_video(tmp_path / 'v.mp4', rng.integers(0, 255, (30, 64, 64, 3), np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    with pytest.raises(DatasetError, match=r'v\.mp4'):
        list(VideoFrames(path))
    path.write_bytes(b'no video')
    with pytest.raises(DatasetError, match='cannot be opened'):
        list(VideoFrames(path))


def test_a_video_whose_frames_are_damaged(tmp_path):
    rng = np.random.default_rng(0)
    path = write_video(tmp_path / 'v.mp4', rng.integers(0, 255, (30, 64, 64, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 3:len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    try:      # a decoder may conceal what it cannot read, but fewer frames are seen to be fewer
        count = len(list(VideoFrames(path)))
    except DatasetError as error:
        assert 'damaged after' in str(error)
    else:
        assert count <= 30


def test_pictures_of_more_pixels_than_fit(monkeypatch):
    data = made.jpeg(pictures(1)[0])
    monkeypatch.setattr('kinema4d_ros.datasets.video.MOST_PIXELS', 100)
    with pytest.raises(DatasetError, match='48 x 32 pixels'):
        decode_image(data, 'picture 3')
    with pytest.raises(DatasetError, match='picture 3 is damaged'):
        decode_image(data[:30], 'picture 3')


def chunk_of_png(kind: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + kind + content + struct.pack(
        '>I', zlib.crc32(kind + content))


def test_a_bomb_of_an_image():
    """A PNG of a few bytes that says it has 60 000 x 60 000 pixels."""
    head = chunk_of_png(b'IHDR', struct.pack('>IIBBBBB', 60_000, 60_000, 8, 2, 0, 0, 0))
    with pytest.raises(DatasetError, match='bomb'):
        decode_image(b'\x89PNG\r\n\x1a\n' + head + chunk_of_png(b'IDAT', zlib.compress(bytes(9))),
                     'frame')


@pytest.fixture
def shard(tmp_path):
    return made.rlds(tmp_path / 'set', [made.droid_steps(8), made.droid_steps(8)]) / \
        'made-train.tfrecord-00000-of-00001'


def test_a_record_with_a_wrong_checksum(shard):
    data = bytearray(shard.read_bytes())
    data[200] ^= 1
    shard.write_bytes(data)
    source = open_source(shard, rate=15.0)
    first, second = source.episode_names()
    with pytest.raises(DatasetError, match='checksum'):
        source.read(first)
    assert source.read(second).columns      # the rest goes on


@pytest.mark.parametrize('change', [lambda data: data[:-5], lambda data: b'\1' + data[1:],
                                    lambda data: data + b'abc'])
def test_a_shard_whose_framing_is_damaged(change, shard):
    shard.write_bytes(change(shard.read_bytes()))
    source = open_source(shard, rate=15.0)
    with pytest.raises(DatasetError, match='made-train'):
        source.read(source.episode_names()[0])


def test_a_record_that_says_it_is_huge(shard):
    from kinema4d_ros.datasets.tfrecord import masked_crc

    head = struct.pack('<Q', 1 << 50)
    shard.write_bytes(head + struct.pack('<I', masked_crc(head)) + bytes(100))
    source = open_source(shard, rate=15.0)
    with pytest.raises(DatasetError, match=f'{1 << 50} bytes'):
        source.read(source.episode_names()[0])


@pytest.mark.parametrize('data', [b'\xff' * 20, b'\x0a\xff', b'\x0a\x05abc', b'\x0b\x01',
                                  b'\x0a\x02\x0a\x00'])
def test_bytes_that_are_no_example(data):
    with pytest.raises(DatasetError, match=r'no tf\.train\.Example'):
        parse_example(data)


def test_columns_that_do_not_fit_their_steps(tmp_path):
    steps = made.droid_steps(8) | {'steps/observation/joint_position': np.zeros(55)}
    folder = made.rlds(tmp_path / 'set', [steps], {'observation/joint_position': (7,)})
    source = open_source(folder, rate=15.0)
    with pytest.raises(DatasetError, match='55 numbers in 8 steps'):
        source.read(source.episode_names()[0])


def test_an_h5_that_is_damaged_or_too_large(tmp_path, monkeypatch):
    folder = made.droid_raw(tmp_path / 'a')
    table = folder / 'trajectory.h5'
    whole = table.read_bytes()
    table.write_bytes(whole[:len(whole) // 3])
    with pytest.raises(DatasetError, match=r'trajectory\.h5 is damaged'):
        open_source(tmp_path).read('a')
    with h5py.File(table, 'w') as file:     # a terabyte that takes no room in the file
        file.create_dataset('observation/huge', (1 << 20, 1 << 17), 'f8', chunks=(64, 64))
    with pytest.raises(DatasetError, match='huge has the shape'):
        open_source(tmp_path).read('a')


def test_an_h5_whose_columns_differ(tmp_path):
    folder = made.droid_raw(tmp_path / 'a')
    with h5py.File(folder / 'trajectory.h5', 'a') as file:
        del file['action/joint_position']
        file['action/joint_position'] = joints()[:-1]
    with pytest.raises(DatasetError, match='differ in length'):
        open_source(tmp_path).read('a')


def test_arrays_beside_a_video_that_are_no_numbers(tmp_path):
    write_video(tmp_path / 'a.mp4', pictures(4))
    np.savez(tmp_path / 'a.npz', x=np.array([object()], object))
    with pytest.raises(DatasetError, match=r'a\.npz'):
        open_source(tmp_path).read('a')
    with zipfile.ZipFile(tmp_path / 'a.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('x.npy', bytes(100))
    with pytest.raises(DatasetError, match=r'a\.npz'):
        open_source(tmp_path).read('a')


def test_an_annotation_whose_columns_differ(tmp_path):
    folder = made.ctrl_world(tmp_path / 'set')
    file = folder / 'annotation/train/0.json'
    values = json.loads(file.read_text())
    values['observation.state.gripper_position'].pop()
    file.write_text(json.dumps(values))
    with pytest.raises(DatasetError, match='differ in length'):
        open_source(folder).read('train_0')
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DatasetError, match='no JSON'):
        open_source(folder).read('train_0')
