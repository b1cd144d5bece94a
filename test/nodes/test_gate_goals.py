# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The side of the gate that clients see, served by one thread: cancels come in order."""
import queue

import rclpy
from control_msgs.action import FollowJointTrajectory
from gate_driver import Driver
from graph import LIMIT, swing
from rclpy.node import Node

from kinema4d_ros.bridge.group_thread import GroupThread
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.rclpy_compat import DirectActionClient
from kinema4d_ros.gate.commands import EndGoal
from kinema4d_ros.nodes.trajectory_gate import goal_server
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher, Ports
from kinema4d_ros.nodes.trajectory_gate.goal_server import GoalServer


class QuietNode(NodeBase, Node):
    """A node as those of the package."""


def test_a_cancel_while_a_goal_is_read_ends_it_as_cancelled(module_ros_domain, monkeypatch):
    """It waits in the thread that reads the goal, and rclpy knows of it when the goal ends."""
    driver, ended, failures = Driver(), queue.Queue(), []
    read = goal_server.request_from_goal
    with rclpy.Context() as context:
        node = QuietNode('gate', context=context)
        thread = GroupThread(node, after_each=lambda: dispatcher.work(),
                             on_failure=failures.append)
        dispatcher = Dispatcher(driver.machine, Ports(
            lambda _: driver.world(),
            lambda command: server.end(command) if isinstance(command, EndGoal) else None,
            lambda: None, lambda *failure: failures.append(failure), thread.wake))
        server = GoalServer(node, thread.group, dispatcher, topic=False)
        client = DirectActionClient(node, FollowJointTrajectory, 'gate/follow_joint_trajectory',
                                    callback_group=thread.group)
        sent = {}

        def slow(*given, **more):       # the client has its handle, and cancels at once
            sent['cancel'] = sent['handle'].cancel_goal_async()
            return read(*given, **more)

        def accept(goal):               # as rclpy calls it, but after the client knows of it
            sent['accept'] = goal

        def accepted(done):
            sent['handle'] = done.result()
            done.result().get_result_async().add_done_callback(
                lambda reply: ended.put(reply.result()))
            taken(sent['accept'])

        taken = server._accept
        server._server.register_handle_accepted_callback(accept)
        monkeypatch.setattr(goal_server, 'request_from_goal', slow)
        thread.start()
        assert client.wait_for_server(LIMIT)
        thread.call(lambda: client.send_goal_async(FollowJointTrajectory.Goal(
            trajectory=swing())).add_done_callback(accepted))
        reply = ended.get(timeout=LIMIT)
        assert reply.status == 5        # CANCELED
        assert reply.result.error_string == 'cancelled by the client before it was forwarded'
        assert driver.machine.is_idle and server.is_idle and failures == []
        thread.close()
        node.destroy_node()
