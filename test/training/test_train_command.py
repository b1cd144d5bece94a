# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d train` where something is wrong, or stops."""
from __future__ import annotations

import importlib.util
import os
import signal
import struct
import sys

import pytest
from lacking import needs

from kinema4d_ros.cli import train
from kinema4d_ros.cli.main import main
from kinema4d_ros.training.log import read_log

pytestmark = needs('torch')


@pytest.fixture
def command(start, tmp_path, conditions):
    """Return the command as a function of its arguments; it returns the exit status."""
    return lambda *words: main([
        'train', *map(str, words), '--base', str(start[0]), '--weights', str(start[1]), '--out',
        str(tmp_path / 'out'), '--conditions', str(conditions), '--device', 'cpu',
        '--mixed-precision', 'no', '--validate-every', '0', '--batch', '2'])


def test_ctrl_c_saves_and_says_that_it_was_stopped(command, clips, tmp_path, monkeypatch, capsys):
    def interrupt(step, values):
        if step == 1:                # a second one would end it at once
            os.kill(os.getpid(), signal.SIGINT)

    # one that started us in the background may have had it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(train, 'show_step', interrupt)
    assert command(clips, '--steps', 50) == 130
    assert (tmp_path / 'out/checkpoints/step-000002/training.json').is_file()
    assert 'stopped' in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    assert command(clips, '--steps', 3, '--resume') == 0
    assert 'from step 2' in capsys.readouterr().out


def test_recordings_of_which_none_can_be_used_are_all_named(command, capsys):
    assert command('libero_object_1_0_success_eye_in_hand') == 2
    told = capsys.readouterr().err
    assert 'no clip for training in 1 episodes' in told and 'the camera moves' in told
    assert command('libero_object_1_0_success_eye_in_hand',
                   'libero_object_1_0_success_eye_in_hand') == 2
    assert 'twice: libero_object_1_0_success_eye_in_hand' in capsys.readouterr().err


def test_folders_of_mesh_packages_reach_the_robot_that_is_loaded(command, tmp_path, capsys):
    """An empty one is refused where meshes are looked for, and nowhere before."""
    words = ['libero_object_0_0_success', '--prepare-only', '--package-path', tmp_path]
    assert command(*words, '--package-path', '') == 2
    assert 'package_paths' in (told := capsys.readouterr().err) and 'an empty path' in told


def test_what_is_wrong_is_said_before_anything_is_loaded(command, clips, capsys):
    assert command(clips, '--steps', 0) == 2
    assert 'steps must be 1 or more, got 0' in capsys.readouterr().err
    assert command(clips, '--normaliser', 'fixed') == 2
    assert "normaliser 'fixed' cannot be trained with" in capsys.readouterr().err
    assert command('nowhere') == 2
    assert 'no such episode' in capsys.readouterr().err


def test_tensorboard_that_is_not_installed_is_told(command, clips, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'tensorboardX', None)
    assert command(clips, '--steps', 1, '--tensorboard') == 2
    assert 'tensorboardX' in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec('tensorboardX') is None,
                    reason='tensorboardX is not installed: pip install tensorboardX')
def test_what_tensorboard_is_given_can_be_read_back(command, clips, tmp_path):
    """Tag, step and value of each number, from the file itself; a run that goes on goes on."""
    from tensorboardX.proto.event_pb2 import Event

    assert command(clips, '--steps', 2, '--save-every', 2, '--tensorboard') == 0
    assert command(clips, '--steps', 2, '--save-every', 2, '--tensorboard', '--resume') == 0
    found = {}
    for path in sorted((tmp_path / 'out' / 'tensorboard').iterdir()):
        data = path.read_bytes()
        while data:                   # records of TensorFlow: length, its check, content, its check
            length, = struct.unpack_from('<Q', data)
            event = Event.FromString(data[12:12 + length])
            data = data[16 + length:]
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    lines = read_log(tmp_path / 'out' / 'log.jsonl')
    assert found['loss'] == pytest.approx({line['step']: line['loss'] for line in lines})
    assert set(found['loss']) == {0, 1}
    assert set(found) >= {'loss', 'learning_rate', 'gradient_norm', 'seconds'}


def test_what_the_launcher_asks_for_and_does_not_get_is_told(command, clips, tmp_path, monkeypatch,
                                                             capsys):
    """One process shares nothing; its weights are whole, and so is what is saved."""
    monkeypatch.setenv('ACCELERATE_USE_FSDP', 'true')
    assert command(clips, '--steps', 2, '--save-every', 1) == 0
    assert 'FSDP is asked for, but there is one process' in capsys.readouterr().out
    assert (tmp_path / 'out/checkpoints/step-000002/added_weights.safetensors').is_file()


def test_deepspeed_that_is_not_installed_is_told(command, clips, monkeypatch, capsys):
    monkeypatch.setenv('ACCELERATE_USE_DEEPSPEED', 'true')
    monkeypatch.setattr('accelerate.accelerator.is_deepspeed_available', lambda: False)
    assert command(clips, '--steps', 1) == 2
    assert 'the launcher asks for what is not installed' in capsys.readouterr().err


def test_weights_are_whole_where_the_environment_alone_asks_for_deepspeed(monkeypatch):
    """As with --device cpu, where accelerate leaves it out: DeepSpeed would know none of it."""
    import torch

    from kinema4d_ros.training.sharding import whole
    monkeypatch.setenv('ACCELERATE_USE_DEEPSPEED', 'true')
    given = torch.nn.Parameter(torch.ones(3))
    for kind in 'NO', 'MULTI_CPU':
        assert torch.equal(whole(given, kind), given.detach())
