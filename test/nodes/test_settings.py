# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of shadow_sim into the rules of the precheck, and goals by name."""
import dataclasses
import pickle

import pytest

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight import GraspSettings
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings
from kinema4d_ros.precheck import (Goal, PrecheckSettings, Tier0Settings, Tier1Settings,
                                   Tier2Settings, TouchRule)
from kinema4d_ros.precheck.goals import load_rubric, rubrics
from kinema4d_ros.types import JointLimit


def settings(**values):
    """Return the settings that parameters stand for, as the worker gets them."""
    return pickle.loads(pickle.dumps(shadow_sim_settings(TABLE.validate(values)).precheck))


def test_the_defaults_of_the_parameters_are_those_of_the_precheck():
    assert settings() == PrecheckSettings()


@pytest.mark.parametrize('kind, prefix', [
    (Tier0Settings, 'tier0.'), (Tier1Settings, 'tier1.'), (Tier2Settings, 'tier2.')])
def test_every_setting_has_its_parameter(kind, prefix):
    ours = {f'{prefix}{field.name}' for field in dataclasses.fields(kind)} \
        - {'tier0.limits', 'tier0.joint_limits_file', 'tier1.touch'}
    assert ours == {name for name in TABLE.names if name.startswith(prefix)}


def test_values_arrive():
    got = settings(**{
        'tier1.near_miss': 0.02, 'tier1.unseen': 'unsure', 'tier2.seeds': 3,
        'tier0.self_margin': 0.01, 'touch.finger.depth': 0.002, 'touch.finger.speed': 0.1,
        'touch.finger.within': [0, 0, 0, 1, 1, 1], 'touch.tool.speed': 1,
        'allowed_contacts.hand': ['finger', 'palm'], 'srdf': '<robot name="x"/>',
        'world_model_settings.largest_object': 0.4,
        'world_model_settings.robot_depth_tolerance': 0.02})
    assert (got.tier1.near_miss, got.tier1.unseen, got.tier2.seeds) == (0.02, 'unsure', 3)
    assert got.tier0.self_margin == 0.01
    assert dict(got.tier1.touch) == {
        'finger': TouchRule(0.002, 0.1, (0, 0, 0, 1, 1, 1)), 'tool': TouchRule(speed=1.0)}
    assert got.allowed_contacts == (('hand', 'finger'), ('hand', 'palm'))
    assert got.srdf == '<robot name="x"/>'
    assert got.grasping == GraspSettings(largest_object=0.4)
    other = settings(world_model='frozen', **{'world_model_settings.a': 1})
    assert other.grasping == GraspSettings()


def test_an_srdf_from_a_file(tmp_path):
    path = tmp_path / 'arm.srdf'
    path.write_text('<robot name="y"/>')
    assert settings(srdf=str(path)).srdf == '<robot name="y"/>'


def test_joint_limits_from_a_file(tmp_path):
    path = tmp_path / 'joint_limits.yaml'
    path.write_text('joint_limits: {elbow: {has_velocity_limits: true, max_velocity: 1.5}}')
    got = settings(joint_limits_file=str(path), **{'joint_limits.elbow.max_jerk': 9.0}).tier0
    assert got.joint_limits_file.limits == {'elbow': JointLimit(velocity=1.5)}
    assert got.limits == {'elbow': JointLimit(jerk=9.0)}


@pytest.mark.parametrize('values, words', [
    ({'touch': ['finger']}, 'touch.<link>.depth, .speed or .within'),
    ({'touch.finger': 3.0}, 'did you mean touch.<link>.depth'),
    ({'touch.finger.force': 3.0}, 'did you mean touch.<link>.depth'),
    ({'touch.finger.depth': 'deep'}, 'must be double'),
    ({'touch.finger.depth': -1.0}, 'at least 0'),
    ({'touch.finger.within': [1, 2]}, 'has 2 values, it must have 6'),
    ({'touch.finger.within': [1, 0, 0, 0, 1, 1]}, 'within must be x0'),
    ({'allowed_contacts': ['hand,arm']}, 'allowed_contacts.<link> with a list of links'),
    ({'allowed_contacts.hand': 'arm'}, r'must be string\[\]'),
    ({'joint_limits_file': '/nowhere.yaml'}, '/nowhere.yaml cannot be read'),
    ({'srdf': '/nowhere'}, 'neither the text of an SRDF nor a file'),
    ({'goal_rubric': 'tidy'}, 'unknown goal rubric .*known: into_basket, lift, onto_plate')])
def test_what_cannot_be_understood_is_named(values, words):
    with pytest.raises(ConfigurationError, match=words):
        shadow_sim_settings(TABLE.validate(values))


def test_rubrics_of_the_user_come_before_those_of_the_package(tmp_path):
    (tmp_path / 'lift.yaml').write_text('lifted: {height: 0.3}\n')
    (tmp_path / 'broken.yaml').write_text('lifted: high\n')
    assert load_rubric('') is None
    assert load_rubric('lift') != load_rubric('lift', str(tmp_path)) == Goal.of(
        {'lifted': {'height': 0.3}})
    assert {'broken', 'into_basket', 'lift'} <= set(rubrics(str(tmp_path)))
    with pytest.raises(ConfigurationError, match='broken.yaml'):
        load_rubric('broken', str(tmp_path))


def test_a_rubric_that_is_broken_refuses_only_what_names_it(tmp_path):
    (tmp_path / 'lift.yaml').write_text('lifted: {height: 0.3}\n')
    (tmp_path / 'broken.yaml').write_text('lifted: high\n')
    got = shadow_sim_settings(TABLE.validate({'rubric_dir': str(tmp_path), 'goal_rubric': 'lift'}))
    assert got.goal_of('') is got.goal_of('lift') is got.goal
    assert got.goal_of('into_basket') == load_rubric('into_basket')
    with pytest.raises(ConfigurationError, match='broken.yaml'):
        got.goal_of('broken')
    with pytest.raises(ConfigurationError, match="unknown goal rubric 'tidy'.*known: broken, "):
        got.goal_of('tidy')
