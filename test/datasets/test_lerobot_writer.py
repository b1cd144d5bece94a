# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes written as a LeRobot set of version 3.0 are read back as what they were."""
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_sets import lerobot, PANDA

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.datasets import open_source, RobotPreset
from kinema4d_ros.datasets.lerobot_writer import write_lerobot
from kinema4d_ros.datasets.motion import read_motion
from kinema4d_ros.episodes import Episode, find_episode
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.robot import Robot

assert pa      # as in test_layouts


def test_an_episode_with_depth_comes_back(tmp_path):
    path = find_episode('libero_object_0_0_success')
    want = Episode.open(path)
    write_lerobot([path], tmp_path / 'set')
    assert {item.name for item in tmp_path.iterdir()} == {'set'}
    source = open_source(tmp_path / 'set')
    assert source.form == 'LeRobot v3.0'
    got = source.read('episode_000000')
    times, names, positions = want.joint_states
    assert got.names['observation.state'] == names and got.text == want.metadata.task_text
    assert got.success is True and len(got.times) == len(want.frames)
    state = got.columns['observation.state']
    at = [np.abs(times - time).argmin() for time in want.frames.times]
    assert np.abs(state - positions[at]).max() < 0.02
    assert np.array_equal(got.columns['action'][:-1], state[1:])
    motion = read_motion(got, RobotPreset.load('panda_hand'), Robot.from_file(PANDA))
    # by its name: by its place it would be taken for the distance between both fingers
    finger = 'panda_finger_joint1'
    assert np.allclose(motion.positions[:, motion.joint_names.index(finger)],
                       state[:, names.index(finger)], atol=1e-6)
    color, depth = sorted(got.videos, key=len)
    image, seen = next(iter(got.videos[color])), next(iter(got.videos[depth]))
    assert np.abs(image.astype(int) - want.frames[0].image).mean() < 3
    known = np.isfinite(want.frames[0].depth) & np.isfinite(seen)
    assert known.mean() > 0.5 and np.abs(seen - want.frames[0].depth)[known].max() < 0.003
    view = want.observation(-want.start_index).views[0]
    assert np.allclose(got.cameras[color].T_base_camera, view.T_base_camera, atol=1e-6)
    assert got.cameras[color].K[0, 0] == pytest.approx(view.camera.fx, rel=1e-6)
    stats = json.loads((tmp_path / 'set' / 'meta' / 'stats.json').read_text())
    assert np.allclose(stats['observation.state']['mean'], state.mean(axis=0), atol=1e-5)
    assert np.shape(stats[color]['std']) == (3, 1, 1)
    assert 0.3 < stats[depth]['mean'][0][0][0] < 3.0      # [m]
    as_lerobot_wants_it(tmp_path / 'set')


def as_lerobot_wants_it(folder):
    """Check what its loader of version 0.6 refuses or misreads; it is rarely installed itself."""
    info = json.loads((folder / 'meta' / 'info.json').read_text())
    features = info['features']
    for path in (folder / 'data').rglob('*.parquet'):      # a column is a feature, and the reverse
        schema = pq.read_schema(path)
        assert set(schema.names) == {key for key, feature in features.items()
                                     if feature['dtype'] not in ('video', 'image')}
        for name in schema.names:
            kind = schema.field(name).type
            kind = kind.value_type if pa.types.is_list(kind) else kind
            named = {'float': 'float32', 'double': 'float64'}.get(str(kind), str(kind))
            assert named == features[name]['dtype'], name
    tasks = pq.read_table(folder / 'meta' / 'tasks.parquet')
    pandas = json.loads(tasks.schema.metadata[b'pandas'])
    assert pandas['index_columns'] == ['task'] and tasks.column_names == ['task_index', 'task']
    depth = [feature['info'] for feature in features.values()
             if (feature.get('info') or {}).get('video.is_depth_map')]
    assert all(each['depth_unit'] == 'm' for each in depth)
    rows = pq.read_table(folder / 'meta' / 'episodes').to_pylist()
    assert [row['dataset_to_index'] - row['dataset_from_index'] for row in rows] == [
        row['length'] for row in rows]


#: LeRobot pins other versions of much that this package uses, so it may be in a place of its own
LEROBOT_PYTHON = os.environ.get('LEROBOT_PYTHON', sys.executable)
LOAD = """
import json, sys
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

loaded, out = LeRobotDataset('local/set', root=sys.argv[1]), sys.argv[2]
row = loaded[int(sys.argv[3])]
arrays = {key: value.numpy() for key, value in row.items() if hasattr(value, 'numpy')}
np.savez(out, **arrays)
print(json.dumps({'rows': len(loaded), 'episodes': loaded.num_episodes, 'task': row['task'],
                  'stats': sorted(loaded.meta.stats)}))
"""


def test_lerobot_reads_what_is_written(tmp_path):
    """Rows, videos, depth, statistics and task, by its own loader."""
    if subprocess.run([LEROBOT_PYTHON, '-c', 'import importlib.util as u, sys; '
                       'sys.exit(u.find_spec("lerobot") is None)']).returncode:
        pytest.skip('LeRobot is not installed here; LEROBOT_PYTHON may name a Python that has it')
    paths = [find_episode(f'libero_object_0_0_{kind}') for kind in ('success', 'missed_grasp')]
    write_lerobot(paths, tmp_path / 'set')
    first, second = map(Episode.open, paths)
    frame = second.frames[7]
    done = subprocess.run(
        [LEROBOT_PYTHON, '-c', LOAD, tmp_path / 'set', tmp_path / 'row.npz',
         str(len(first.frames) + 7)], capture_output=True, text=True, timeout=300,
        env={**os.environ, 'HF_HUB_OFFLINE': '1', 'HF_HOME': str(tmp_path / 'home')})
    assert done.returncode == 0, done.stderr
    told, row = json.loads(done.stdout.splitlines()[-1]), np.load(tmp_path / 'row.npz')
    color, depth = 'observation.images.agentview', 'observation.images.agentview_depth'
    assert told['episodes'] == 2 and told['task'] == second.metadata.task_text
    assert told['rows'] == len(first.frames) + len(second.frames)
    assert {'observation.state', 'action', color, depth} <= set(told['stats'])
    assert row['episode_index'] == 1 and not row['next.success']
    assert np.abs(255 * row[color].transpose(1, 2, 0) - frame.image).mean() < 3
    known = np.isfinite(frame.depth)
    assert np.abs(row[depth][0] / 1000 - frame.depth)[known].max() < 0.004      # from mm
    times, _, positions = second.joint_states
    assert np.allclose(row['observation.state'], [np.interp(frame.time, times, column)
                                                  for column in positions.T], atol=0.02)
    assert np.allclose(row['camera_extrinsics.agentview'].reshape(4, 4), second.observation(
        -second.start_index).views[0].T_base_camera, atol=1e-6)


def test_what_does_not_belong_together_is_no_set(tmp_path):
    lerobot(tmp_path / 'in')
    words = ['import', str(tmp_path / 'in'), str(tmp_path / 'out'), '--robot', 'panda_hand',
             '--urdf', str(PANDA), '--to', 'lerobot']
    assert main(words) == Exit.PASS
    written = open_source(tmp_path / 'out' / 'lerobot')
    assert list(written.episode_names()) == ['episode_000000', 'episode_000001']
    assert np.allclose(written.read('episode_000001').columns['observation.state'][:, :7],
                       open_source(tmp_path / 'in').read('episode_000001').columns[
                           'observation.state'], atol=1e-5)
    with pytest.raises(DatasetError, match='do not belong into one set'):
        write_lerobot([tmp_path / 'out' / 'episode_000000.mcap',
                       find_episode('libero_object_0_0_success')], tmp_path / 'two')
    with pytest.raises(DatasetError, match='no episode'):
        write_lerobot([], tmp_path / 'none')
    assert not [item for item in tmp_path.iterdir() if item.name.startswith('.')]
