# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d detect-actions` on chunks in a file and on a data set."""
import numpy as np
import pytest
from bench.action_conventions import bundled
from bench.made_chunks import Convention, records_in
from shared_data import shared_data

from kinema4d_ros.cli.main import main
from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy import ChunkRecord
from kinema4d_ros.resources import share_dir

MOTION = next(bundled(('libero_spatial_2_0_success',)))
PANDA = str(share_dir() / 'urdf' / 'panda' / 'panda.urdf')


def saved(path, told, **more):
    records = records_in(MOTION, told, chunks=12, **more)
    arrays = {'actions': [record.actions for record in records],
              'states': [record.state for record in records]}
    if records[0].after is not None:
        arrays['after'] = [record.after for record in records]
    np.savez(path, **{name: np.array(array) for name, array in arrays.items()})
    return str(path)


def test_chunks_in_a_file(tmp_path, capsys):
    path = saved(tmp_path / 'chunks.npz', Convention('tip', 'previous', 'OSC', gripper='-1..1'))
    words = ['detect-actions', path, '--urdf', PANDA, '--rate', '20']
    assert main([*words, '--policy', 'libero']) == 3      # rotvec or rpy: small turns do not tell
    said = capsys.readouterr().out
    assert '12 chunks of 10 actions' in said and 'previous' in said
    assert 'nothing contradicts the policy preset libero' in said
    assert main([*words, '--policy', 'droid']) == 1
    assert 'not what the policy preset droid says: the actions are of the tip' in \
        capsys.readouterr().out


def test_what_is_unknown_ends_with_3(tmp_path, capsys):
    path = saved(tmp_path / 'chunks.npz', Convention(reference='start'), after=False)
    assert main(['detect-actions', path, '--urdf', PANDA, '--rate', '20']) == 3
    assert 'unknown (as the robot?)' in capsys.readouterr().out


@pytest.mark.parametrize(('arrays', 'more', 'words'), [
    ({'actions': np.zeros((2, 3, 8))}, ['--rate', '9'], 'have no states'),
    ({'actions': np.zeros((2, 3, 8)), 'states': np.zeros((3, 9))}, ['--rate', '9'], 'have shapes'),
    ({'actions': np.zeros((2, 3, 8)), 'states': np.zeros((2, 9))}, [], 'give --rate'),
    ({'actions': np.array([object()]), 'states': np.zeros((1, 9))}, ['--rate', '9'],
     'no numbers that can be read'),
    ({'actions': np.array(1.0), 'states': np.array(2.0)}, ['--rate', '9'],
     'have shape (), not (chunks, actions, columns)'),
    ({'actions': np.zeros((2, 3, 8)), 'states': np.zeros((2, 9)), 'after': np.zeros((2, 9))},
     ['--rate', '9'], 'not (chunks, rows, joints)'),
    ({'actions': np.full((2, 3, 8), 'left'), 'states': np.zeros((2, 9))}, ['--rate', '9'],
     'are of type <U4, not numbers'),
    ({'actions': np.where(np.arange(48).reshape(2, 3, 8) < 40, 0.0, np.nan),
      'states': np.zeros((2, 9))}, ['--rate', '9'], 'chunk 1 of')])
def test_files_that_are_no_chunks(tmp_path, capsys, arrays, more, words):
    np.savez(tmp_path / 'chunks.npz', **arrays)
    assert main(['detect-actions', str(tmp_path / 'chunks.npz'), '--urdf', PANDA, *more]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(('name', 'content', 'words'), [
    ('notes.npz', b'left, right', 'is no .npz file, whatever it is called'),
    ('cut.npz', None, 'is no .npz file'), ('none.npz', b'', 'there is no file'),
    ('notes.txt', b'left, right', 'one of')])
def test_files_that_are_not_what_they_are_called(tmp_path, capsys, name, content, words):
    if content is None:
        np.savez(tmp_path / 'whole.npz', actions=np.zeros((9, 9, 8)))
        content = (tmp_path / 'whole.npz').read_bytes()[:500]
    if content:
        (tmp_path / name).write_bytes(content)
    assert main(['detect-actions', str(tmp_path / name), '--urdf', PANDA, '--rate', '9']) == 2
    said = capsys.readouterr().err
    assert words in said and 'pickle' not in said
    assert name != 'notes.txt' or 'panda_2f85' in said


def test_text_is_no_chunk():
    with pytest.raises(PolicyError, match='actions of a chunk must be numbers'):
        ChunkRecord(np.full((3, 8), 'left'), np.zeros(9))


def test_a_data_set(capsys):
    data = shared_data('ctrl_world_droid')
    words = ['detect-actions', str(data / 'droid_subset'), '--urdf',
             str(data.parent / 'urdfs/rerun_droid/franka_description/panda.urdf'),
             '--action', 'action.joint_velocity', '--episodes', '1']
    assert main([*words, '--robot', 'panda_2f85']) == 0
    assert 'velocity' in capsys.readouterr().out
    assert main(words) == 2
    assert 'panda_2f85' in capsys.readouterr().err
