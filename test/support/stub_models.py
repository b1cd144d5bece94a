# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""World models that misbehave on request; loaded into the worker as ``stub_models:Scripted``."""
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.errors import PredictionCancelled, WorldModelError
from kinema4d_ros.types import PredictedFrame, silent
from kinema4d_ros.world_model.base import WorldModel

# seeds that make Scripted misbehave at frame AT
(GOOD, STUCK, UNRESPONSIVE, RAISE, DIE, CRASH, GARBAGE, SHOW, HUNGRY, HUNGRY_DEVICE,
 GHOST) = range(11)
STOPS = -1
AT = 2


class OutOfMemoryError(RuntimeError):
    """As a library for a device has it."""


class Scripted(WorldModel):
    """The seed says what goes wrong at frame AT; the image tells the frame's index."""

    name = 'scripted'
    follows_actions = True
    settings = {'unused': (1.0, 'nothing [m], any'), 'words': ('', 'nothing'),
                'slow_start': (False, 'never get ready')}
    fingerprint = '5eed'

    def __init__(self, **values):
        """Take the settings."""
        super().__init__(**values)
        if self.setting['slow_start']:
            print('loading for ever', flush=True)
            signal.pause()

    def predict(self, observation, robot, *, seed=0, report=silent):
        """Yield frames of one colour until the script says otherwise."""
        for index in range(len(robot.times)):
            report('predict', index, len(robot.times))
            if index == AT:
                self._misbehave(seed, report)
            image, points = np.full_like(observation.view.image, index), robot.pointmap[index]
            if seed == SHOW:                         # what was observed, to see what arrived
                image, points = observation.view.image, np.full_like(points, np.nan)
                if observation.view.depth is not None:
                    points = pointmap_from_depth(observation.view.depth, observation.view.camera)
            if seed >= GHOST:                        # a part of the wall comes closer by itself
                points = pointmap_from_depth(observation.view.depth, observation.view.camera)
                points[:20, :20] *= 1.0 - 0.1 * (seed - GHOST + 1) * (index >= AT)
                points = np.where(np.isfinite(robot.pointmap[index]), robot.pointmap[index],
                                  points)
            told = {}
            if seed == SHOW:
                told = {'pointmap_sigma': np.full(points.shape[:2], 0.25, np.float32),
                        'action_following': 0.125}
            yield PredictedFrame(index, len(robot.times), float(robot.times[index]), image,
                                 points, robot.link_id[index] >= 0, **told)

    def _misbehave(self, seed, report):
        match seed:
            case 1:                                  # STUCK, but listens
                while True:
                    report('stuck', 0, 0)
                    time.sleep(0.005)
            case 2:                                  # UNRESPONSIVE: only killing helps
                signal.pause()
            case 3:
                raise WorldModelError('nothing can be predicted from this')
            case 4:
                os.kill(os.getpid(), signal.SIGKILL)
            case 5:
                raise RuntimeError('a bug')
            case 6:                                  # as a library that writes to any descriptor
                Connection(int(sys.argv[1])).send_bytes(b'nonsense')
                signal.pause()
            case 8:
                raise MemoryError('nothing left')
            case 9:
                raise OutOfMemoryError('CUDA out of memory')
            case -1:                                 # STOPS, though nobody asked
                raise PredictionCancelled('enough')


class Unbuildable(WorldModel):
    """Cannot be built."""

    name = 'unbuildable'

    def __init__(self):
        """Refuse."""
        raise WorldModelError('weights are missing')

    def predict(self, observation, robot, *, seed=0, report=silent):
        """Never called."""
        yield


class Broken(Unbuildable):
    """Cannot be built for a reason that nobody thought of."""

    name = 'broken'

    def __init__(self):
        """Fail."""
        raise ZeroDivisionError('a bug')


class Starting(Scripted):
    """Starts a program that outlives it, and appends its number to the file `words`."""

    def __init__(self, **values):
        """Take the settings, and start it."""
        super().__init__(**values)
        program = subprocess.Popen(['sleep', '100'])
        with open(self.setting['words'], 'a') as file:
            file.write(f'{program.pid}\n')


class Waiting(Scripted):
    """Is ready once the file `words` is there."""

    def __init__(self, **values):
        """Take the settings, and wait."""
        super().__init__(**values)
        while not Path(self.setting['words']).exists():
            time.sleep(0.02)
