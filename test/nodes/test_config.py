# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What config/ and launch/ say is what the nodes do."""
import ast
import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from graph import parameters, Process, ROOT
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from kinema4d_ros.bridge import qos
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.episode_player import TABLE as PLAYER_TABLE
from kinema4d_ros.nodes.recorder.node import TABLE as RECORDER_TABLE
from kinema4d_ros.nodes.shadow_sim.outputs import TOPICS
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings
from kinema4d_ros.nodes.trajectory_gate.parameters import TABLE as GATE_TABLE
from kinema4d_ros.robot.tracking import JointTracking, TrackingModel
from kinema4d_ros.types import JointLimit

CONFIG, LAUNCH = ROOT / 'config', ROOT / 'launch' / 'shadow_sim.launch.py'
RVIZ = yaml.safe_load((CONFIG / 'shadow_sim.rviz').read_text())
DISPLAYS = [display for item in RVIZ['Visualization Manager']['Displays']
            for display in item.get('Displays', [item])]     # those in groups too
#: what RViz2's displays subscribe to
TYPES = {'PointCloud2': 'PointCloud2', 'Image': 'Image', 'MarkerArray': 'MarkerArray',
         'RobotModel': 'String'}


def test_parameter_file_is_complete_and_holds_the_defaults():
    text = (CONFIG / 'shadow_sim.yaml').read_text()
    assert TABLE.check_yaml(text, 'shadow_sim', complete=True) == TABLE.validate({})
    comments = ' '.join(line.strip('# ') for line in text.splitlines()
                        if line.strip().startswith('#'))
    for line in TABLE.yaml().splitlines():
        if line.strip().startswith('#'):
            assert line.strip('# ') in comments        # each parameter is explained


def test_camera_file():
    values = TABLE.check_yaml((CONFIG / 'camera.yaml').read_text(), 'shadow_sim')
    assert len(values['extrinsics']) == 7


def test_the_files_are_read_by_the_node(ros_domain):
    """The empty lists of the file in particular, which ROS reads as no value."""
    process = Process('shadow_sim', '--params-file', str(CONFIG / 'shadow_sim.yaml'),
                      '--params-file', str(CONFIG / 'camera.yaml'),
                      *parameters(world_model='nothing'))
    assert process.process.wait(60.0) == 1
    assert "parameter 'world_model' is 'nothing'" in process.output()


@pytest.mark.parametrize('name, value, words', [
    ('joint_limits.max_velocity', 1.0, 'did you mean joint_limits.<joint>.min_position'),
    ('joint_limits.a.max_speed', 1.0, 'joint_limits.<joint>.max_velocity'),
    ('joint_limits.a.max_jerk', 'fast', "'joint_limits.a.max_jerk' must be double, got 'fast'"),
    ('joint_limits.a.max_jerk', True, 'must be double, got True'),
    ('joint_limits.a.max_jerk', -1.0, 'valid: at least 0.0'),
    ('joint_limits.a.max_jerk', float('nan'), 'is nan rad/s'),
    ('joint_limits', ['a.velocity=1'], 'has another name since 0.2.0: joint_limits.<joint>')])
def test_a_limit_that_cannot_be_understood(name, value, words):
    with pytest.raises(ConfigurationError, match=words):
        TABLE.validate({name: value})


def test_a_parameter_file_of_0_1_is_told_the_new_names():
    old = ('start_tolerance', 'position_tolerance', 'velocity_scale', 'joint_limits',
           'required_joints', 'workspace', 'allow_end_velocity', 'step_time', 'self_margin',
           'allowed_contacts', 'touch', 'world_model_settings')
    text = yaml.safe_dump({'/**': {'ros__parameters': {name: [] for name in old}}})
    with pytest.raises(ConfigurationError) as caught:
        TABLE.check_yaml(text, 'shadow_sim')
    for name in old:
        assert f"parameter {name!r} has another name since 0.2.0: " in str(caught.value)
        assert any(name in now for now in (*TABLE.names, *TABLE.patterns))
        assert f'- ``{name}' in (ROOT / 'CHANGELOG.rst').read_text()


def test_an_empty_package_path_is_refused():
    with pytest.raises(ConfigurationError, match='package_paths.*an empty path'):
        shadow_sim_settings(TABLE.validate({'package_paths': ['']}))


def test_the_model_of_how_the_robot_follows_is_read(tmp_path):
    model = TrackingModel({'a': JointTracking(1.0, 0.1, 0.2, 0.01)})
    model.save(tmp_path / 'arm.yaml')
    values = {'tracking': str(tmp_path / 'arm.yaml'), 'tier0.start_velocity': 'zero'}
    settings = shadow_sim_settings(TABLE.validate(values)).precheck
    assert settings.tracking == model and settings.tier0.start_velocity == 'zero'
    assert shadow_sim_settings(TABLE.validate({})).precheck.tracking is None
    with pytest.raises(ConfigurationError, match='fit-tracking'):
        shadow_sim_settings(TABLE.validate({'tracking': str(tmp_path / 'none.yaml')}))


def test_limits_and_workspace_reach_the_rules():
    values = TABLE.validate({
        'joint_limits.a.b.max_velocity': 1, 'joint_limits.a.b.max_jerk': 2.5,
        'joint_limits.c.min_position': -1.0, 'joint_limits.c.max_position': 2.0,
        'joint_limits.c.max_acceleration': 3.0,
        'tier0.workspace': (0.0, 0.0, 0.0, 1.0, 1.0, 1.0), 'tier0.travel': 0.05})
    settings = shadow_sim_settings(values).precheck.tier0
    assert (settings.limits['a.b'].velocity, settings.limits['a.b'].jerk) == (1.0, 2.5)
    assert settings.limits['c'] == JointLimit(-1.0, 2.0, acceleration=3.0)
    assert settings.workspace == (0.0, 0.0, 0.0, 1.0, 1.0, 1.0) and settings.travel == 0.05
    with pytest.raises(ConfigurationError, match='smaller corner first'):
        shadow_sim_settings(TABLE.validate({'tier0.workspace': (0.0, 0.0, 0.0, 1.0, -1.0, 1.0)}))


def test_fast_dds_profile_has_room_for_a_cloud():
    root = ElementTree.parse(CONFIG / 'fastdds.xml').getroot()
    name = {'f': 'http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles'}
    assert int(root.find('.//f:segment_size', name).text) == 64 * 2**20
    assert int(root.find('.//f:maxMessageSize', name).text) >= 480 * 720 * 16


def test_rviz_shows_what_is_published_with_a_qos_that_matches():
    published = {'/' + topic: (kind.__name__, profile)
                 for topic, (kind, profile) in TOPICS.items()}
    published['/robot_description'] = 'String', qos.ROBOT_DESCRIPTION
    published['/camera/image_raw'] = 'Image', qos.PREDICTION     # the player's
    shown = set()
    for display in DISPLAYS:
        topic = display.get('Topic') or display.get('Description Topic')
        if topic is None:
            continue
        kind, profile = published[topic['Value']]
        shown.add(topic['Value'])
        assert TYPES[display['Class'].rpartition('/')[2]] == kind
        if topic['Reliability Policy'] == 'Reliable':
            assert profile.reliability == ReliabilityPolicy.RELIABLE
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert (topic['Durability Policy'] == 'Transient Local') == latched
    assert {'/predicted/points', '/predicted/image', '/verdict_markers'} <= shown
    models = [d for d in DISPLAYS if d['Class'].endswith('RobotModel')]
    assert [(d['TF Prefix'], d['Alpha'] < 1) for d in models] == [('', False), ('shadow', True)]
    prefix = TABLE.validate({})['shadow_prefix']
    assert RVIZ['Visualization Manager']['Global Options']['Fixed Frame'] == prefix + 'root'


# ---------------------------------------------------------------------------- launch

TREE = ast.parse(LAUNCH.read_text())
EXPECTED = {'namespace', 'use_sim_time', 'params_file', 'log_level', 'rviz', 'rviz_config',
            'autostart', 'world_model', 'device', 'episode', 'record'}


def calls(name):
    """Return the calls of a function in the launch file."""
    return [node for node in ast.walk(TREE) if isinstance(node, ast.Call)
            and getattr(node.func, 'id', '') == name]


def keywords(call):
    """Return the keyword arguments of a call that are constants."""
    return {keyword.arg: keyword.value.value for keyword in call.keywords
            if isinstance(keyword.value, ast.Constant)}


def test_launch_arguments_are_described_and_used():
    declared = {call.args[0].value: call for call in calls('DeclareLaunchArgument')}
    assert EXPECTED <= set(declared)
    for name, call in declared.items():
        assert 'description' in {keyword.arg for keyword in call.keywords}, name
    used = {call.args[0].value for name in ('LaunchConfiguration', 'is_given')
            for call in calls(name) if isinstance(call.args[0], ast.Constant)}
    overrides = next(node.value.generators[0].iter for node in ast.walk(TREE)
                     if isinstance(node, ast.Assign) and node.targets[0].id == 'given'
                     and isinstance(node.value, ast.DictComp)
                     and isinstance(node.value.generators[0].iter, ast.Tuple))
    overrides = set(ast.literal_eval(overrides))
    assert overrides == {'world_model', 'device', 'autostart'} and overrides <= set(TABLE.names)
    for name in overrides:     # empty: what the parameter file says stays
        assert keywords(declared[name])['default_value'] == ''
    assert used | overrides == set(declared)


def test_launched_executables_exist_and_their_parameters_too():
    nodes = [keywords(call) for call in calls('Node')]
    ours = {node['executable'] for node in nodes if node['package'] == 'kinema4d_ros'}
    assert ours == {'shadow_sim', 'episode_player', 'viewer', 'trajectory_gate', 'recorder'}
    for name in ours:
        assert (ROOT / 'executables' / name).stat().st_mode & 0o111
    assert {node['package'] for node in nodes} == {
        'kinema4d_ros', 'robot_state_publisher', 'rviz2'}
    set_here = {key.value for node in ast.walk(TREE) if isinstance(node, ast.Dict)
                for key in node.keys if isinstance(key, ast.Constant)}
    known = set(TABLE.names) | set(PLAYER_TABLE.names) | set(GATE_TABLE.names) \
        | set(RECORDER_TABLE.names) | {
            'robot_description', 'frame_prefix', 'ignore_timestamp', 'publish_frequency'}
    assert set_here <= known


def test_what_rviz_shows_follows_the_namespace():
    spec = next(node for node in TREE.body if isinstance(node, ast.Assign)
                and node.targets[0].id == 'SHOWN')
    shown = {'/' + topic for topic in ast.literal_eval(spec.value)}
    text = (CONFIG / 'shadow_sim.rviz').read_text()
    in_config = {line.partition(': ')[2] for line in text.splitlines()
                 if line.partition(': ')[2].startswith('/')}
    assert in_config <= shown


def test_every_file_that_the_launch_file_names_exists():
    for call in calls('shared'):
        assert Path(ROOT, *(part.value for part in call.args)).is_file()


def test_launch_file_loads_where_launch_is_installed():
    pytest.importorskip('launch_ros', reason='there is no launch in the PyPI wheels of ROS')
    spec = importlib.util.spec_from_file_location('shadow_sim_launch', LAUNCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = module.generate_launch_description()
    assert EXPECTED <= {argument.name for argument in description.get_launch_arguments()}


def test_description_of_an_episode(capsys):
    from kinema4d_ros.nodes.description import main
    path = next(iter(sorted((ROOT / 'data' / 'episodes').glob('*.mcap'))))
    assert main([path.stem]) == 0
    assert '<robot' in capsys.readouterr().out
    assert main(['no_such_episode']) == 1
    assert 'no such episode' in capsys.readouterr().err
    assert main([]) == 2
    assert 'give one episode' in capsys.readouterr().err
