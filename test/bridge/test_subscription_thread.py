# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that are taken past the executor."""
import threading
import time

import rclpy
from graph import LIMIT
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from std_msgs.msg import String

from kinema4d_ros.bridge import subscription_thread
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread


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
        subscription = node.create_subscription(String, 'words', take, 10,
                                                callback_group=NotForExecutor())
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        thread = SubscriptionThread(subscription)
        with changed:
            for number in range(5):
                publisher.publish(String(data=str(number)))
        executor.spin_once(timeout_sec=0.2)       # it leaves them alone
        with changed:
            assert changed.wait_for(lambda: len(heard) == 5, LIMIT)
        thread.close()
        publisher.publish(String(data='late'))
        executor.spin_once(timeout_sec=0.2)
        node.destroy_node()
    assert heard == ['0', '1', '2', '3', '4']
    assert threads == {'subscription'}
    assert 'ZeroDivisionError: a bug' in capfd.readouterr().err


def test_who_cannot_wait_catches_up(module_ros_domain, monkeypatch):
    monkeypatch.setattr(subscription_thread, 'PERIOD', 3600.0)
    heard = []
    with rclpy.Context() as context:
        node = Node('caught_up', context=context)
        subscription = node.create_subscription(
            String, 'orders', lambda message: heard.append(message.data), 10,
            callback_group=NotForExecutor())
        publisher = node.create_publisher(String, 'orders', 10)
        thread = SubscriptionThread(subscription)
        for number in range(5):
            publisher.publish(String(data=str(number)))
        end = time.monotonic() + LIMIT
        while len(heard) < 5:
            assert time.monotonic() < end
            thread.catch_up()
            time.sleep(0.001)
        assert heard == ['0', '1', '2', '3', '4']
        thread.close()
        publisher.publish(String(data='late'))
        thread.catch_up()
        node.destroy_node()
    assert len(heard) == 5


def test_closing_does_not_wait_for_a_callback_that_hangs(module_ros_domain, monkeypatch, capfd):
    monkeypatch.setattr(subscription_thread, 'END_TIMEOUT', 0.1)
    entered, go_on = threading.Event(), threading.Event()

    def hang(_):
        entered.set()
        go_on.wait(LIMIT)

    with rclpy.Context() as context:
        node = Node('hanging', context=context)
        subscription = node.create_subscription(String, 'orders', hang, 10,
                                                callback_group=NotForExecutor())
        publisher = node.create_publisher(String, 'orders', 10)
        thread = SubscriptionThread(subscription)
        publisher.publish(String(data='hang'))
        assert entered.wait(LIMIT)
        thread.close()
        assert 'a callback of orders did not end' in capfd.readouterr().err
        go_on.set()
        thread.close()
        node.destroy_node()


class NodeWithoutQosEvents(NodeBase, Node):
    """A node as those of the package."""


class Counted(NotForExecutor):
    """Counts how often an executor asks for the subscription: once each time it waits."""

    looks = 0

    def can_execute(self, entity):
        """Count, and let it wait for events if there are any."""
        self.looks += isinstance(entity, Subscription)
        return not isinstance(entity, Subscription)


def test_the_executor_sleeps_while_a_message_waits_for_another_thread(
        module_ros_domain, monkeypatch):
    """With QoS events it would wait and wake without end, and keep the GIL from that thread."""
    monkeypatch.setattr(subscription_thread, 'PERIOD', 3600.0)
    heard, group = [], Counted()
    with rclpy.Context() as context:
        node = NodeWithoutQosEvents('left_waiting', context=context)
        subscription = node.create_subscription(String, 'orders', heard.append, 10,
                                                callback_group=group)
        thread = SubscriptionThread(subscription)
        publisher = node.create_publisher(String, 'orders', 10)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        publisher.publish(String(data='heard'))
        end = time.monotonic() + LIMIT
        while not heard:                 # from now on they come
            assert time.monotonic() < end
            thread.catch_up()
        group.looks, began = 0, time.monotonic()
        publisher.publish(String(data='waits'))
        while time.monotonic() - began < 0.5:
            executor.spin_once(timeout_sec=0.1)
        looks = group.looks
        thread.catch_up()
        assert [message.data for message in heard] == ['heard', 'waits']
        thread.close()
        node.destroy_node()
    assert looks < 20                    # 5, and hundreds with events


class Flood:
    """Stands for a subscription on which messages come quicker than they are taken."""

    msg_type, raw, qos_profile = String, False, QoSProfile(depth=7)

    def __init__(self):
        self.taken = 0
        self.handle = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nothing is held."""

    def take_message(self, *_):
        """There is always one more."""
        return String(), {}

    def callback(self, _):
        """Count."""
        self.taken += 1


def test_a_flood_does_not_hold_who_catches_up(monkeypatch):
    monkeypatch.setattr(subscription_thread, 'PERIOD', 3600.0)
    flood = Flood()
    thread = SubscriptionThread(flood)
    for calls in (1, 2):
        thread.catch_up()
        assert flood.taken == 7 * calls
    thread.close()
