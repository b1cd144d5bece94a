# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d detect-actions` on chunks in a file and on a data set."""
import numpy as np
import pytest
from bench.action_conventions import bundled
from bench.made_chunks import Convention, records_in
from shared_data import shared_data

from kinema4d_ros.cli.main import main
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
    ({'actions': np.array([object()])}, ['--rate', '9'], 'cannot be read: Object arrays')])
def test_files_that_are_no_chunks(tmp_path, capsys, arrays, more, words):
    np.savez(tmp_path / 'chunks.npz', **arrays)
    assert main(['detect-actions', str(tmp_path / 'chunks.npz'), '--urdf', PANDA, *more]) == 2
    assert words in capsys.readouterr().err


def test_a_data_set(capsys):
    data = shared_data('ctrl_world_droid')
    words = ['detect-actions', str(data / 'droid_subset'), '--urdf',
             str(data.parent / 'urdfs/rerun_droid/franka_description/panda.urdf'),
             '--action', 'action.joint_velocity', '--episodes', '1']
    assert main([*words, '--robot', 'panda_2f85']) == 0
    assert 'velocity' in capsys.readouterr().out
    assert main(words) == 2
    assert '--robot PRESET' in capsys.readouterr().err
