# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d train` where something is wrong, or stops."""
from __future__ import annotations

import os
import signal
import sys

import pytest
from lacking import needs

from kinema4d_ros.cli import train
from kinema4d_ros.cli.main import main

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


def test_what_is_wrong_is_said_before_anything_is_loaded(command, clips, capsys):
    assert command(clips, '--steps', 0) == 2
    assert 'steps must be 1 or more, got 0' in capsys.readouterr().err
    assert command(clips, '--normaliser', 'fixed') == 2
    assert "normaliser 'fixed' cannot be trained with" in capsys.readouterr().err
    assert command('nowhere') == 2
    assert 'no such episode' in capsys.readouterr().err


def test_tensorboard_that_is_not_installed_is_told(command, clips, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    assert command(clips, '--steps', 1, '--tensorboard') == 2
    assert 'pip install tensorboard' in capsys.readouterr().err
