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
from rcl_interfaces.msg import SetParametersResult
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.parameters import Parameter, ParameterTable, REQUIRED, UNSET
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
    Parameter('repair', bool, True, 'Fill holes'),
    Parameter('limits.<joint>.speed', float, UNSET, 'Greatest speed', unit='rad/s', minimum=0.0),
    Parameter('limits.<joint>.box', list[float], UNSET, 'Where it may be', length=2),
    Parameter('pairs.<link>', list[str], UNSET, 'Links that may touch it', read_only=True),
    Parameter('setting.<name>', object, UNSET, 'Of the model')],
    rules=[near_before_far], renamed={'nearest': 'near', 'limit': 'limits.<joint>.speed'})
GIVEN = {'camera.topic': 'camera/image_raw'}


class TableNode(NodeBase, Node):
    """As all nodes of the package."""


def set_on(node, **values):
    """Set parameters as a batch."""
    return node.set_parameters_atomically([
        RosParameter(name.replace('__', '.'), value=value) for name, value in values.items()])


@pytest.fixture
def make_node(ros_domain):
    """Return a function that makes a node with parameters given as on the command line."""
    context, nodes = Context(), []
    rclpy.init(context=context, domain_id=ros_domain)

    def make(**overrides):
        node = TableNode('table_test', context=context, parameter_overrides=[
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
    with pytest.raises(ConfigurationError, match=r"'camera\.topic' has no default.*camera\.topic"):
        TABLE.declare(make_node())


@pytest.mark.parametrize('words', [('required', 'off'), ('on', 'no')])
def test_a_word_that_yaml_takes_for_a_bool_is_a_word(make_node, words):
    """`-p check:=off`, or `check: off` in a file, comes as False."""
    table = ParameterTable([Parameter('check', str, words[0], 'Check', choices=words)])
    node = make_node(check=False)
    table.declare(node)
    assert table.snapshot(node)['check'] == words[1]
    assert node.set_parameters([RosParameter('check', value=words[0])])[0].successful
    assert node.set_parameters([RosParameter('check', value=False)])[0].successful
    assert table.snapshot(node)['check'] == words[1]
    assert node.set_parameters([RosParameter('check', value=True)])[0].successful == (
        'on' in words)
    with pytest.raises(ConfigurationError, match='must be string'):
        ParameterTable([Parameter('check', str, 'off', 'Check', choices=('off',))]).declare(
            make_node(check=True))


def test_an_empty_list_is_a_default_and_keeps_its_type(make_node):
    node = make_node(camera__topic='rgb')
    TABLE.declare(node)
    assert TABLE.snapshot(node)['workspace'] == ()
    assert not node.set_parameters([RosParameter('workspace', value=['a'])])[0].successful
    assert node.set_parameters([RosParameter('workspace', value=[0.5] * 6)])[0].successful
    assert TABLE.snapshot(node)['workspace'] == (0.5,) * 6


@pytest.mark.parametrize('overrides, words', [
    ({'near': '1'}, "'near' must be double, got '1'"),
    ({'nera': 1.0}, "unknown parameter 'nera'; did you mean near"),
    ({'nearest': 1.0}, "'nearest' has another name since 0.2.0: near"),
    ({'limit': ['a=1']}, "'limit' has another name since 0.2.0: limits.<joint>.speed"),
    ({'limits__a__sped': 1.0}, "'limits.a.sped'; did you mean limits.<joint>.speed"),
    ({'limits__a__speed': 'fast'}, "'limits.a.speed' must be double, got 'fast'"),
    ({'limits__a__speed': -1.0}, "'limits.a.speed' is -1.0 rad/s, valid: at least 0.0"),
    ({'limits__a__speed': math.nan}, "'limits.a.speed' is nan"),
    ({'limits__a__box': [1.0]}, "'limits.a.box' has 1 values, it must have 2"),
    ({'limits__a__box': []}, "'limits.a.box' has 0 values, it must have 2"),
    ({'pairs__hand': 'arm'}, r"'pairs.hand' must be string\[\], got 'arm'"),
    ({'near': 11.0}, "'near'.*0.0 to 10.0"),
    ({'near': math.nan}, "'near'.*nan.*0.0 to 10.0"),
    ({'frames': 1}, "'frames'.*2 to 200"),
    ({'frames': '49'}, "'frames'.*int"),
    ({'model': 'magic'}, "'model' is 'magic', valid: frozen, kinematic"),
    ({'model': False}, r"string \(frozen, kinematic\), got the bool False.*in quotes"),
    ({'workspace': [1.0]}, "'workspace' has 1 values, it must have 6")])
def test_bad_start_values_are_refused_by_name(make_node, overrides, words):
    with pytest.raises(ConfigurationError, match=words):
        TABLE.declare(make_node(camera__topic='rgb', **overrides))


@pytest.mark.parametrize('batch, words', [
    ([('near', 'x')], 'rong parameter type|must be double'),
    ([('nera', 1.0)], "unknown parameter 'nera'; did you mean near"),
    ([('nearest', 1.0)], "'nearest' has another name"),
    ([('limits.a.speed', 'fast')], "'limits.a.speed' must be double"),
    ([('limits.a.speed', 1.0), ('limits.b.speed', -1.0)], "'limits.b.speed' is -1.0"),
    ([('limits.a.speed', math.nan)], "'limits.a.speed' is nan"),
    ([('pairs.hand', ['arm'])], 'read-only'),
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
    node = make_node(camera__topic='rgb', use_sim_time=False)
    TABLE.declare(node)
    assert node.set_parameters([RosParameter('use_sim_time', value=True)])[0].successful


def test_validate_refuses_unknown_names_and_numpy_scalars():
    with pytest.raises(ConfigurationError, match="unknown parameter 'nera'; did you mean near"):
        TABLE.validate({**GIVEN, 'nera': 1.0})
    with pytest.raises(ConfigurationError, match="'near' must be double"):
        TABLE.validate({**GIVEN, 'near': np.float64(1.0)})
    with pytest.raises(ConfigurationError, match="'near' must be double, got True"):
        TABLE.validate({**GIVEN, 'near': True})
    with pytest.raises(ConfigurationError, match=r"'frames' must be int, got 3.0"):
        TABLE.validate({**GIVEN, 'frames': 3.0})
    with pytest.raises(ConfigurationError, match=r"'fingers' must be string\[\], got 'left'"):
        TABLE.validate({**GIVEN, 'fingers': 'left'})
    with pytest.raises(ConfigurationError, match="'repair' must be bool, got 1"):
        TABLE.validate({**GIVEN, 'repair': 1})


def test_a_table_that_contradicts_itself():
    with pytest.raises(ConfigurationError, match='no ROS type'):
        Parameter('x', dict, {}, '')
    with pytest.raises(ConfigurationError, match="'x' is 3"):
        Parameter('x', int, 3, '', maximum=2)
    with pytest.raises(ConfigurationError, match='default UNSET'):
        Parameter('x.<y>', int, 1, '')
    with pytest.raises(ConfigurationError, match='default UNSET'):
        Parameter('x', int, UNSET, '')
    with pytest.raises(ConfigurationError, match='one type'):
        Parameter('x', object, 1, '')
    with pytest.raises(ConfigurationError, match='twice'):
        ParameterTable([Parameter('x', int, 1, ''), Parameter('x', int, 1, '')])


def test_yaml_is_complete_and_reads_back():
    text = TABLE.yaml('shadow_sim')
    with pytest.raises(ConfigurationError, match=r"'camera\.topic' has no default"):
        TABLE.check_yaml(text, 'shadow_sim')
    with pytest.raises(ConfigurationError, match=r'lacks camera\.topic'):
        TABLE.check_yaml(text, 'shadow_sim', complete=True)
    full = text.replace('# camera:', 'camera:').replace('# topic: REQUIRED', 'topic: rgb')
    values = TABLE.check_yaml(full, 'shadow_sim', complete=True)
    assert values == TABLE.validate({'camera.topic': 'rgb'})
    assert '# Nearest depth ([m]; 0.0 to 10.0)' in text
    assert '    # limits.<joint>.speed: double' in text.splitlines()


def test_yaml_accepts_nested_keys_and_both_sections():
    text = yaml.safe_dump({'/**': {'ros__parameters': {'camera': {'topic': 'rgb'}, 'near': 0.2}},
                           'sim': {'ros__parameters': {'near': 0.3, 'use_sim_time': True}}})
    values = TABLE.check_yaml(text, 'sim')
    assert values['camera.topic'] == 'rgb' and values['near'] == 0.3


@pytest.mark.parametrize('text, words', [
    ('a: [', 'not YAML'), ('', "no section 'sim'.*nothing"),
    ('other:\n  ros__parameters: {near: 1.0}', 'it has: other'),
    ('sim:\n  ros__parameters: {nera: 1.0}', 'nera'),
    ('sim:\n  ros__parameters: {near: x, camera.topic: a}', "must be double, got 'x'")])
def test_bad_yaml(text, words):
    with pytest.raises(ConfigurationError, match=words):
        TABLE.check_yaml(text, 'sim')


def test_markdown_lists_every_parameter_once():
    lines = TABLE.markdown().splitlines()
    assert len(lines) == 2 + len(TABLE.names) + len(TABLE.patterns)
    assert lines[2] == '| `near` | double | `0.1` | m | 0.0 to 10.0 | yes | Nearest depth |'
    assert '| `camera.topic` | string | **required** |' in lines[6] and '| no |' in lines[6]
    assert '6 values' in lines[7]
    assert '| `limits.<joint>.speed` | double | not set |' in '\n'.join(lines)


def test_integers_where_floats_are_meant(make_node):
    node = make_node(camera__topic='rgb', near=1, workspace=[0, 0, 0, 1, 1, 1],
                     limits__a__speed=2)
    TABLE.declare(node)
    values = TABLE.snapshot(node)
    assert values['near'] == 1.0 and type(values['near']) is float
    assert values['workspace'] == (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
    assert set_on(node, near=2, workspace=[0, 0, 0, 2, 2, 2], limits__b__speed=3,
                  limits__b__box=[1, 2]).successful
    values = TABLE.snapshot(node)
    assert [type(values[name]) for name in ('near', 'limits.a.speed', 'limits.b.speed')] \
        == [float] * 3
    assert values['limits.b.box'] == (1.0, 2.0) and values['workspace'][5] == 2.0
    assert type(node.get_parameter('near').value) is float


def test_parameters_that_are_named_by_a_thing(make_node):
    node = make_node(camera__topic='rgb', limits__j1__speed=0.5, limits__a__b__speed=1.5,
                     pairs__hand=['arm', 'base'], setting__steps=8, setting__words=['a', 'b'])
    watched = TABLE.declare(node)
    named = {'limits.j1.speed': 0.5, 'limits.a.b.speed': 1.5, 'pairs.hand': ('arm', 'base'),
             'setting.steps': 8, 'setting.words': ('a', 'b')}
    assert named.items() <= watched.current.items() == TABLE.snapshot(node).items()
    assert node.describe_parameter('limits.j1.speed').description == 'Greatest speed [rad/s]'
    assert node.describe_parameter('pairs.hand').read_only
    # one that comes later, and is gone again
    assert set_on(node, limits__j2__speed=0.25, setting__steps='many').successful
    assert watched.current['limits.j2.speed'] == 0.25
    assert watched.current['setting.steps'] == 'many'
    assert node.describe_parameter('limits.j2.speed').description == 'Greatest speed [rad/s]'
    assert node.set_parameters([RosParameter('limits.j2.speed')])[0].successful
    assert 'limits.j2.speed' not in watched.current
    assert not node.has_parameter('limits.j2.speed')


def test_settings_are_made_once_per_accepted_change(make_node):
    made = []

    def make(values):
        if values['model'] == 'frozen' and values['near'] > 1.0:
            raise ConfigurationError('a frozen model must be near')
        made.append(dict(values))
        return len(made)

    node = make_node(camera__topic='rgb')
    watched = TABLE.watch(node, make)
    assert watched.current == 1 and made[0]['near'] == 0.1
    assert set_on(node, near=2.0).successful
    assert watched.current == 2 and made[1]['near'] == 2.0
    refused = set_on(node, model='frozen', far=3.0)
    assert not refused.successful and refused.reason == 'a frozen model must be near'
    assert watched.current == 2 and node.get_parameter('far').value == 5.0
    assert set_on(node, use_sim_time=True).successful
    assert watched.current == len(made) == 2       # of another's parameter nothing is made
    # refused by somebody else after it was made: it is not taken
    node.add_on_set_parameters_callback(
        lambda batch: SetParametersResult(successful=batch[0].name == 'use_sim_time'))
    assert not set_on(node, near=3.0).successful
    assert set_on(node, use_sim_time=False).successful
    assert watched.current == 2


def test_an_empty_list_as_ros2_param_set_sends_it(make_node):
    node = make_node(camera__topic='rgb', fingers=['left'])
    watched = TABLE.declare(node)
    empty = RosParameter('fingers', RosParameter.Type.BOOL_ARRAY, [])
    assert node.set_parameters([empty])[0].successful
    assert watched.current['fingers'] == ()
    wrong = node.set_parameters([RosParameter('fingers', value=[True])])[0]
    assert not wrong.successful


def test_what_settings_refuse_at_start_passes_through(make_node):
    def make(values):
        raise ConfigurationError('no such file')

    with pytest.raises(ConfigurationError, match='no such file'):
        TABLE.watch(make_node(camera__topic='rgb'), make)


def test_a_file_that_is_shared_with_another_node(make_node):
    small = ParameterTable([Parameter('rate', float, 1.0, 'Rate')], shares_files_with=TABLE)
    node = make_node(rate=2.0, near=0.5, limits__a__speed=1.0)
    small.declare(node)
    assert dict(small.snapshot(node)) == {'rate': 2.0}
    assert dict(small.check_yaml('sim: {ros__parameters: {rate: 3, near: 9}}', 'sim')) == {
        'rate': 3.0}
    for name, words in (('rat', 'did you mean rate'), ('nearest', 'another name.*near')):
        with pytest.raises(ConfigurationError, match=words):
            small.declare(make_node(**{name: 1.0}))


def test_a_parameter_file_with_nested_names_and_empty_lists(ros_domain, tmp_path):
    """As ROS reads it: an empty list has no type there."""
    path = tmp_path / 'file.yaml'
    path.write_text("""
/**:
  ros__parameters:
    camera: {topic: rgb}
    near: 1
    workspace: []
    limits:
      j1: {speed: 2, box: [0, 1]}
    pairs: {hand: [], arm: [base]}
    setting: {lr: 0.5, fast: true}
""")
    context = Context()
    rclpy.init(args=['--ros-args', '--params-file', str(path)], context=context,
               domain_id=ros_domain)
    try:
        node = TableNode('table_test', context=context)
        TABLE.declare(node)
        values = TABLE.snapshot(node)
        assert values == TABLE.check_yaml(path.read_text(), 'table_test')
        assert {'camera.topic': 'rgb', 'near': 1.0, 'workspace': (), 'limits.j1.speed': 2.0,
                'limits.j1.box': (0.0, 1.0), 'pairs.arm': ('base',), 'setting.lr': 0.5,
                'setting.fast': True}.items() <= values.items()
        assert 'pairs.hand' not in values
        node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
