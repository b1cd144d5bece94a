# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that are taken past the executor."""
import threading
import time

import rclpy
from graph import LIMIT
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import String

from kinema4d_ros.nodes import poller
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


def test_who_cannot_wait_catches_up_and_hears_of_publishers_that_do_not_fit(
        module_ros_domain, monkeypatch):
    monkeypatch.setattr(poller, '_PERIOD', 3600.0)
    heard, misfits = [], []
    events = SubscriptionEventCallbacks(incompatible_qos=misfits.append)
    with rclpy.Context() as context:
        node = Node('caught_up', context=context)
        subscription = node.create_subscription(
            String, 'orders', lambda message: heard.append(message.data), 10,
            callback_group=Aside(has_events=True), event_callbacks=events)
        publisher = node.create_publisher(String, 'orders', 10)
        aside = Poller(subscription)
        for number in range(5):
            publisher.publish(String(data=str(number)))
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        end = time.monotonic() + LIMIT
        while len(heard) < 5:
            assert time.monotonic() < end
            executor.spin_once(timeout_sec=0.0)
            aside.catch_up()
        assert heard == ['0', '1', '2', '3', '4']
        node.create_publisher(String, 'orders', qos_profile_sensor_data)
        while not misfits:
            assert time.monotonic() < end
            executor.spin_once(timeout_sec=0.1)
        aside.close()
        publisher.publish(String(data='late'))
        aside.catch_up()
        node.destroy_node()
    assert len(heard) == 5
