# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which camera is heard where cameras contradict each other."""
from types import SimpleNamespace

import numpy as np

from kinema4d_ros.precheck.tier1.camera_pairs import judge_pairs


def pair(one, other, agrees):
    found = SimpleNamespace(offset=0.03, sigma=0.001, middle_base=np.zeros(3), loosest=0.005)
    return SimpleNamespace(one=one, other=other, agrees=agrees, found=found, limit=0.01,
                           sentence=f'{one} and {other}')


OUTVOTED = [pair('a', 'b', False), pair('a', 'c', False), pair('b', 'c', True)]


def test_a_camera_that_is_left_out_or_disputed_vouches_for_nobody():
    by_robot = {'a': True, 'b': True, 'c': True, 'd': False}
    judged = judge_pairs([*OUTVOTED, pair('a', 'd', True)], by_robot)
    assert set(judged.left_out) == {'a'} and not judged.vouched
    two = {'a': True, 'b': True, 'd': False, 'e': False}
    judged = judge_pairs([pair('a', 'b', False), pair('a', 'd', True), pair('b', 'e', True)], two)
    assert set(judged.disputed) == {'a', 'b'} and not judged.vouched


def test_another_camera_that_is_sound_vouches_instead():
    by_robot = {'a': True, 'b': True, 'c': True, 'd': False}
    judged = judge_pairs([*OUTVOTED, pair('a', 'd', True), pair('c', 'd', True)], by_robot)
    assert set(judged.left_out) == {'a'} and judged.vouched == {'d': 'c'}


def test_cameras_that_nobody_vouches_for_do_not_outvote_one_that_is_believed():
    nobody = dict.fromkeys('abc', False)
    judged = judge_pairs(OUTVOTED, nobody, {**nobody, 'a': True})
    assert set(judged.left_out) == {'b', 'c'}
    judged = judge_pairs(OUTVOTED, nobody, dict.fromkeys('abc', True))
    assert set(judged.left_out) == {'a'}       # all are believed: the majority is
