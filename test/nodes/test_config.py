# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What config/ says is what the nodes do."""
import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from graph import parameters, Process, ROOT
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from kinema4d_ros.bridge import qos
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.camera_parameters import extrinsics_of
from kinema4d_ros.nodes.shadow_sim.output_topics import TOPICS
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.scene_parameters import sources_of
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings
from kinema4d_ros.robot.tracking import JointTracking, TrackingModel
from kinema4d_ros.types import JointLimit

CONFIG = ROOT / 'config'
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


def test_the_file_of_two_cameras():
    values = TABLE.check_yaml((CONFIG / 'cameras.yaml').read_text(), 'shadow_sim')
    assert values['cameras'] == ('front', 'wrist') and values['front.required'] is True
    assert [len(each) for each in extrinsics_of(values).values()] == [7, 0]
    lines = (CONFIG / 'cameras.yaml').read_text().splitlines()
    text = '\n'.join(line.replace('    # ', '    ', 1) if 'kind: ' in line or 'scene:' in line
                     else line for line in lines)
    assert sources_of(TABLE.check_yaml(text, 'shadow_sim')) == {
        'lidar': {'kind': 'points', 'sigma': 0.02, 'spacing': 0.03},
        'map': {'kind': 'octomap', 'max_age': 5.0}, 'moveit': {'kind': 'planning_scene'}}


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
    small = ElementTree.parse(CONFIG / 'fastdds_small.xml').getroot()
    segment, message = (int(small.find(f'.//f:{each}', name).text)
                        for each in ('segment_size', 'maxMessageSize'))
    assert message <= segment <= 4 * 2**20


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
