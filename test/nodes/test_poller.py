# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that are taken past the executor."""
import threading

import rclpy
from graph import LIMIT
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

from kinema4d_ros.nodes.poller import Aside, Poller


def test_messages_come_in_order_whatever_the_callback_raises_and_none_after_the_end(
        module_ros_domain, capfd):
    heard, threads, changed = [], set(), threading.Condition()

    def take(message):
        with changed:
            heard.append(message.data)
            threads.add(threading.current_thread().name)
            changed.notify_all()
        if message.data == '1':
            raise ZeroDivisionError('a bug')

    with rclpy.Context() as context:
        node = Node('polled', context=context)
        publisher = node.create_publisher(String, 'words', 10)
        subscription = node.create_subscription(String, 'words', take, 10, callback_group=Aside())
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        poller = Poller(subscription)
        with changed:
            for number in range(5):
                publisher.publish(String(data=str(number)))
        executor.spin_once(timeout_sec=0.2)       # it leaves them alone
        with changed:
            assert changed.wait_for(lambda: len(heard) == 5, LIMIT)
        poller.close()
        publisher.publish(String(data='late'))
        executor.spin_once(timeout_sec=0.2)
        node.destroy_node()
    assert heard == ['0', '1', '2', '3', '4']
    assert threads == {'poller'}
    assert 'ZeroDivisionError: a bug' in capfd.readouterr().err
