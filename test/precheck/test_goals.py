# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Goal rubrics: margins computed by hand, and files that are not rubrics."""
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck import Goal, MovedObject, Outcome
from kinema4d_ros.precheck.sequence import judge_goal
from kinema4d_ros.types import EventKind, Severity, WorldEvent

ROOT = Path(__file__).resolve().parents[2]
BOX = {'low': [0.0, 0.0, 0.0], 'high': [0.2, 0.2, 0.1]}

SLAB = {**BOX, 'high': [0.2, 0.2, 0.003]}      # as the simulator has the top of a cabinet


def ends(x=0.1, y=0.1, z=0.05, bottom=0.0, start=(0.5, 0.0, 0.05)) -> Outcome:
    """Return the outcome in which one object is moved there."""
    return Outcome(moved=(MovedObject(np.array(start), np.array([x, y, z]), bottom),))


@pytest.mark.parametrize('rubric, outcome, margin', [
    ({'inside': {'region': BOX}}, ends(0.1, 0.1, 0.05), 0.05),       # z is 5 cm from both ends
    ({'inside': {'region': BOX}}, ends(0.19, 0.1, 0.05), 0.01),
    ({'inside': {'region': BOX}}, ends(0.23, 0.1, 0.05), -0.03),
    ({'inside': {'region': BOX}}, ends(0.1, 0.1, 0.0), 0.03),       # its middle on the ground
    ({'inside': {'region': BOX}}, ends(0.1, 0.1, -0.04), -0.01),     # 4 cm below it
    ({'above': {'region': BOX}}, ends(0.1, 0.1, 0.05, bottom=0.0), 0.03),   # bottom + 3 cm
    ({'above': {'region': BOX}}, ends(0.1, 0.1, 0.05, bottom=-0.05), -0.02),
    ({'above': {'region': BOX}}, ends(0.1, 0.1, 0.16, bottom=0.1), -0.06),  # held too high
    ({'above': {'region': SLAB}}, ends(0.1, 0.1, 0.05), 0.03),       # stands on it: bottom + 3 cm
    ({'above': {'region': SLAB}}, ends(0.1, 0.1, 0.16, bottom=0.1), -0.01),   # 15 cm over it
    ({'lifted': {'height': 0.1}}, ends(z=0.17), 0.02),
    ({'lifted': {'height': 0.1}}, ends(z=0.05), -0.1),
    ({'moved_by': {'distance': 0.3}}, ends(0.1, 0.3, 0.05), 0.2),    # 3-4-5: moved by 0.5
    ({'moved_by': {'distance': 0.3, 'direction': [0, 2, 0]}}, ends(0.1, 0.35, 0.05), 0.05),
    ({'moved_by': {'distance': 0.3, 'direction': [1, 0, 0]}}, ends(0.1, 0.3, 0.05), -0.7),
    ({'inside': {'region': BOX}, 'lifted': {'height': 0.1}}, ends(z=0.09), -0.06),
    ({'inside': {'region': BOX}}, Outcome(), -0.1)])
def test_margin(rubric, outcome, margin):
    assert Goal.of(rubric).margin(outcome) == pytest.approx(margin)


def test_which_object_is_meant():
    rubric = {'lifted': {'height': 0.1}, 'starts_in': {'low': [0.4, -1, 0], 'high': [0.6, 1, 1]}}
    assert Goal.of(rubric).margin(ends(z=0.2)) == pytest.approx(0.05)
    assert Goal.of(rubric).margin(ends(z=0.2, start=(0.1, 0, 0.05))) == pytest.approx(-0.1)


def test_the_best_object_counts():
    two = Outcome(moved=ends(z=0.0).moved + ends(z=0.2).moved)
    assert Goal.of({'lifted': {'height': 0.1}}).margin(two) == pytest.approx(0.05)


def test_probability():
    goal = Goal.of({'inside': {'region': BOX}})
    assert goal.probability(ends(0.206)) == pytest.approx(0.3868, abs=1e-4)     # 6 mm beside it
    # one standard deviation (2 cm) inside: 0.02 + 0.96 x 0.8413
    assert goal.probability(ends(0.18)) == pytest.approx(0.8277, abs=1e-4)
    assert goal.probability(ends(0.18), blocked=True) == 0.2
    assert goal.probability(Outcome()) < 0.03
    assert goal.probability(Outcome(is_known=False)) is None     # nobody knows
    unseen = WorldEvent(EventKind.UNSEEN_SPACE, 1.0, None, 'who knows')
    assert goal.probability(Outcome((unseen,))) is None
    assert goal.probability(Outcome((unseen,)), blocked=True) <= 0.2


@pytest.mark.parametrize('x, words', [(0.197, 'met by 3 mm'), (0.204, 'missed by 4 mm')])
def test_what_ends_on_an_edge_foresees_nothing_and_forbids_nothing(x, words):
    goal = Goal.of({'inside': {'region': BOX}})
    assert goal.is_even(ends(x)) and goal.why_unknown(ends(x)) is None
    probability, finding = judge_goal(goal, ends(x), ())
    assert probability is None and finding.severity is Severity.INFO and words in finding.message
    assert goal.probability(ends(x), blocked=True) <= 0.2
    assert not goal.is_even(ends(0.19)) and not goal.is_even(ends(0.21))


def both(*more, **rubric):
    """Return a goal for two objects that start at x = 0.5 and 0.7."""
    parts = [{'inside': {'region': BOX}, 'starts_in': {'low': [x - 0.05, -1, 0],
                                                       'high': [x + 0.05, 1, 1]}}
             for x in (0.5, 0.7)]
    return Goal.of({'all_of': [*parts, *more], **rubric})


def test_all_of_several_goals_must_be_reached():
    there, too = ends().moved, ends(x=0.1, start=(0.7, 0, 0.05)).moved
    away = ends(x=0.9, start=(0.7, 0, 0.05)).moved
    assert both().margin(Outcome(moved=there + too)) == pytest.approx(0.05)
    assert both().probability(Outcome(moved=there + too)) > 0.95
    assert both().probability(Outcome(moved=there)) < 0.05
    assert both().probability(Outcome(moved=there + away)) < 0.05


def test_what_cannot_be_judged_is_not_known_unless_something_else_is_missed():
    there = Outcome(moved=ends().moved + ends(start=(0.7, 0, 0.05)).moved)
    opens = both(unjudged=['open the drawer'])
    assert opens.probability(there) is None and opens.why_unknown(there) is None
    assert opens.probability(there, blocked=True) is None
    _, finding = judge_goal(opens, there, ())
    assert finding.severity is Severity.INFO and 'open the drawer' in finding.message
    assert 'drawer' not in judge_goal(opens, Outcome(is_known=False), ())[1].message
    assert opens.probability(Outcome()) < 0.05 and opens.why_unknown(Outcome()) is None
    assert opens.is_missed(Outcome()) and not opens.is_missed(there)
    alone = Goal.of({'unjudged': ['turn on the stove']})
    assert alone.probability(there) is None and alone.probability(Outcome()) is None
    inside = Goal.of({'inside': {'region': BOX}, 'unjudged': ['close the door']})
    assert inside.probability(ends(0.9)) < 0.05 and inside.probability(ends()) is None


DRAWER = {'low': [0.5, 0.0, 0.0], 'high': [0.7, 0.2, 0.1]}


def part(way=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0), doubt='') -> Outcome:
    """Return the outcome in which a drawer or a knob moves."""
    start = np.array([0.6, 0.1, 0.05])
    return Outcome(moved=(MovedObject(start, start + way, 0.0, '', doubt, True,
                                      np.array(turn)),))


@pytest.mark.parametrize('rule, outcome, margin', [
    ({'slides_by': {'distance': 0.14, 'direction': [0, 2, 0]}}, part((0.1, 0.15, 0)), 0.01),
    ({'slides_by': {'distance': 0.14, 'direction': [0, -1, 0]}}, part((0, 0.15, 0)), -0.29),
    ({'slides_by': {'distance': 0.3}}, part((0.3, 0.4, 0)), 0.2),
    ({'turns_by': {'angle': 0.5, 'axis': [0, 0, -1]}}, part(turn=(0, 0, -1.1)), 0.018),
    ({'turns_by': {'angle': 0.5}}, part(turn=(0, 0, -1.1)), 0.018),      # 0.6 rad at 3 cm
    ({'turns_by': {'angle': 0.5, 'axis': [0, 0, 1]}}, part(turn=(0, 0, -1.1)), -0.048),
    ({'slides_by': {'distance': 0.1}}, Outcome(), -0.1),
    ({'slides_by': {'distance': 0.1}}, ends(start=(0.6, 0.1, 0.05)), -0.1)])   # no part, a thing
def test_margin_of_a_part(rule, outcome, margin):
    goal = Goal.of({**rule, 'starts_in': DRAWER})
    assert goal.margin(outcome) == pytest.approx(margin)


def test_how_far_a_part_goes_is_known_better_than_where_a_thing_ends():
    goal = Goal.of({'slides_by': {'distance': 0.14}, 'starts_in': DRAWER})
    # one standard deviation (6 mm) farther: 0.02 + 0.96 x 0.8413
    assert goal.probability(part((0, 0.146, 0))) == pytest.approx(0.8277, abs=1e-4)
    assert goal.probability(part((0, 0.12, 0))) < 0.03
    assert goal.probability(part((0, 0.16, 0), doubt='nobody saw it')) is None
    # of two goals the one that is less sure decides, and not the one with fewer millimetres
    two = Goal.of({'all_of': [{'slides_by': {'distance': 0.14}, 'starts_in': DRAWER},
                              {'inside': {'region': BOX}}]})
    both_met = Outcome(moved=part((0, 0.152, 0)).moved + ends(x=0.18).moved)
    assert two.probability(both_met) == pytest.approx(0.8277, abs=1e-4)
    assert two.margin(both_met) == pytest.approx(0.02)


def test_a_region_goes_where_its_drawer_goes():
    inside = Goal.of({'inside': {'region': BOX, 'moves_with': DRAWER}})
    assert inside.margin(ends(x=0.1)) == pytest.approx(0.05)
    opened = part((0.3, 0, 0)).moved
    assert inside.margin(Outcome(moved=opened + ends(x=0.1).moved)) == pytest.approx(-0.2)
    assert inside.margin(Outcome(moved=opened + ends(x=0.4).moved)) == pytest.approx(0.05)
    assert inside.margin(Outcome(moved=opened)) == pytest.approx(-0.1)    # the drawer is no thing


def test_the_parts_that_a_goal_is_about():
    slides = {'slides_by': {'distance': 0.1, 'direction': [0, 3, 0]}, 'starts_in': DRAWER}
    inside = {'inside': {'region': BOX, 'moves_with': DRAWER}}
    (found,) = Goal.of({'all_of': [inside, slides]}).fixture_parts      # one drawer, stated best
    assert found.low == (0.5, 0.0, 0.0) and found.direction == (0.0, 1.0, 0.0)
    (found,) = Goal.of(inside).fixture_parts
    assert found.direction is None and found.axis is None
    (found,) = Goal.of({'turns_by': {'angle': 1, 'axis': [0, 0, 2]},
                        'starts_in': DRAWER}).fixture_parts
    assert found.axis == (0.0, 0.0, 1.0) and found.direction is None
    assert Goal.of({'inside': {'region': BOX}}).fixture_parts == ()


@pytest.mark.parametrize('slides', [{'distance': 0.1, 'direction': [0, 3, 0]}, {'distance': 0.1}])
@pytest.mark.parametrize('turns', [{'angle': 1, 'axis': [0, 1, 0]}, {'angle': 1}])
def test_one_part_does_not_slide_and_turn_whether_it_is_said_how_or_not(slides, turns):
    rules = [{'slides_by': slides, 'starts_in': DRAWER}, {'turns_by': turns, 'starts_in': DRAWER}]
    for both in rules, rules[::-1]:
        with pytest.raises(ConfigurationError, match=r'slide .*and to turn .*one joint'):
            Goal.of({'all_of': [both[0], {'all_of': [both[1]]}]})
    elsewhere = {'low': [0.5, 1.0, 0.0], 'high': [0.7, 1.2, 0.2]}
    assert len(Goal.of({'all_of': [rules[0], rules[1] | {'starts_in': elsewhere}]}
                       ).fixture_parts) == 2


def test_one_part_does_not_slide_in_two_ways():
    there, back, somehow = (
        {'slides_by': {'distance': 0.1, **how}, 'starts_in': DRAWER} for how in (
            {'direction': [0, 3, 0]}, {'direction': [0, -1, 0]}, {}))
    with pytest.raises(ConfigurationError, match=r'is to slide along \[0, 1, 0\] and to slide '
                                                 r'along \[0, -1, 0\]; a part has one joint'):
        Goal.of({'all_of': [there, somehow, back]})
    assert len(Goal.of({'all_of': [somehow, there]}).fixture_parts) == 1


@given(st.floats(-1, 1), st.floats(0, 0.3))
def test_a_smaller_region_is_never_met_more(x, shrink):
    low, high = np.array(BOX['low']) - 0.3, np.array(BOX['high']) + 0.3
    small = {'low': (low + shrink).tolist(), 'high': (high - shrink).tolist()}
    large = {'low': low.tolist(), 'high': high.tolist()}
    margins = [Goal.of({'inside': {'region': box}}).margin(ends(x)) for box in (small, large)]
    assert margins[0] <= margins[1] + 1e-12


@pytest.mark.parametrize('path', sorted((ROOT / 'config' / 'rubrics').glob('*.yaml')),
                         ids=lambda path: path.stem)
def test_the_rubrics_of_the_package_load(path):
    assert Goal.load(path).rules


@pytest.mark.parametrize('rubric, words', [
    ({}, 'must map rules'), ([], 'must map rules'), ({'in': {}}, "unknown rule 'in'; there are"),
    ({'starts_in': BOX}, 'has no rule'), ({'all_of': {}}, 'must be a list of rubrics'),
    ({'all_of': [{'in': {}}]}, "all_of 0: unknown rule 'in'"),
    ({'unjudged': 'x'}, 'must be a list of texts'), ({'unjudged': [1]}, 'must be a list of texts'),
    ({'all_of': []}, 'has no rule'), ({'inside': {}}, 'inside needs region'),
    ({'inside': {'region': BOX, 'hight': 1}},
     'inside needs region and may have moves_with, object'),
    ({'inside': {'region': {'low': [0, 0, 0]}}}, 'a region needs low and high'),
    ({'inside': {'region': {**BOX, 'low': [1, 0, 0]}}}, 'low must be below high'),
    ({'inside': {'region': {**BOX, 'low': [0, 0]}}}, r'must be \[x, y, z\]'),
    ({'inside': {'region': {**BOX, 'low': [0, 0, 'a']}}}, "must be a number, got 'a'"),
    ({'lifted': {'height': float('nan')}}, 'must be a number'),
    ({'lifted': {'height': True}}, 'must be a number'),
    ({'lifted': {'height': 0}}, 'height must be more than 0'),
    ({'moved_by': {'distance': 1, 'direction': [0, 0, 0]}}, 'direction must not be zero'),
    ({'slides_by': {'distance': 0.1}}, 'slides_by needs starts_in'),
    ({'turns_by': {'angle': 1}, 'lifted': {'height': 1}, 'starts_in': BOX}, 'no other rule'),
    ({'turns_by': {'angle': 1, 'axis': [0, 0, 0]}, 'starts_in': BOX}, 'axis must not be zero'),
    ({'turns_by': {'angle': 0}, 'starts_in': BOX}, 'angle must be more than 0'),
    ({'turns_by': {'distance': 1}, 'starts_in': BOX}, 'turns_by needs angle and may have axis'),
    ({'inside': {'region': BOX, 'moves_with': {}}}, 'moves_with: a region needs low and high')])
def test_what_is_no_rubric(rubric, words):
    with pytest.raises(ConfigurationError, match=words):
        Goal.of(rubric)


@pytest.mark.parametrize('content', [b'a: [', b'\xff\xfe'])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / 'goal.yaml'
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r'goal\.yaml cannot be read'):
        Goal.load(path)
    with pytest.raises(ConfigurationError, match=r'no\.yaml cannot be read'):
        Goal.load(tmp_path / 'no.yaml')
