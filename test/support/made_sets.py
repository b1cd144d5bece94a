# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small data sets in the layouts of others, a few kB each: a Panda that waves before a camera."""
from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from kinema4d_ros.calibration import Extrinsics
from kinema4d_ros.datasets.tfrecord import masked_crc
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.types import PinholeCamera

ROOT = Path(__file__).resolve().parents[2]
PANDA = ROOT / 'urdf' / 'panda' / 'panda.urdf'
HOME = np.array([0.0, -0.6, 0.0, -2.3, 0.0, 1.8, 0.7])
ROWS, RATE = 24, 10.0
WIDTH, HEIGHT = 48, 32
K = (50.0, 50.0, 23.5, 15.5)


def joints(rows: int = ROWS, phase: float = 0.0) -> np.ndarray:
    """Return a path (rows, 7) [rad] of the arm."""
    t = np.linspace(0.0, 1.0, rows)[:, None]
    return HOME + 0.3 * np.sin(2.0 * t + np.arange(7) * 0.5 + phase) * np.array(
        [1, 0.5, 1, 0.5, 1, 0.5, 1])


def grip(rows: int = ROWS) -> np.ndarray:
    """Return a gripper (rows,) that closes on something: 0 open, to 0.7 of closed."""
    return np.clip(np.linspace(-0.5, 1.5, rows), 0.0, 0.7)


def tips(path: np.ndarray, link: str = 'panda_link8') -> np.ndarray:
    """Return where a link is along a path: (rows, 6), xyz [m] and Euler xyz [rad]."""
    robot = Robot.from_file(PANDA)
    full = np.zeros((len(path), len(robot.joint_names)))
    full[:, :7] = path
    T = ForwardKinematics(robot)(full)[:, robot.link_names.index(link)]
    return np.c_[T[:, :3, 3], Rotation.from_matrix(T[:, :3, :3]).as_euler('xyz')]


def pictures(count: int = ROWS, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return frames (count, H, W, 3) uint8, of which each is brighter than the one before."""
    ramp = np.linspace(60, 200, count).astype(np.uint8)
    frames = np.repeat(np.repeat(np.repeat(ramp[:, None, None, None], height, 1), width, 2), 3, 3)
    frames[:, :, : width // 2, 0] = 20
    return frames


def write_video(path: Path, frames: np.ndarray, rate: float = RATE, codec: str = 'libx264',
                pixels: str = 'yuv420p') -> Path:
    """
    Write frames, (N, H, W, 3) uint8 RGB or (N, H, W) uint16 codes of 12 bits.

    In a thread of its own: SVT-AV1 gives whoever encodes real-time priority where that is root,
    and all that is started from there would have it, before anything else on the machine.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_write_video, path, frames, rate, codec, pixels).result()
    return path


def _write_video(path: Path, frames: np.ndarray, rate: float, codec: str, pixels: str) -> None:
    import av

    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        stream.options = {'x265-params': 'lossless=1:log-level=none'} if codec == 'libx265' else {}
        for image in frames:
            kind = 'rgb24' if image.ndim == 3 else 'gray12le'
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format=kind)))
        container.mux(stream.encode())


def write_table(path: Path, columns: Mapping[str, object]) -> Path:
    """Write a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)
    return path


def _rows(episode: int, first: int, columns: Mapping[str, np.ndarray]) -> dict[str, list]:
    count = len(next(iter(columns.values())))
    return {**{key: np.asarray(value, np.float32).tolist() for key, value in columns.items()},
            'timestamp': (np.arange(count) / RATE).tolist(), 'frame_index': list(range(count)),
            'episode_index': [episode] * count, 'index': list(range(first, first + count)),
            'task_index': [0] * count}


def lerobot(folder: Path, version: str = 'v3.0', *,
            episodes: Sequence[Mapping[str, np.ndarray]] = (),
            features: Mapping[str, object] = {}, info: Mapping[str, object] = {},
            cameras: Mapping[str, str] = {'observation.images.front': 'libx264'}) -> Path:
    """
    Write a LeRobot set of two episodes of a Panda, or of the columns that are given.

    :param features: entries of info.json in place of those made here.
    :param cameras: key -> codec.
    """
    episodes = episodes or [{'observation.state': joints(phase=number), 'action': joints(
        phase=number)} for number in range(2)]
    old = version != 'v3.0'
    (folder / 'meta').mkdir(parents=True)
    document = {
        'codebase_version': version, 'robot_type': 'panda', 'fps': RATE, 'chunks_size': 1000,
        'data_path': 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet' if old
        else 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
        'video_path':
        'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4' if old
        else 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
        'features': {**{key: {'dtype': 'float32', 'shape': list(value.shape[1:]), 'names': None}
                        for key, value in episodes[0].items()},
                     **{key: {'dtype': 'video', 'shape': [HEIGHT, WIDTH, 3],
                              'info': {'video.fps': RATE}} for key in cameras}, **features},
        **info}
    (folder / 'meta' / 'info.json').write_text(json.dumps(document))
    counts = [len(next(iter(columns.values()))) for columns in episodes]
    starts = np.r_[0, np.cumsum(counts)]
    tables = [_rows(number, int(starts[number]), columns)
              for number, columns in enumerate(episodes)]
    if old:
        lines = [json.dumps({'episode_index': number, 'tasks': ['wave'], 'length': count})
                 for number, count in enumerate(counts)]
        (folder / 'meta' / 'episodes.jsonl').write_text('\n'.join(lines))
        for number, table in enumerate(tables):
            write_table(folder / f'data/chunk-000/episode_{number:06d}.parquet', table)
            for key, codec in cameras.items():
                write_video(folder / f'videos/chunk-000/{key}/episode_{number:06d}.mp4',
                            pictures(counts[number]), codec=codec)
        return folder
    write_table(folder / 'data/chunk-000/file-000.parquet', {
        key: [value for table in tables for value in table[key]] for key in tables[0]})
    rows: dict[str, list] = {
        'episode_index': list(range(len(counts))), 'tasks': [['wave']] * len(counts),
        'length': counts, 'data/chunk_index': [0] * len(counts),
        'data/file_index': [0] * len(counts)}
    for key, codec in cameras.items():
        rows |= {f'videos/{key}/chunk_index': [0] * len(counts),
                 f'videos/{key}/file_index': [0] * len(counts),
                 f'videos/{key}/from_timestamp': (starts[:-1] / RATE).tolist(),
                 f'videos/{key}/to_timestamp': (starts[1:] / RATE).tolist()}
        write_video(folder / f'videos/{key}/chunk-000/file-000.mp4', np.concatenate(
            [pictures(count) for count in counts]), codec=codec)
    write_table(folder / 'meta/episodes/chunk-000/file-000.parquet', rows)
    return folder


def _varint(value: int) -> bytes:
    out = b''
    value &= 0xFFFFFFFFFFFFFFFF
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def feature(values: object) -> bytes:
    """Return a tf.train.Feature: bytes, or an array of floats or integers."""
    if isinstance(values, list):
        return _field(1, b''.join(_field(1, item) for item in values))
    array = np.ravel(values)
    if array.dtype.kind == 'f':
        return _field(2, _field(1, array.astype('<f4').tobytes()))
    return _field(3, _field(1, b''.join(_varint(int(value)) for value in array)))


def features_message(values: Mapping[str, object]) -> bytes:
    """Return a tf.train.Features."""
    return b''.join(_field(1, _field(1, key.encode()) + _field(2, feature(value)))
                    for key, value in values.items())


def example(values: Mapping[str, object]) -> bytes:
    """Return a tf.train.Example."""
    return _field(1, features_message(values))


def sequence_example(context: Mapping[str, object], steps: Mapping[str, Sequence[object]]) -> bytes:
    """Return a tf.train.SequenceExample."""
    lists = b''.join(_field(1, _field(1, key.encode()) + _field(2, b''.join(
        _field(1, feature(item)) for item in items))) for key, items in steps.items())
    return _field(1, features_message(context)) + _field(2, lists)


def record(data: bytes) -> bytes:
    """Return the framing of a TFRecord file around some data."""
    head = struct.pack('<Q', len(data))
    return head + struct.pack('<I', masked_crc(head)) + data + struct.pack('<I', masked_crc(data))


def jpeg(image: np.ndarray) -> bytes:
    """Return the JPEG of an image (H, W, 3) RGB."""
    import cv2

    return cv2.imencode('.jpg', image[..., ::-1])[1].tobytes()


def rlds(folder: Path, episodes: Sequence[Mapping[str, object]],
         shapes: Mapping[str, Sequence[int]] = {}) -> Path:
    """Write one shard, with features.json where shapes are given."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'made-train.tfrecord-00000-of-00001').write_bytes(
        b''.join(record(example(values)) for values in episodes))
    if shapes:
        steps = {key: {'tensor': {'shape': {'dimensions': list(map(str, shape))}}}
                 for key, shape in shapes.items()}
        tree: dict = {}
        for key, leaf in steps.items():
            node = tree
            *parents, last = key.split('/')
            for part in parents:
                node = node.setdefault(part, {'featuresDict': {'features': {}}})[
                    'featuresDict']['features']
            node[last] = leaf
        (folder / 'features.json').write_text(json.dumps({'featuresDict': {'features': {
            'steps': {'sequence': {'feature': {'featuresDict': {'features': tree}}}}}}}))
    return folder


def droid_steps(rows: int = ROWS) -> dict[str, object]:
    """Return an episode as DROID's RLDS has it."""
    path = joints(rows)
    return {
        'steps/observation/joint_position': path, 'steps/observation/cartesian_position':
        tips(path), 'steps/observation/gripper_position': grip(rows),
        'steps/action_dict/joint_position': np.r_[path[2:], path[-2:]],
        'steps/observation/exterior_image_1_left': [jpeg(image) for image in pictures(rows)],
        'steps/language_instruction': [b'wave'] * rows,
        'steps/is_first': np.eye(1, rows, dtype=np.int64)[0],
        'episode_metadata/file_path': [b'/nfs/droid/success/2023-04-20/trajectory.h5']}


def droid_raw(folder: Path, extrinsics: Sequence[float] = (1.0, 0.0, 0.6, -2.0, 0.0, 1.57)) -> Path:
    """Write one episode as DROID was recorded."""
    import h5py

    path = joints()
    folder.mkdir(parents=True)
    with h5py.File(folder / 'trajectory.h5', 'w') as file:
        state = file.create_group('observation/robot_state')
        state['joint_positions'], state['cartesian_position'] = path, tips(path)
        state['gripper_position'] = grip()
        file['action/joint_position'] = np.r_[path[2:], path[-2:]]
        file['observation/timestamp/control/step_start'] = \
            1_681_000_000_000 + np.arange(ROWS) * 1000 / RATE
    (folder / 'metadata_AUTOLab.json').write_text(json.dumps({
        'uuid': 'AUTOLab+0d4e', 'success': True, 'current_task': 'wave', 'ext1_cam_serial': '123',
        'ext1_cam_extrinsics': list(extrinsics)}))
    write_video(folder / 'recordings/MP4/123.mp4', pictures())
    return folder


def ctrl_world(folder: Path) -> Path:
    """Write one episode as Ctrl-World keeps it: a picture for each third row."""
    path = joints(3 * 8 - 1)
    annotation = folder / 'annotation' / 'train' / '0.json'
    annotation.parent.mkdir(parents=True)
    annotation.write_text(json.dumps({
        'texts': ['wave'], 'success': 0, 'videos': [{'video_path': 'videos/train/0/0.mp4'}],
        'states': np.c_[tips(path), grip(len(path))][::3].tolist(),
        'observation.state.cartesian_position': tips(path).tolist(),
        'observation.state.joint_position': path.tolist(),
        'observation.state.gripper_position': grip(len(path)).tolist()}))
    write_video(folder / 'videos/train/0/0.mp4', pictures(8), rate=5)
    return folder


def panda_folder(folder: Path, T_camera_base: np.ndarray) -> Path:
    """Write pictures with an info.json, and a camera that is known."""
    folder.mkdir(parents=True)
    steps = {}
    for number, (row, image) in enumerate(zip(joints(), pictures())):
        (folder / f'f{number}.jpg').write_bytes(jpeg(image))
        steps[str(1_700_000_000.0 + number / RATE)] = {
            'img_file': f'f{number}.jpg', 'joint_angles': row.tolist()}
    turn = Rotation.from_matrix(T_camera_base[:3, :3]).as_rotvec()
    (folder / 'info.json').write_text(json.dumps({'steps': steps, 'calibration_info': {
        'intrinsic': [[K[0], 0, K[2]], [0, K[1], K[3]], [0, 0, 1]],
        'extrinsic': [[*turn, *T_camera_base[:3, 3]]]}}))
    return folder


def calibration_file(path: Path, T_base_camera: np.ndarray, scale: float = 2.0) -> Path:
    """Write what `kinema4d calibrate` writes, of pictures that are `scale` times as large."""
    camera = PinholeCamera(WIDTH, HEIGHT, *K).resized(round(WIDTH * scale), round(HEIGHT * scale))
    Extrinsics('panda_link0', T_base_camera, 0.002, 0.001, camera=camera).save(path)
    return path
