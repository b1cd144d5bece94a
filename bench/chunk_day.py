# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A day of chunks: 100,000 of them, about one a second, through the codec and the check's bookkeeping.

Each is packed and unpacked as on the wire, read as a motion, spliced with the one before it, given
a verdict (made up: one in a hundred is a FAIL) and answered or held. Memory must not grow from the
first tenth on.
"""
from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from kinema4d_ros.policy import ActionFormat, ActionReader
from kinema4d_ros.policy.chunk_check import ChunkChecker
from kinema4d_ros.policy.chunk_guard import ChunkGuard
from kinema4d_ros.policy.chunk_settings import ChunkSettings
from kinema4d_ros.policy.wire import ObservationKeys, pack, StateKey, Translator, unpack
from kinema4d_ros.precheck import decide
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Finding, FindingCode, Severity

URDF = Path(__file__).resolve().parents[1] / 'urdf' / 'demo_arm.urdf'
CHUNKS = 100_000
MOST_GROWTH = 4.0       # [MB]


def measure(repeats: int) -> list[dict]:
    """Return the row of a day; once, whatever `repeats` says."""
    return [run(CHUNKS)]


def run(chunks: int) -> dict:
    """Return the row of so many chunks."""
    robot = Robot.from_urdf(URDF.read_text())
    here = dict(zip(robot.joint_names, (0.0, 0.35, 1.75, 0.0, 1.04, 0.0, 0.02, 0.02)))
    clock, asked, held = [0.0], [0], 0

    def judge(paths, joints):
        asked[0] += len(paths)
        fails = [Finding(FindingCode.CONTACT, Severity.FAIL, 'made up')] if asked[0] % 100 == 0 \
            else []
        return [decide({0: fails}, required=(0,)) for _ in paths]

    guard = ChunkGuard(robot, judge, ChunkSettings(execution='overlapping', blend=0.1,
                                               verdict_time=0.0),
                       live=lambda: here, clock=lambda: clock[0])
    checker = ChunkChecker(ActionReader(robot, ActionFormat(15.0, robot.joint_names)), guard)
    translator = Translator(ObservationKeys(states=(StateKey(('state',), robot.joint_names),)))
    start = np.array(list(here.values()))
    began, early = time.perf_counter(), 0.0
    for number in range(chunks):
        if number == chunks // 10:
            early = resident()
        sent = start + 1e-4 * (number % 7) * np.arange(1, 16)[:, None]
        answer = unpack(pack({'actions': sent.astype(np.float32), 'server_timing': {}}))
        checked = checker.check(translator.numbers(answer), here, asked=clock[0] - 0.1)
        held += checked.held
        unpack(pack({'actions': checked.actions, 'kinema4d/verdict': checked.told('enforce')}))
        clock[0] += 0.8
    grown = resident() - early
    return {'case': f'{chunks} chunks of 15 actions', 'seconds': time.perf_counter() - began,
            'held': held, 'resident_MB': resident(), 'grown_MB': grown,
            'good': grown <= MOST_GROWTH and held == chunks // 100}


def resident() -> float:
    """Return the memory of this process [MB]."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6
