# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The LIBERO simulator itself, which is optional."""
from __future__ import annotations

import contextlib
import io
import os

from kinema4d_ros.errors import EpisodeError

os.environ.setdefault('MUJOCO_GL', 'egl')

try:
    with contextlib.redirect_stdout(io.StringIO()):
        import mujoco
        from libero.libero import benchmark
        from libero.libero.envs.env_wrapper import ControlEnv
except ImportError as error:
    raise EpisodeError(
        f'the LIBERO simulator is not installed ({error}); it is optional: make a separate '
        'virtual environment, as data/README.md says, and run '
        '`pip install -r requirements/sim.txt` in it') from error

__all__ = ['ControlEnv', 'benchmark', 'mujoco']
