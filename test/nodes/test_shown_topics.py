# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What config/ has RViz2 and Foxglove show is on a real graph, of that type and reachable."""
import json
import re

import numpy as np
import pytest
import yaml
from graph import FakeRobot, made, ROOT, start_shadow_sim, swing
from kinema4d_ros.msg import ClearanceSample, Verdict
from rclpy.qos import (DurabilityPolicy, LivelinessPolicy, qos_check_compatible, QoSCompatibility,
                       QoSProfile, ReliabilityPolicy)
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from kinema4d_ros.bridge import qos

RVIZ = yaml.safe_load((ROOT / 'config' / 'shadow_sim.rviz').read_text())['Visualization Manager']
LAYOUT = json.loads((ROOT / 'config' / 'foxglove.json').read_text())
PANELS = LAYOUT['configById']
#: display of RViz2 -> what it subscribes to
DISPLAYS = {'PointCloud2': 'sensor_msgs/msg/PointCloud2', 'Image': 'sensor_msgs/msg/Image',
            'MarkerArray': 'visualization_msgs/msg/MarkerArray',
            'RobotModel': 'std_msgs/msg/String'}
IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
VERDICT = 'kinema4d_ros/msg/Verdict'


def displays(items=RVIZ['Displays']):
    """Yield all displays, those in groups too."""
    for item in items:
        yield from displays(item['Displays']) if 'Displays' in item else (item,)


def in_rviz():
    """Yield topic, type and QoS (None: any) of what RViz2 shows."""
    for display in displays():
        kind = display['Class'].rpartition('/')[2]
        if kind == 'DepthCloud':
            yield display['Depth Map Topic'], IMAGE, None
            yield display['Color Image Topic'], IMAGE, None
        topic = display.get('Topic') or display.get('Description Topic')
        if topic:
            policy = {key: topic[f'{key} Policy'].upper().replace(' ', '_')
                      for key in ('Reliability', 'Durability')}
            yield topic['Value'], DISPLAYS[kind], QoSProfile(
                depth=topic['Depth'], liveliness=LivelinessPolicy.AUTOMATIC,
                reliability=ReliabilityPolicy[policy['Reliability']],
                durability=DurabilityPolicy[policy['Durability']])


def in_foxglove():
    """Yield topic and type of what Foxglove shows, as the panels that are used take them."""
    for name, panel in PANELS.items():
        match name.partition('!')[0]:
            case '3D':
                for layer in panel['layers'].values():
                    if layer['layerId'] == 'foxglove.Urdf':
                        yield layer['topic'], 'std_msgs/msg/String'
                        yield layer['jointStatesTopic'], 'sensor_msgs/msg/JointState'
                for topic in panel['topics']:
                    yield topic, DISPLAYS['MarkerArray' if 'markers' in topic else 'PointCloud2']
            case 'Image':
                yield panel['imageMode']['imageTopic'], IMAGE
                yield panel['imageMode']['calibrationTopic'], INFO
            case 'RawMessages':
                yield panel['topicPath'], VERDICT
            case 'Plot':
                for path in (*panel['paths'], panel['xAxisPath']):
                    yield re.match(r'[^.]+', path['value'])[0], VERDICT
            case 'DiagnosticSummary':
                yield panel['topicToRender'], 'diagnostic_msgs/msg/DiagnosticArray'
            case other:
                raise AssertionError(f'unknown panel {other}')


@pytest.fixture(scope='module')
def graph(module_ros_domain):
    """Give a graph with a robot, its camera and shadow_sim."""
    with made() as graph:
        FakeRobot(graph)
        node = start_shadow_sim()
        try:
            yield graph
        finally:
            node.stop()


@pytest.fixture(scope='module')
def published(graph):
    """Return topic -> its publishers."""
    wanted = {topic for topic, *_ in (*in_rviz(), *in_foxglove())}
    return graph.wait(lambda: (lambda found: all(found.values()) and found)({
        topic: graph.node.get_publishers_info_by_topic(topic) for topic in wanted}),
        f'publishers of all of {sorted(wanted)}')


def test_rviz_shows_what_is_published_with_a_qos_that_matches(published):
    shown = list(in_rviz())
    assert len(shown) > 7
    for topic, kind, wanted in shown:
        for publisher in published[topic]:
            assert publisher.topic_type == kind, topic
            if wanted is not None:
                matches, reason = qos_check_compatible(publisher.qos_profile, wanted)
                assert matches == QoSCompatibility.OK, f'{topic}: {reason}'
                assert publisher.qos_profile.durability == wanted.durability, topic


def test_rviz_has_groups_for_live_predicted_and_verdict():
    groups = {item['Name']: [display['Name'] for display in item['Displays']]
              for item in RVIZ['Displays'] if item['Class'] == 'rviz_common/Group'}
    assert list(groups) == ['Live', 'Predicted', 'Verdict'] and all(groups.values())


def test_rviz_switches_the_namespaces_that_markers_have():
    evidence, = (display for display in displays() if display['Name'] == 'Evidence')
    source = (ROOT / 'kinema4d_ros' / 'nodes' / 'shadow_sim' / 'markers.py').read_text()
    assert set(evidence['Namespaces']) == set(re.findall(r"_marker\(header, '(\w+)'", source))


def test_markers_show_the_path_of_the_tool(graph, published):
    heard = graph.listen('verdict_markers', MarkerArray, qos.MARKERS)
    commands = graph.node.create_publisher(JointTrajectory, 'joint_trajectory', qos.TRAJECTORY)
    graph.wait(lambda: commands.get_subscription_count() > 0, 'shadow_sim to listen')
    commands.publish(swing())
    kinds = {marker.ns: marker for marker in graph.wait(
        lambda: heard and heard[-1].markers, 'markers')}
    assert kinds['sentence'].header.frame_id == 'base_link'
    path = np.array([(point.x, point.y, point.z) for point in kinds['tool_path'].points])
    radius = np.linalg.norm(path[:, :2], axis=1)
    np.testing.assert_allclose(radius, radius[0], atol=1e-6)      # the shoulder turns
    turned = np.arctan2(path[:, 1], path[:, 0])
    np.testing.assert_allclose(turned[-1] - turned[0], 0.3, atol=1e-6)


def test_foxglove_shows_what_is_published(published):
    for topic, kind in in_foxglove():
        assert {publisher.topic_type for publisher in published[topic]} == {kind}, topic


def test_foxglove_plots_fields_that_a_verdict_has():
    paths = [path['value'] for name, panel in PANELS.items() if name.startswith('Plot!')
             for path in (*panel['paths'], panel['xAxisPath'])]
    assert paths
    for path in paths:
        field, part = re.fullmatch(r'/verdict\.(\w+)\[:\]\.(\w+)', path).groups()
        assert Verdict.get_fields_and_field_types()[field] == \
            'sequence<kinema4d_ros/ClearanceSample>'
        assert ClearanceSample.get_fields_and_field_types()[part] in (     # both can be plotted
            'double', 'builtin_interfaces/Duration')


def test_foxglove_places_each_panel_once():
    def places(tree):
        return [tree] if isinstance(tree, str) else [
            *places(tree['first']), *places(tree['second'])]

    assert sorted(places(LAYOUT['layout'])) == sorted(PANELS)
