# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""QoS on the real graph: what `auto` asks for, and that our two ends of a topic connect."""
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import (DurabilityPolicy, qos_check_compatible, QoSCompatibility, QoSProfile,
                       ReliabilityPolicy)
from sensor_msgs.msg import Image
from std_msgs.msg import String

from kinema4d_ros.bridge import qos
from kinema4d_ros.errors import ConfigurationError

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.fixture
def node(ros_domain):
    """Return a node alone in its domain."""
    context = Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = Node('qos_test', context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.mark.parametrize('offered, asked', [
    ([], BEST_EFFORT), ([RELIABLE], RELIABLE), ([BEST_EFFORT], BEST_EFFORT),
    ([RELIABLE, BEST_EFFORT], BEST_EFFORT)])
def test_auto_asks_for_what_all_publishers_offer(node, offered, asked):
    for reliability in offered:
        node.create_publisher(Image, 'camera', QoSProfile(depth=1, reliability=reliability))
    topic = node.resolve_topic_name('camera')
    profile = qos.camera(node, topic)
    assert profile.reliability == asked
    for info in node.get_publishers_info_by_topic(topic):
        compatibility, reason = qos_check_compatible(info.qos_profile, profile)
        assert compatibility != QoSCompatibility.ERROR, reason


def test_fixed_choices_do_not_look(node):
    assert qos.camera(None, 'x', 'reliable').reliability == RELIABLE
    assert qos.camera(None, 'x', 'best_effort').reliability == BEST_EFFORT
    with pytest.raises(ConfigurationError, match='maybe.*auto, best_effort, reliable'):
        qos.camera(node, 'x', 'maybe')


def test_latched_topics_reach_late_readers(node):
    node.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION).publish(
        String(data='<robot/>'))
    got = []
    node.create_subscription(String, 'robot_description', got.append, qos.ROBOT_DESCRIPTION)
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    for _ in range(100):
        executor.spin_once(timeout_sec=0.1)
        if got:
            break
    assert got == [String(data='<robot/>')]


@pytest.mark.parametrize('name, reliability, latched', [
    ('ROBOT_DESCRIPTION', RELIABLE, True), ('JOINT_STATES', BEST_EFFORT, False),
    ('TRAJECTORY', RELIABLE, False), ('PREDICTION', RELIABLE, False),
    ('PREDICTED_FRAMES', RELIABLE, False), ('VERDICT', RELIABLE, True),
    ('MARKERS', RELIABLE, True), ('TF', RELIABLE, False), ('TF_STATIC', RELIABLE, True)])
def test_profiles(name, reliability, latched):
    profile = getattr(qos, name)
    assert profile.reliability == reliability
    assert (profile.durability == DurabilityPolicy.TRANSIENT_LOCAL) == latched
