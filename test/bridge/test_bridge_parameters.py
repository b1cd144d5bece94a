# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameter table against a real node: declaring, refusing, snapshots, README and YAML."""
import math
import re
import types

import numpy as np
import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, REQUIRED
from kinema4d_ros.errors import ConfigurationError


def near_before_far(values):
    """Complain where the range is empty."""
    if values['near'] >= values['far']:
        return f"near ({values['near']}) must be less than far ({values['far']})"
    return None


TABLE = ParameterTable([
    Parameter('near', float, 0.1, 'Nearest depth', unit='m', minimum=0.0, maximum=10.0),
    Parameter('far', float, 5.0, 'Farthest depth', unit='m', minimum=0.0),
    Parameter('frames', int, 49, 'Predicted frames', minimum=2, maximum=200),
    Parameter('model', str, 'kinematic', 'World model', choices=('frozen', 'kinematic')),
    Parameter('camera.topic', str, REQUIRED, 'Camera to watch', read_only=True),
    Parameter('workspace', list[float], [], 'Box x0 y0 z0 x1 y1 z1', unit='m', length=6),
    Parameter('fingers', list[str], ['left', 'right'], 'Finger links'),
    Parameter('repair', bool, True, 'Fill holes')], rules=[near_before_far])
GIVEN = {'camera.topic': 'camera/image_raw'}


@pytest.fixture
def make_node(ros_domain):
    """Return a function that makes a node with parameters given as on the command line."""
    context, nodes = Context(), []
    rclpy.init(context=context, domain_id=ros_domain)

    def make(**overrides):
        node = Node('table_test', context=context, parameter_overrides=[
            RosParameter(name.replace('__', '.'), value=value)
            for name, value in overrides.items()])
        nodes.append(node)
        return node
    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown(context=context)


def test_declare_and_snapshot(make_node):
    node = make_node(camera__topic='rgb', near=0.5, workspace=[0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    TABLE.declare(node)
    values = TABLE.snapshot(node)
    assert dict(values) == {
        'near': 0.5, 'far': 5.0, 'frames': 49, 'model': 'kinematic', 'camera.topic': 'rgb',
        'workspace': (0.0, 0.0, 0.0, 1.0, 1.0, 1.0), 'fingers': ('left', 'right'),
        'repair': True}
    assert isinstance(values, types.MappingProxyType)
    with pytest.raises(TypeError):
        values['near'] = 1.0
    described = node.describe_parameter('near')
    assert described.description == 'Nearest depth [m]'
    assert described.floating_point_range[0].to_value == 10.0
    assert node.describe_parameter('model').additional_constraints == 'frozen, kinematic'
    assert node.describe_parameter('far').floating_point_range[0].to_value == math.inf


def test_snapshot_does_not_change_with_the_node(make_node):
    node = make_node(camera__topic='rgb')
    TABLE.declare(node)
    before = TABLE.snapshot(node)
    assert node.set_parameters([RosParameter('near', value=2.0)])[0].successful
    assert before['near'] == 0.1 and TABLE.snapshot(node)['near'] == 2.0


def test_required_without_value_names_it_and_the_cure(make_node):
    node = make_node()
    TABLE.declare(node)
    with pytest.raises(ConfigurationError, match=r"'camera\.topic' has no default.*camera\.topic"):
        TABLE.snapshot(node)


def test_an_empty_list_is_a_default_and_keeps_its_type(make_node):
    node = make_node(camera__topic='rgb')
    TABLE.declare(node)
    assert TABLE.snapshot(node)['workspace'] == ()
    assert not node.set_parameters([RosParameter('workspace', value=['a'])])[0].successful
    assert node.set_parameters([RosParameter('workspace', value=[0.5] * 6)])[0].successful
    assert TABLE.snapshot(node)['workspace'] == (0.5,) * 6


@pytest.mark.parametrize('overrides, words', [
    ({'near': 1}, "'near'.*double needs a decimal point"),
    ({'near': 11.0}, "'near'.*0.0 to 10.0"),
    ({'near': math.nan}, "'near'.*nan.*0.0 to 10.0"),
    ({'frames': 1}, "'frames'.*2 to 200"),
    ({'frames': '49'}, "'frames'.*int"),
    ({'model': 'magic'}, "'model' is 'magic', valid: frozen, kinematic"),
    ({'workspace': [1.0]}, "'workspace' has 1 values, it must have 6")])
def test_bad_start_values_are_refused_by_name(make_node, overrides, words):
    with pytest.raises(ConfigurationError, match=words):
        TABLE.declare(make_node(camera__topic='rgb', **overrides))


@pytest.mark.parametrize('batch, words', [
    ([('near', 1)], 'rong parameter type|must be double'),
    ([('far', math.nan)], 'nan'),
    ([('model', 'magic')], 'frozen, kinematic'),
    ([('near', 6.0)], r'near \(6.0\) must be less than far \(5.0\)'),
    ([('near', 3.0), ('far', 2.0)], r'near \(3.0\) must be less than far \(2.0\)'),
    ([('camera.topic', 'other')], 'read-only')])
def test_bad_changes_are_refused_as_a_batch(make_node, batch, words):
    node = make_node(camera__topic='rgb')
    TABLE.declare(node)
    before = dict(TABLE.snapshot(node))
    result = node.set_parameters_atomically([RosParameter(n, value=v) for n, v in batch])
    assert not result.successful
    assert re.search(words, result.reason), result.reason
    assert dict(TABLE.snapshot(node)) == before


def test_good_batch_of_values_that_only_fit_together(make_node):
    node = make_node(camera__topic='rgb')
    TABLE.declare(node)
    batch = [RosParameter('near', value=6.0), RosParameter('far', value=9.0)]
    assert node.set_parameters_atomically(batch).successful
    assert TABLE.snapshot(node)['near'] == 6.0


def test_parameters_of_others_are_left_alone(make_node):
    node = make_node()
    TABLE.declare(node)
    assert node.set_parameters([RosParameter('use_sim_time', value=True)])[0].successful


def test_validate_refuses_unknown_names_and_numpy_scalars():
    with pytest.raises(ConfigurationError, match='unknown parameter.*nera; valid: near, far'):
        TABLE.validate({**GIVEN, 'nera': 1.0})
    with pytest.raises(ConfigurationError, match="'near' must be double"):
        TABLE.validate({**GIVEN, 'near': np.float64(1.0)})
    with pytest.raises(ConfigurationError, match="'near' must be double, got 1; write 1.0"):
        TABLE.validate({**GIVEN, 'near': 1})
    with pytest.raises(ConfigurationError, match="'workspace' must be double.*got 0; write 0.0"):
        TABLE.validate({**GIVEN, 'workspace': [0.0, 0, 0, 1, 1, 1]})
    with pytest.raises(ConfigurationError, match=r"'fingers' must be string\[\], got 'left'"):
        TABLE.validate({**GIVEN, 'fingers': 'left'})
    with pytest.raises(ConfigurationError, match="'repair' must be bool, got 1"):
        TABLE.validate({**GIVEN, 'repair': 1})


def test_a_table_that_contradicts_itself():
    with pytest.raises(ConfigurationError, match='no ROS type'):
        Parameter('x', dict, {}, '')
    with pytest.raises(ConfigurationError, match="'x' is 3"):
        Parameter('x', int, 3, '', maximum=2)
    with pytest.raises(ConfigurationError, match='twice'):
        ParameterTable([Parameter('x', int, 1, ''), Parameter('x', int, 1, '')])


def test_yaml_is_complete_and_reads_back():
    text = TABLE.yaml('shadow_sim')
    with pytest.raises(ConfigurationError, match=r"'camera\.topic' has no default"):
        TABLE.check_yaml(text, 'shadow_sim')
    with pytest.raises(ConfigurationError, match=r'lacks camera\.topic'):
        TABLE.check_yaml(text, 'shadow_sim', complete=True)
    full = text.replace('# camera.topic: REQUIRED', 'camera.topic: rgb')
    values = TABLE.check_yaml(full, 'shadow_sim', complete=True)
    assert values == TABLE.validate({'camera.topic': 'rgb'})
    assert '# Nearest depth ([m]; 0.0 to 10.0)' in text


def test_yaml_accepts_nested_keys_and_both_sections():
    text = yaml.safe_dump({'/**': {'ros__parameters': {'camera': {'topic': 'rgb'}, 'near': 0.2}},
                           'sim': {'ros__parameters': {'near': 0.3, 'use_sim_time': True}}})
    values = TABLE.check_yaml(text, 'sim')
    assert values['camera.topic'] == 'rgb' and values['near'] == 0.3


@pytest.mark.parametrize('text, words', [
    ('a: [', 'not YAML'), ('', "no section 'sim'.*nothing"),
    ('other:\n  ros__parameters: {near: 1.0}', 'it has: other'),
    ('sim:\n  ros__parameters: {nera: 1.0}', 'nera'),
    ('sim:\n  ros__parameters: {near: 1, camera.topic: a}', 'write 1.0')])
def test_bad_yaml(text, words):
    with pytest.raises(ConfigurationError, match=words):
        TABLE.check_yaml(text, 'sim')


def test_markdown_lists_every_parameter_once():
    lines = TABLE.markdown().splitlines()
    assert len(lines) == 2 + len(TABLE.names)
    assert lines[2] == '| `near` | double | `0.1` | m | 0.0 to 10.0 | yes | Nearest depth |'
    assert '| `camera.topic` | string | **required** |' in lines[6] and '| no |' in lines[6]
    assert '6 values' in lines[7]
