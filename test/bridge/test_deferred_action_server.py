# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Goals that are executed outside of the executor, and end from any thread."""
import threading

import rclpy
from control_msgs.action import FollowJointTrajectory
from graph import LIMIT
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from kinema4d_ros.bridge.deferred_action_server import DeferredActionServer


def test_goals_run_side_by_side_in_one_thread_and_end_from_another(module_ros_domain):
    begun = []
    with rclpy.Context() as context:
        node = Node('deferring', context=context)
        server = DeferredActionServer(node, FollowJointTrajectory, 'move', begin=begun.append)
        client = ActionClient(node, FollowJointTrajectory, 'move')
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)

        def result(future):
            executor.spin_until_future_complete(future, timeout_sec=LIMIT)
            assert future.done()
            return future.result()

        def end(goal):
            goal.succeed()
            return FollowJointTrajectory.Result(error_string=f'goal {begun.index(goal)}')

        assert client.wait_for_server(LIMIT)
        handles = [result(client.send_goal_async(FollowJointTrajectory.Goal())) for _ in range(2)]
        waits = [handle.get_result_async() for handle in handles]
        executor.spin_once(timeout_sec=0.1)
        assert len(begun) == 2 and not any(wait.done() for wait in waits)
        thread = threading.Thread(target=lambda: [server.finish(goal, end) for goal in begun])
        thread.start()
        assert [result(wait).result.error_string for wait in waits] == ['goal 0', 'goal 1']
        thread.join()
        node.executor = None
        server.finish(begun[0], end)     # nobody is left to be sent a result
        server.destroy()
        client.destroy()
        node.destroy_node()
