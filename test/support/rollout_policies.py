# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies and a world for runs in other processes, and what becomes of such processes."""
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from kinema4d_ros.policy import PolicyObservation, TaskOutcome
from kinema4d_ros.policy.closed_loop.recorded import StillPolicy


class KillsItsProcess(StillPolicy):
    """Kills the process that it is in, unless that has happened often enough."""

    def __init__(self, robot, folder, times):
        super().__init__(robot)
        self.folder, self.times = folder, times

    def act(self, observation):
        for number in range(self.times):
            try:
                os.close(os.open(f'{self.folder}/{number}', os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return super().act(observation)


def killing(context, folder, times='1'):
    return KillsItsProcess(context.robot, folder, int(times))


class Hangs(StillPolicy):
    """Starts a process, and then answers never."""

    def __init__(self, robot, folder):
        super().__init__(robot)
        self.folder = folder

    def act(self, observation):
        started = subprocess.Popen(['sleep', '1000'])
        Path(self.folder, 'started').write_text(str(started.pid))
        print('it hangs', file=sys.stderr, flush=True)
        threading.Event().wait()


def hanging(context, folder):
    return Hangs(context.robot, folder)


def tuned(context, file):
    return StillPolicy(context.robot)


def broken(context):
    raise RuntimeError('the weights are not there')


class StillWorld:
    """A world in which nothing happens and everything is known."""

    def __init__(self, context, succeeds='yes'):
        self.robot, self.succeeds = context.robot, succeeds == 'yes'
        self.first = context.episode.observation()

    def reset(self):
        joints = {name: self.first.joint_positions[name] for name in self.robot.joint_names}
        return PolicyObservation('do nothing', {}, joints)

    def execute(self, trajectory):
        return self.reset()

    def is_solved(self):
        return False

    def outcome(self):
        return TaskOutcome(self.succeeds, float(self.succeeds))


def still_world(context, **options):
    return StillWorld(context, **options)
