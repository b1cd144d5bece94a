# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks of the demo arm, and a checker of them with a judge and a clock of the test's own."""
import numpy as np
from robots import ROOT

from kinema4d_ros import ActionFormat, ActionReader, Robot
from kinema4d_ros.policy.chunk_check import ChunkChecker
from kinema4d_ros.policy.chunk_guard import ChunkGuard
from kinema4d_ros.policy.chunk_settings import ChunkSettings
from kinema4d_ros.precheck import decide
from kinema4d_ros.types import Finding, FindingCode, Severity, Status

ROBOT = Robot.from_urdf((ROOT / 'urdf' / 'demo_arm.urdf').read_text())
NAMES = ROBOT.joint_names
ARM = tuple(name for name in NAMES if 'finger' not in name)
FINGERS = tuple(name for name in NAMES if 'finger' in name)
READY = dict(zip(NAMES, (0.0, 0.35, 1.75, 0.0, 1.04, 0.0, 0.02, 0.02)))
RATE = 10.0
FORM = ActionFormat(RATE, ARM)
HERE = np.array([READY[name] for name in ARM])


def verdict(status, clearance=None):
    severity = {Status.PASS: Severity.INFO, Status.FAIL: Severity.FAIL,
                Status.UNSURE: Severity.UNSURE}[status]
    return decide({0: [Finding(FindingCode.CONTACT, severity, status.name.lower())]},
                  required=(0,), min_clearance=clearance)


class FakeJudge:
    """Gives the verdicts that it is made with, one after the other; keeps what it is asked."""

    def __init__(self, *statuses):
        self.statuses, self.asked = list(statuses), []

    def __call__(self, paths, joints):
        self.asked.append((list(paths), dict(joints)))
        given = [self.statuses.pop(0) if self.statuses else Status.PASS for _ in paths]
        return [one if not isinstance(one, Status) else verdict(one) for one in given]


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time

    def wait(self, seconds):
        self.time += seconds


def checker(judge, form=FORM, clock=None, live=None, executed=0, **settings):
    clock = clock or Clock()
    return ChunkChecker(ActionReader(ROBOT, form), ChunkGuard(
        ROBOT, judge, ChunkSettings(**{'verdict_time': 0.0} | settings), clock=clock,
        live=live, wait=clock.wait), executed)


def chunk(step=0.01, count=5, start=HERE):
    return start + step * np.arange(1, count + 1)[:, None]
