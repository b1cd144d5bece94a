# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The record of a run: JSON and back, whatever its numbers."""
import json
import math

import pytest

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy import TaskOutcome
from kinema4d_ros.policy.closed_loop import RolloutRecord, RunEnd

RECORD = RolloutRecord(
    'expert', 'libero_object/0', 'libero_object_0_0', 3, 'predicted:kinematic',
    TaskOutcome(True, 0.84, 'the goal is likely met', 0.004, 0.0, True), RunEnd.SOLVED,
    world_version='kinematic', chunks=13, actions=104, duration=5.2,
    unseen={'wrist': 0.15}, drift=4.8, wall_seconds=2.0)


def test_a_record_comes_back_from_its_line():
    line = RECORD.to_json()
    assert '\n' not in line
    assert RolloutRecord.from_json(line) == RECORD


@pytest.mark.parametrize('clearance', [math.inf, -math.inf, math.nan])
def test_numbers_that_are_not_finite_are_json_that_every_reader_knows(clearance):
    record = RolloutRecord('a', 't', 's', 0, 'w', TaskOutcome(None, min_clearance=clearance),
                           RunEnd.UNSURE)
    line = record.to_json()
    json.loads(line, parse_constant=lambda word: pytest.fail(f'{word} is no JSON'))
    back = RolloutRecord.from_json(line)
    assert math.isnan(back.outcome.probability) and back.success is None
    assert back.outcome.min_clearance == pytest.approx(clearance, nan_ok=True)


@pytest.mark.parametrize('text, said', [
    ('{"form', 'not JSON'), ('[]', 'format 1'), ('{"format": 2}', 'another version'),
    ('{"format": 1, "policy": "a"}', 'missing'),
    (RECORD.to_json().replace('"seed": 3', '"seed": "3"'), 'seed'),
    (RECORD.to_json().replace('"ended": "solved"', '"ended": "won"'), 'solved')])
def test_what_is_no_record_is_refused_with_where_and_why(text, said):
    with pytest.raises(PolicyError, match=said) as refused:
        RolloutRecord.from_json(text, 'runs.jsonl, line 7')
    assert 'runs.jsonl, line 7' in str(refused.value)


def test_a_run_without_a_result_says_why_and_claims_nothing():
    record = RECORD.with_error('the server closed the connection')
    assert record.ended is RunEnd.ERROR and record.success is None
    assert record.outcome.reason == record.error and record.key == RECORD.key
