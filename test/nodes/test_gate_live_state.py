# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the gate knows of the joints, from a real topic."""
import time

import rclpy
from graph import LIMIT
from rclpy.node import Node
from sensor_msgs.msg import JointState

from kinema4d_ros.bridge import subscription_thread
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.nodes.trajectory_gate.live_state import LiveState


class NodeWithoutQosEvents(NodeBase, Node):
    """A node as those of the package."""


def test_a_snapshot_has_the_newest_joints_however_seldom_they_are_polled(
        module_ros_domain, monkeypatch):
    monkeypatch.setattr(subscription_thread, 'PERIOD', 3600.0)
    news = []
    with rclpy.Context() as context:
        node = NodeWithoutQosEvents('gate', context=context)
        state = LiveState(node, lambda: news.append(1), lambda callback: callback)
        robot = node.create_publisher(JointState, 'joint_states', 10)

        def tell(position):
            message = JointState(name=['a'], position=[position])
            message.header.stamp = node.get_clock().now().to_msg()
            robot.publish(message)
            return message.header.stamp

        assert state.snapshot() == {} and state.newest_stamp_ns == 0
        end = time.monotonic() + LIMIT
        for position in (0.1, 0.2):
            stamp = tell(position)
            while not (joints := state.snapshot()) or joints['a'].position != position:
                assert time.monotonic() < end
                time.sleep(0.001)
            assert joints['a'].stamp_ns == stamp.sec * 10**9 + stamp.nanosec
            assert state.newest_stamp_ns == joints['a'].stamp_ns
        assert news == []        # whoever took the snapshot has seen them
        state.close()
        node.destroy_node()


def test_joints_that_come_are_told_once_until_somebody_looks(module_ros_domain):
    news = []
    with rclpy.Context() as context:
        node = NodeWithoutQosEvents('gate', context=context)
        state = LiveState(node, lambda: news.append(1), lambda callback: callback)
        robot = node.create_publisher(JointState, 'joint_states', 10)
        end = time.monotonic() + LIMIT
        for told in (1, 2):
            sent = 0
            while len(news) < told or state.newest_stamp_ns < sent:
                assert time.monotonic() < end
                stamp = node.get_clock().now()
                sent = sent or stamp.nanoseconds
                robot.publish(JointState(name=['a'], position=[0.1]))
                time.sleep(0.001)
            assert len(news) == told
            state.snapshot()
        state.close()
        node.destroy_node()
