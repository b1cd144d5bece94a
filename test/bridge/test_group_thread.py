# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that serves a callback group of a node by itself, past the executor."""
import queue
import threading

import pytest
import rclpy
from graph import LIMIT
from kinema4d_ros.action import Precheck
from rclpy.action import CancelResponse
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from kinema4d_ros.bridge.deferred_action_server import DeferredActionServer
from kinema4d_ros.bridge.group_thread import GroupThread
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.rclpy_compat import DirectActionClient


class PlainNode(NodeBase, Node):
    """A node as those of the package."""


class Cell:
    """A node of which a thread serves one group, and what came in it, in order."""

    def __init__(self, context):
        self.node, self.said, self.failed = PlainNode('served', context=context), queue.Queue(), []
        self.thread = GroupThread(self.node, on_failure=self.failed.append)

    def say(self, *what):
        self.said.put((threading.current_thread().name, *what))

    def next(self):
        return self.said.get(timeout=LIMIT)

    def close(self):
        self.thread.close()
        self.node.destroy_node()


@pytest.fixture
def cell(module_ros_domain):
    with rclpy.Context() as context:
        made = Cell(context)
        yield made
        made.close()


def wait_for(condition):
    end = threading.Event()
    for _ in range(round(LIMIT / 0.01)):
        if condition():
            return
        end.wait(0.01)
    raise AssertionError('it did not come')


def test_everything_in_the_group_is_served_without_an_executor(cell):
    node, group = cell.node, cell.thread.group
    node.create_subscription(String, 'words', lambda message: cell.say(message.data), 10,
                             callback_group=group)

    def serve(request, response):
        cell.say('asked')
        response.message = 'told'
        return response

    node.create_service(Trigger, 'ask', serve, callback_group=group)
    client = node.create_client(Trigger, 'ask', callback_group=group)
    publisher = node.create_publisher(String, 'words', 10)
    cell.thread.start()
    wait_for(lambda: publisher.get_subscription_count() and client.service_is_ready())
    publisher.publish(String(data='one'))
    assert cell.next() == ('group', 'one')
    reply = client.call_async(Trigger.Request())
    reply.add_done_callback(lambda done: cell.say(done.result().message))
    assert [cell.next(), cell.next()] == [('group', 'asked'), ('group', 'told')]
    cell.thread.call(lambda: cell.say('called'))
    assert cell.next() == ('group', 'called')
    # what is made while it runs is served too
    node.create_subscription(String, 'later', lambda message: cell.say(message.data), 10,
                             callback_group=group)
    publisher = node.create_publisher(String, 'later', 10)
    wait_for(publisher.get_subscription_count)
    cell.thread.wake()
    publisher.publish(String(data='two'))
    assert cell.next() == ('group', 'two')
    assert cell.failed == []


def test_the_executor_leaves_the_group_alone(cell):
    cell.node.create_subscription(String, 'words', lambda message: cell.say(message.data), 10,
                                  callback_group=cell.thread.group)
    publisher = cell.node.create_publisher(String, 'words', 10)
    executor = SingleThreadedExecutor(context=cell.node.context)
    executor.add_node(cell.node)
    wait_for(publisher.get_subscription_count)
    publisher.publish(String(data='one'))
    for _ in range(5):
        executor.spin_once(0.02)
    assert cell.said.empty()
    cell.thread.start()
    assert cell.next() == ('group', 'one')
    executor.shutdown()


def test_a_goal_is_begun_cancelled_and_ended_in_one_thread(cell):
    """The cancel's callback is over before a goal is ended, so that rclpy knows of the cancel."""
    goals = []

    def begin(goal):
        cell.say('begun')
        goals.append(goal)

    def cancel(goal):
        server.finish(goal, end)        # from within: it must come after rclpy has noted it
        return CancelResponse.ACCEPT

    def end(goal):
        cell.say('ended', goal.is_cancel_requested)
        goal.canceled()
        return Precheck.Result(ranking=[7])

    server = DeferredActionServer(cell.node, Precheck, 'judge', begin=begin, cancel_callback=cancel,
                                  thread=cell.thread)
    client = DirectActionClient(cell.node, Precheck, 'judge', callback_group=cell.thread.group)
    cell.thread.start()
    wait_for(client.server_is_ready)

    def accepted(done):
        handle = done.result()
        handle.get_result_async().add_done_callback(
            lambda reply: cell.say(*reply.result().result.ranking))
        handle.cancel_goal_async()

    cell.thread.call(lambda: client.send_goal_async(Precheck.Goal()).add_done_callback(accepted))
    assert [cell.next() for _ in range(3)] == [
        ('group', 'begun'), ('group', 'ended', True), ('group', 7)]
    assert cell.failed == []


def test_a_result_may_be_asked_for_before_the_goal_is_known(cell):
    """A server that knows no such goal says so at once; the one that does answers at the end."""
    server = DeferredActionServer(
        cell.node, Precheck, 'judge', thread=cell.thread,
        begin=lambda goal: server.finish(goal, lambda goal: (goal.succeed(), Precheck.Result())[1]))
    client = DirectActionClient(cell.node, Precheck, 'judge', callback_group=cell.thread.group)
    cell.thread.start()
    wait_for(client.server_is_ready)

    def ask(send):
        goal_id = client._generate_random_uuid()
        if send:
            client.send_goal_async(Precheck.Goal(), goal_uuid=goal_id)
        client.ask_result(goal_id).add_done_callback(lambda done: cell.say(done.result().status))

    for send, status in ((False, 0), (True, 4)):       # UNKNOWN, SUCCEEDED
        cell.thread.call(lambda send=send: ask(send))
        assert cell.next() == ('group', status)


def test_it_goes_on_after_a_failure_and_calls_what_is_due(cell):
    def fail(message):
        cell.say(message.data)
        raise ZeroDivisionError('a bug')

    cell.node.create_subscription(String, 'words', fail, 10, callback_group=cell.thread.group)
    publisher = cell.node.create_publisher(String, 'words', 10)
    cell.thread.start()
    wait_for(publisher.get_subscription_count)
    for word in ('one', 'two'):
        publisher.publish(String(data=word))
        assert cell.next() == ('group', word)
    wait_for(lambda: len(cell.failed) == 2)
    assert {type(error) for error in cell.failed} == {ZeroDivisionError}
    cell.thread.every(0.001, lambda: cell.say('due'))
    assert [cell.next() for _ in range(3)] == [('group', 'due')] * 3


def test_a_timer_in_its_group_is_refused(cell):
    timer = cell.node.create_timer(1.0, lambda: None, callback_group=cell.thread.group)
    cell.thread.start()
    wait_for(lambda: cell.failed)
    assert isinstance(cell.failed[0], TypeError) and 'past the executor' in str(cell.failed[0])
    cell.node.destroy_timer(timer)


def test_what_is_destroyed_is_not_waited_for_any_more(cell):
    """What is left is served on; a thread that only finds what is gone would never do so."""
    made = [cell.node.create_subscription(
        String, topic, lambda message: cell.say(message.data), 10,
        callback_group=cell.thread.group) for topic in ('gone', 'words')]
    publisher = cell.node.create_publisher(String, 'words', 10)
    cell.thread.start()
    wait_for(publisher.get_subscription_count)
    publisher.publish(String(data='one'))
    assert cell.next() == ('group', 'one')
    cell.node.destroy_subscription(made[0])
    cell.thread.call(lambda: cell.say('on'))        # what was waited for with it is over
    assert cell.next() == ('group', 'on')
    publisher.publish(String(data='two'))
    assert cell.next() == ('group', 'two')
    assert cell.failed == []


def test_what_was_to_be_called_is_called_before_it_ends(cell):
    """The end of a node answers goals: their clients are to hear that."""
    cell.thread.start()
    cell.thread.call(lambda: cell.say('begun'))
    cell.next()
    for word in ('one', 'two'):
        cell.thread.call(lambda word=word: cell.say(word))
    cell.thread.close()
    assert [cell.said.get_nowait(), cell.said.get_nowait()] == [('group', 'one'), ('group', 'two')]


def test_it_goes_on_though_the_failure_cannot_be_told(module_ros_domain, capfd):
    def tell(error):
        raise KeyError('nobody')

    with rclpy.Context() as context:
        node, said = PlainNode('served', context=context), queue.Queue()
        thread = GroupThread(node, on_failure=tell)
        thread.start()
        thread.call(lambda: 1 / 0)
        thread.call(lambda: said.put('on'))
        assert said.get(timeout=LIMIT) == 'on'
        thread.close()
        node.destroy_node()
    assert 'ZeroDivisionError' in capfd.readouterr().err
