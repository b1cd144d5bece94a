# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the arm has been says nothing any more once the base that it stands on has driven."""
import math

import numpy as np
import pytest
import rclpy
from graph import READY, URDF
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge.transforms import transform_message, TransformTree
from kinema4d_ros.nodes.shadow_sim.base_watch import BaseWatch
from kinema4d_ros.nodes.shadow_sim.trail import Trail
from kinema4d_ros.robot import Robot

ROBOT = Robot.from_urdf(URDF)
ROOT = ROBOT.root_link


def pose(x=0.0, yaw=0.0):
    T = np.eye(4)
    T[0, 3] = x
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    return T


def tell(tree, parent, child, T, *, static=False):
    """Have TF say where a frame is."""
    message = transform_message(T, Header(frame_id=parent), child)
    tree.update(TFMessage(transforms=[message]), static=static)


@pytest.mark.parametrize('there, moved', [
    (pose(0.005), False), (pose(yaw=0.005), False), (pose(0.02), True), (pose(yaw=0.02), True)])
def test_a_base_has_moved_that_is_elsewhere_in_the_highest_frame(there, moved):
    tree = TransformTree()
    watch = BaseWatch(tree)
    tell(tree, 'odom', ROOT, pose())
    tell(tree, 'map', 'odom', pose(3.0), static=True)
    assert not watch.has_moved(ROOT)
    tell(tree, 'odom', ROOT, there)
    assert [watch.has_moved(ROOT) for _ in range(2)] == [moved, False]


def test_slow_steps_add_up_and_a_frame_that_appears_or_is_contradicted_is_motion():
    tree = TransformTree()
    watch = BaseWatch(tree)
    assert not watch.has_moved(ROOT)
    tell(tree, 'odom', ROOT, pose())
    assert watch.has_moved(ROOT)          # nobody knows what it did before
    found = []
    for step in range(1, 7):
        tell(tree, 'odom', ROOT, pose(0.004 * step))
        found.append(watch.has_moved(ROOT))
    assert found == [False, False, True] * 2
    tell(tree, 'world', ROOT, pose())     # another one has it elsewhere
    assert watch.has_moved(ROOT) and watch.has_moved(ROOT)


def test_the_trail_of_before_is_gone_and_a_new_one_begins(ros_domain):
    tree, moved = TransformTree(), []
    tell(tree, 'odom', ROOT, pose())
    with rclpy.Context() as context:
        node = Node('base', context=context)
        trail = Trail(node, lambda: ROBOT, lambda robot, now_ns: READY, BaseWatch(tree),
                      lambda: moved.append(node.get_clock().now().nanoseconds))
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)

        def been():
            return trail.until(ROBOT, node.get_clock().now().nanoseconds, 60.0)

        def wait():
            while been() is None:         # the test's time limit ends it
                executor.spin_once(timeout_sec=1.0)

        wait()
        assert not moved and trail.moved_ns < 0
        # for a look of 20 s ago it is of that look: where the robot has been since is known, too
        then = node.get_clock().now().nanoseconds - 20_000_000_000
        assert (trail.until(ROBOT, then, 60.0).stamps_ns == then).all()
        tell(tree, 'odom', ROOT, pose(0.5))
        assert been() is None and len(moved) == 1      # before the next look at the joints, too
        wait()
        assert (been().stamps_ns >= moved[0]).all() and len(moved) == 1
        assert 0 < trail.moved_ns <= moved[0]
        trail.clear()                 # the clock has jumped back: that time means nothing any more
        assert trail.moved_ns < 0
        trail.close()
        executor.shutdown()
        node.destroy_node()


def test_a_base_whose_links_have_a_prefix_in_tf_is_watched_by_it():
    tree = TransformTree()
    watch = BaseWatch(tree, 'left/')
    tell(tree, 'odom', f'left/{ROOT}', pose())
    tell(tree, 'odom', ROOT, pose())              # another robot, which stays
    assert not watch.has_moved(ROOT)
    tell(tree, 'odom', f'left/{ROOT}', pose(0.5))
    assert watch.has_moved(ROOT)
    tell(tree, 'odom', ROOT, pose(0.5))
    assert not watch.has_moved(ROOT)
