# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The script that compares verdicts with another commit sees every bit, in both of their forms."""
import dataclasses
import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts' / 'compare_verdicts.py'
spec = importlib.util.spec_from_file_location('compare_verdicts', SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


@dataclasses.dataclass
class ParallelTuples:
    """A verdict with its clearance as 0.1 has it."""

    status: str = 'PASS'
    latencies: tuple = (1.0,)
    clearance_times: tuple = (0.5, 1.0)
    clearances: tuple = (0.1, 0.2)
    clearance_sigmas: tuple = (0.01, 0.02)
    clearance_links: tuple = ('a', 'b')
    clearance_points_base: tuple = ((0, 0, 1), (0, 0, 2))
    clearance_robot_points_base: tuple = ((0, 1, 0), (0, 2, 0))


@dataclasses.dataclass
class Samples:
    """The same with samples."""

    status: str = 'PASS'
    clearances: tuple = (
        SimpleNamespace(time=0.5, distance=0.1, sigma=0.01, link='a', point_base=(0, 0, 1),
                        robot_point_base=(0, 1, 0)),
        SimpleNamespace(time=1.0, distance=0.2, sigma=0.02, link='b', point_base=(0, 0, 2),
                        robot_point_base=(0, 2, 0)))


def compared(old, new):
    return list(script.differences({'x': script.plain_verdict(old)},
                                   {'x': script.plain_verdict(new)}))


def test_both_forms_of_a_clearance_are_the_same():
    assert compared(ParallelTuples(), Samples()) == []
    assert compared(ParallelTuples(latencies=(2.0,)), ParallelTuples()) == []


@pytest.mark.parametrize('changed, where', [
    ({'clearances': (0.1, np.nextafter(0.2, 1))}, r'clearance\[1\].distance'),
    ({'status': 'FAIL'}, 'status'), ({'clearance_links': ('a', 'c')}, r'clearance\[1\].link')])
def test_the_last_bit_counts(changed, where):
    (line,) = compared(ParallelTuples(**changed), Samples())
    assert re.search(f'x: {where}: ', line)


def test_a_field_that_a_verdict_must_have_is_missed():
    lines = list(script.differences({'x': {'status': 'PASS', 'other': 1}}, {'x': {'more': 2}}))
    assert lines == ['x: status: only in one tree']


def test_arrays_are_compared_by_every_byte():
    one = np.zeros((5, 5), np.float32)
    other = one.copy()
    other[4, 4] = -0.0
    assert script.plain(one) == script.plain(one.copy()) != script.plain(other)
    assert script.plain(np.float32(0.5)) == script.plain(0.5)
