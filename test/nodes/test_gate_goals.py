# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The side of the gate that clients see: ends that wait for rclpy hold no thread."""
import contextlib

import rclpy
from control_msgs.action import FollowJointTrajectory
from gate_driver import Driver
from graph import swing
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from unique_identifier_msgs.msg import UUID

from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.gate.commands import EndGoal
from kinema4d_ros.gate.events import GoalEnd
from kinema4d_ros.nodes.trajectory_gate import goal_server
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher, Ports
from kinema4d_ros.nodes.trajectory_gate.goal_server import GoalServer


class QuietNode(NodeBase, Node):
    """A node as those of the package."""


class Goal:
    """A goal of which rclpy does not know yet that it is cancelled."""

    def __init__(self):
        self.goal_id, self.status = UUID(uuid=[7] * 16), 1
        self.request = FollowJointTrajectory.Goal(trajectory=swing())
        self.is_active, self.is_cancel_requested, self.ended = True, False, []

    succeed = abort = None

    def canceled(self):
        self.ended.append('canceled')
        self.is_active = False


def test_a_cancel_while_a_goal_is_read_comes_after_its_submission(module_ros_domain, monkeypatch):
    driver, seen = Driver(), []
    read = goal_server.request_from_goal
    with rclpy.Context() as context:
        node = QuietNode('gate', context=context)
        dispatcher = Dispatcher(driver.machine, Ports(
            lambda _: driver.world(), seen.append, lambda: None, lambda *_: None, lambda: None))
        server = GoalServer(node, MutuallyExclusiveCallbackGroup(), dispatcher, topic=False)
        goal = Goal()

        def slow(*given, **more):
            server._cancel(goal)       # rclpy calls it from another thread
            return read(*given, **more)

        monkeypatch.setattr(goal_server, 'request_from_goal', slow)
        server._accept(goal)
        dispatcher.work()
        ends = [command for command in seen if isinstance(command, EndGoal)]
        assert [end.how for end in ends] == [GoalEnd.CANCEL] and driver.machine.is_idle
        node.destroy_node()


def test_the_end_of_a_goal_waits_without_a_thread_until_rclpy_knows_of_its_cancel(
        module_ros_domain):
    driver, failures = Driver(), []
    with rclpy.Context() as context:
        node = QuietNode('gate', context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        dispatcher = Dispatcher(driver.machine, Ports(
            lambda _: driver.world(), lambda _: None, lambda: None,
            lambda *failure: failures.append(failure), lambda: None))
        server = GoalServer(node, MutuallyExclusiveCallbackGroup(), dispatcher, topic=False)
        goal = Goal()
        server._accept(goal)           # rclpy calls it
        server.end(EndGoal(1, GoalEnd.CANCEL, 0, 'cancelled'))
        for _ in range(3):             # one thread is all there is, and it is free
            executor.spin_once(0.02)
        assert goal.ended == [] and not server.is_idle
        goal.is_cancel_requested = True
        for _ in range(100):
            if server.is_idle:
                break
            with contextlib.suppress(KeyError):      # rclpy keeps no result for this goal
                executor.spin_once(0.02)
        assert goal.ended == ['canceled'] and server.is_idle and failures == []
        server.end(EndGoal(1, GoalEnd.CANCEL))        # nobody waits any more
        executor.shutdown()
        node.destroy_node()
