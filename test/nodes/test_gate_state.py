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
from kinema4d_ros.nodes.trajectory_gate.live_state import GateState


class NodeWithoutQosEvents(NodeBase, Node):
    """A node as those of the package."""


def test_what_is_asked_rests_on_the_newest_joints_however_seldom_they_are_polled(
        module_ros_domain, monkeypatch):
    monkeypatch.setattr(subscription_thread, 'PERIOD', 3600.0)
    news = []
    with rclpy.Context() as context:
        node = NodeWithoutQosEvents('gate', context=context)
        state = GateState(node, '/front', lambda: news.append(1), lambda callback: callback)
        state.start()
        robot = node.create_publisher(JointState, 'joint_states', 10)

        def tell(position):
            message = JointState(name=['a'], position=[position])
            message.header.stamp = node.get_clock().now().to_msg()
            robot.publish(message)

        assert state.joints_problem(['a'], 5.0) == 'joint_states have not told where a is'
        tell(0.1)
        end = time.monotonic() + LIMIT
        while state.joints_problem(['a'], 5.0):
            assert time.monotonic() < end
            time.sleep(0.001)
        tell(0.2)
        while state.positions(['a']) != {'a': 0.2}:
            assert time.monotonic() < end
            time.sleep(0.001)
        assert len(news) == 2
        state.close()
        node.destroy_node()
