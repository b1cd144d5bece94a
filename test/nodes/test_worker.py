# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker process by itself: the model that it makes, and what it does not import."""
import subprocess
import sys

import pytest

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.worker.main import make_model
from kinema4d_ros.worker.protocol import WorkerSettings


@pytest.mark.parametrize('name, words', [
    ('stub_models:Missing', 'cannot be imported'), ('no_such_module:X', 'cannot be imported'),
    ('nothing', 'unknown world model')])
def test_an_unknown_model_is_named(name, words):
    with pytest.raises(WorldModelError, match=words):
        make_model(WorkerSettings(name))


@pytest.mark.parametrize('given, words', [
    ({'unused': 'much'}, "must be a float, got 'much'"),
    ({'unused': True}, 'must be a float, got True'),
    ({'words': ('a',)}, "must be a str, got .'a'")])
def test_settings_of_a_model_keep_their_types(given, words):
    with pytest.raises(WorldModelError, match=words):
        make_model(WorkerSettings('stub_models:Scripted', given))
    good = {'unused': 3, 'words': 'a=b'}
    assert make_model(WorkerSettings('stub_models:Scripted', good)).setting == {
        'unused': 3.0, 'words': 'a=b', 'slow_start': False}


def test_the_worker_knows_no_ros():
    code = ('import sys, kinema4d_ros.worker.main; '
            'sys.exit([name for name in sys.modules if "rclpy" in name or "_msgs" in name] or 0)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
