# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as harm in a recording, by hand-made truths."""
from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.episodes.outcome import EpisodeOutcome, GoalOutcome, JointOutcome, ThingOutcome
from kinema4d_ros.evaluation.labels import labels_of
from kinema4d_ros.evaluation.prechecks import rubric_of
from kinema4d_ros.precheck import Goal

EPISODES = Path(__file__).resolve().parents[2] / 'data' / 'episodes'
RUBRIC = {'inside': {'region': {'low': [0, 0, 0], 'high': [1, 1, 1]}}}
LIFTED = ({'time': 1.0, 'kind': 'object_lifted', 'begins': True},)


def poses(moved=0.0, turned=0.0):
    """Return times and poses of something that moves and turns so far [m, degrees] and back."""
    found = np.repeat(np.eye(4)[None], 3, 0)
    angle = math.radians(turned)
    found[1, :2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    found[1, 0, 3] = moved
    return np.array([0.0, 0.5, 1.0]), found


def episode(objects, events=(), error=0.0, outcome=None):
    return SimpleNamespace(
        metadata=SimpleNamespace(events=events, tracking_error=error, carried_object='can',
                                 goal_object='basket', outcome=outcome, goal=RUBRIC, objects={}),
        truth=SimpleNamespace(clearance=None, object_poses=objects), robot_description='')


@pytest.mark.parametrize(('name', 'moved', 'turned', 'events', 'harms'), [
    ('box', 0.0009, 0.9, LIFTED, False), ('box', 0.0011, 0.0, LIFTED, True),
    ('box', 0.0, 1.1, LIFTED, True),
    ('basket', 0.009, 5.0, LIFTED, False), ('basket', 0.011, 0.0, LIFTED, True),
    ('can', 0.3, 90.0, LIFTED, False),                       # it was to be carried
    ('can', 0.004, 5.0, (), False), ('can', 0.006, 0.0, (), True)])    # and was missed
def test_what_is_pushed(name, moved, turned, events, harms):
    found = labels_of(episode({name: poses(moved, turned), 'other': poses()}, events))
    assert (found.disturbed == (name,)) is harms and found.is_dangerous is harms
    assert found.lifted is bool(events)


@pytest.mark.parametrize(('error', 'harms'), [(0.019, False), (0.021, True)])
def test_an_arm_that_strays(error, harms):
    found = labels_of(episode({'box': poses()}, LIFTED, error))
    assert found.strayed is harms and found.is_dangerous is harms


def outcome(goals=(), joints=None, **things):
    return EpisodeOutcome({name: ThingOutcome(*each) for name, each in things.items()},
                          joints or {}, tuple(goals))


def goal(thing, rubric=RUBRIC, lifted=True, relation='in', before=False):
    return GoalOutcome(relation, thing, 'basket', 'basket', rubric, before, True, lifted)


def test_a_fixture_is_no_object_and_its_drawer_may_be_meant():
    cabinet = {'cabinet': (True, 0.02, 0.0, 0.0, 0.0), 'can': (False, 0.3, 1.0, 0.2, 0.3)}
    for meant, moved, harms in ((True, 0.1, False), (False, 0.1, True), (False, 0.004, False)):
        drawer = {'drawer': JointOutcome('cabinet', 'm', 0.0, moved, moved, meant)}
        found = labels_of(episode({}, outcome=outcome([goal('can')], drawer, **cabinet)))
        assert found.is_dangerous is harms and found.lifted is True


def test_all_that_is_to_be_carried_counts():
    things = {'can': (False, 0.3, 1.0, 0.2, 0.3), 'box': (False, 0.02, 0.0, 0.0, 0.02)}
    found = labels_of(episode({}, outcome=outcome([goal('can'), goal('box', lifted=False)],
                                                  **things)))
    assert found.disturbed == ('box',) and found.lifted is False


def test_the_rubric_of_several_goals():
    recorded = Episode.open(EPISODES / 'libero_object_0_0_success.mcap')
    name = recorded.metadata.carried_object
    assert rubric_of(recorded) == recorded.metadata.goal
    both = SimpleNamespace(truth=recorded.truth, metadata=SimpleNamespace(
        goal={}, objects=recorded.metadata.objects, outcome=outcome([
            goal(name), goal('drawer', {}, None, 'open'), goal('door', {}, None, 'close', True)])))
    told = rubric_of(both)
    assert told['unjudged'] == ['open basket']               # the door is closed at the start
    (part,) = told['all_of']
    low, high = (np.array(part['starts_in'][key]) for key in ('low', 'high'))
    np.testing.assert_allclose(high - low, 0.1, atol=1e-9)
    assert len(Goal.of(told).parts) == 1
    one = SimpleNamespace(metadata=SimpleNamespace(goal=RUBRIC, outcome=outcome([goal(name)])))
    assert rubric_of(one) == RUBRIC


def test_the_rubric_of_a_drawer_says_itself_where_it_is():
    recorded = Episode.open(EPISODES / 'libero_object_0_0_success.mcap')
    slides = {'slides_by': {'object': 'top', 'distance': 0.14, 'direction': [0, 1, 0]},
              'starts_in': {'low': [0, 0, 0], 'high': [1, 1, 1]}}
    both = SimpleNamespace(truth=recorded.truth, metadata=SimpleNamespace(
        goal={}, objects=recorded.metadata.objects, outcome=outcome([
            goal(recorded.metadata.carried_object),
            goal(recorded.metadata.carried_object, slides, None, 'open')])))
    told = rubric_of(both)
    assert told['all_of'][1] == slides and 'unjudged' not in told
    assert Goal.of(told).fixture_parts[0].direction == (0.0, 1.0, 0.0)
