# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Descriptions of robots over DDS: of one publisher the newest holds, of two that differ none."""
import contextlib

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

from kinema4d_ros.bridge import qos
from kinema4d_ros.nodes.shadow_sim.description_input import DescriptionInput, TOPIC

pytestmark = pytest.mark.timeout(60)      # what ends the waiting, too


@contextlib.contextmanager
def listening(*arguments, publish_on):
    """Give what was taken, a function that waits for it, and two publishers of robots."""
    taken = []
    with rclpy.Context() as context:
        node = Node('listener', context=context, cli_args=['--ros-args', *arguments])
        others = [Node(name, context=context) for name in ('one', 'other')]
        publishers = [each.create_publisher(String, publish_on, qos.ROBOT_DESCRIPTION)
                      for each in others]
        heard = DescriptionInput(node, node.default_callback_group,
                                 lambda text, doubt: taken.append((text, doubt)))
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)

        def wait(condition):
            while not condition():
                executor.spin_once(timeout_sec=0.2)

        yield taken, wait, others, publishers
        heard.close()
        for each in (node, *others):
            each.destroy_node()


@pytest.mark.parametrize('remapped', [False, True])
def test_of_two_that_differ_none_holds_until_one_is_gone(ros_domain, remapped):
    """A remapped topic has another name in the graph, which counts the publishers."""
    name = 'cell/robot' if remapped else TOPIC
    arguments = ['-r', f'{TOPIC}:={name}'] if remapped else []
    with listening(*arguments, publish_on=name) as (taken, wait, others, (one, other)):
        one.publish(String(data='a'))
        wait(lambda: taken == [('a', '')])
        other.publish(String(data='a'))
        one.publish(String(data='b'))
        wait(lambda: len(taken) > 1 and taken[-1][1])
        assert taken[-1][0] == '' and '/one and /other' in taken[-1][1]
        others[0].destroy_publisher(one)
        wait(lambda: taken[-1] == ('a', ''))


def test_of_one_publisher_the_newest_holds(ros_domain):
    with listening(publish_on=TOPIC) as (taken, wait, others, (one, other)):
        others[1].destroy_publisher(other)
        wait(lambda: others[0].count_publishers(TOPIC) == 1)
        for text in 'abab':
            one.publish(String(data=text))
            wait(lambda text=text: taken and taken[-1] == (text, ''))
        assert [text for text, _ in taken] == list('abab')
