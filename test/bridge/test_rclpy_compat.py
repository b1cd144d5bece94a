# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is used of rclpy's privates is as it was, in the version that it was written for."""
import gc
import threading
import time
import warnings
from importlib.metadata import version

import pytest
import rclpy
from action_msgs.msg import GoalStatus
from graph import LIMIT
from kinema4d_ros.action import Precheck
from rclpy.action import ActionServer
from rclpy.action.client import ClientGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from std_msgs.msg import String
from unique_identifier_msgs.msg import UUID

from kinema4d_ros.bridge.rclpy_compat import (DirectActionClient, end_callbacks, InvalidHandle,
                                              RCLPY_VERSION, SharedActionClient, take)


def test_version():
    """Another rclpy: look whether `rclpy_compat` still fits, then add the version there."""
    assert version('rclpy').startswith(tuple(f'{number}.' for number in RCLPY_VERSION))


def test_messages_are_taken_until_the_subscription_is_gone(module_ros_domain):
    with rclpy.Context() as context:
        node = Node('taker', context=context)
        subscription = node.create_subscription(String, 'words', lambda _: None, 10)
        raw = node.create_subscription(String, 'words', lambda _: None, 10, raw=True)
        publisher = node.create_publisher(String, 'words', 10)
        assert take(subscription) is None
        publisher.publish(String(data='said'))
        found, end = {}, time.monotonic() + LIMIT
        while len(found) < 2:
            assert time.monotonic() < end
            for each in (subscription, raw):
                if (taken := take(each)) is not None:
                    found[each] = taken[0]
        assert found[subscription] == String(data='said') and b'said' in found[raw]
        node.destroy_subscription(subscription)
        with pytest.raises(InvalidHandle):
            take(subscription)
        node.destroy_node()


def test_callbacks_in_threads_are_waited_for_but_not_for_ever(module_ros_domain):
    began, go_on, ended = (threading.Event() for _ in range(3))

    def work():
        began.set()
        go_on.wait(LIMIT)
        ended.set()

    with rclpy.Context() as context:
        node = Node('worker', context=context)
        wake = node.create_guard_condition(work)
        executor = MultiThreadedExecutor(num_threads=2, context=context)
        executor.add_node(node)
        wake.trigger()
        while not began.is_set():
            executor.spin_once(timeout_sec=0.1)
        assert end_callbacks(executor, 0.01) == []
        assert not ended.is_set()
        go_on.set()
        assert end_callbacks(executor, LIMIT) == []
        assert ended.is_set()
        node.destroy_node()


def test_what_never_ran_and_what_was_raised_last(module_ros_domain, capfd):
    """Neither is left for the end of the interpreter to complain about."""
    go_on = threading.Event()
    gc.collect()            # what tests before have left may complain on its own

    async def never():
        raise AssertionError('it ran')

    def fail():
        go_on.wait(LIMIT)
        raise ZeroDivisionError('a bug')

    def touch_what_is_gone():
        go_on.wait(LIMIT)
        raise InvalidHandle('it was destroyed')

    with rclpy.Context() as context, warnings.catch_warnings():
        warnings.simplefilter('error')
        executor = MultiThreadedExecutor(num_threads=2, context=context)
        for call in (touch_what_is_gone, fail):
            executor.create_task(call)
            executor.spin_once(timeout_sec=LIMIT)
        go_on.set()
        executor.create_task(never)
        raised = end_callbacks(executor, LIMIT)
        assert [type(error) for error in raised] == [ZeroDivisionError]
        executor.shutdown()
        del executor, raised
        gc.collect()
    said = ''.join(capfd.readouterr())
    assert not [words for words in ("'test_what_never_ran", 'a bug', 'it was destroyed')
                if words in said], said


def test_a_direct_client_calls_back_in_its_group_and_reads_no_status(module_ros_domain):
    """Where the answer is taken, whatever the executor; statuses of other goals cost nothing."""
    group, called, done = MutuallyExclusiveCallbackGroup(), [], threading.Event()
    with rclpy.Context() as context:
        node = rclpy.create_node('direct', context=context)
        server = ActionServer(node, Precheck, 'judge',
                              lambda goal: (goal.succeed(), Precheck.Result(ranking=[7]))[1])
        client = DirectActionClient(node, Precheck, 'judge', callback_group=group)

        def accepted(future):
            called.append(group.can_execute(client))
            future.result().get_result_async().add_done_callback(ended)

        def ended(future):
            called.append((group.can_execute(client), future.result().status,
                           list(future.result().result.ranking)))
            done.set()

        executor = MultiThreadedExecutor(num_threads=3, context=context)
        executor.add_node(node)
        end = time.monotonic() + LIMIT
        while not client.server_is_ready():
            executor.spin_once(timeout_sec=0.05)
            assert time.monotonic() < end
        handles = []
        for _ in range(3):
            done.clear()
            sent = client.send_goal_async(Precheck.Goal())
            sent.add_done_callback(lambda future: handles.append(future.result()))
            sent.add_done_callback(accepted)
            while not done.is_set():
                executor.spin_once(timeout_sec=0.1)
                assert time.monotonic() < end
        assert called == [False, (False, GoalStatus.STATUS_SUCCEEDED, [7])] * 3
        assert {handle.status for handle in handles} == {GoalStatus.STATUS_UNKNOWN}
        server.destroy(), client.destroy()
        executor.shutdown()
        assert not client._goal_handles      # which would grow with each goal
        node.destroy_node()


def test_feedback_is_heard_before_the_result_that_came_with_it(module_ros_domain):
    """All of it, though a short goal had ended before anybody looked."""
    heard, ended = [], threading.Event()

    def judge(goal):
        for number in range(3):
            goal.publish_feedback(Precheck.Feedback(stage=str(number)))
        goal.succeed()
        return Precheck.Result()

    with rclpy.Context() as context:
        serving, asking = (rclpy.create_node(name, context=context) for name in ('one', 'other'))
        server = ActionServer(serving, Precheck, 'judge', judge)
        client = DirectActionClient(asking, Precheck, 'judge')
        servers, clients = (SingleThreadedExecutor(context=context) for _ in range(2))
        servers.add_node(serving), clients.add_node(asking)
        thread = threading.Thread(target=servers.spin, daemon=True)
        thread.start()
        end = time.monotonic() + LIMIT
        while not client.server_is_ready():
            assert time.monotonic() < end
        sent = client.send_goal_async(
            Precheck.Goal(), lambda message: heard.append(message.feedback.stage))
        sent.add_done_callback(lambda future: future.result().get_result_async().add_done_callback(
            lambda _: (heard.append('result'), ended.set())))
        while not sent.done():
            clients.spin_once(timeout_sec=0.1)
            assert time.monotonic() < end
        while not (client._is_feedback_ready and client._is_result_response_ready):
            look(client, context)
            assert time.monotonic() < end
        while not ended.is_set():
            clients.spin_once(timeout_sec=0.1)
            assert time.monotonic() < end
        servers.shutdown(), clients.shutdown()
        thread.join(LIMIT)
        server.destroy(), client.destroy()
        serving.destroy_node(), asking.destroy_node()
    assert heard == ['0', '1', '2', 'result']


def test_feedback_that_nobody_hears_is_not_read(module_ros_domain):
    """It is taken, or it would wake the client for ever, and thrown away."""
    enough = threading.Event()

    def judge(goal):
        goal.publish_feedback(Precheck.Feedback(stage='unheard'))
        assert enough.wait(LIMIT)
        goal.succeed()
        return Precheck.Result(ranking=[3])

    with rclpy.Context() as context:
        serving, asking = (rclpy.create_node(name, context=context) for name in ('one', 'other'))
        server = ActionServer(serving, Precheck, 'judge', judge)
        client = DirectActionClient(asking, Precheck, 'judge')
        servers, clients = (SingleThreadedExecutor(context=context) for _ in range(2))
        servers.add_node(serving), clients.add_node(asking)
        thread = threading.Thread(target=servers.spin, daemon=True)
        thread.start()
        end = time.monotonic() + LIMIT
        while not client.server_is_ready():
            assert time.monotonic() < end
        sent = client.send_goal_async(Precheck.Goal())
        look(client, context)
        while not client._is_feedback_ready:
            look(client, context)
            assert time.monotonic() < end
        taken = client.take_data()
        assert 'feedback' not in taken
        look(client, context)
        assert not client._is_feedback_ready
        clients.create_task(client.execute, taken)
        while not sent.done():
            clients.spin_once(timeout_sec=0.1)
            assert time.monotonic() < end
        result = sent.result().get_result_async()
        enough.set()
        while not result.done():
            clients.spin_once(timeout_sec=0.1)
            assert time.monotonic() < end
        servers.shutdown(), clients.shutdown()
        thread.join(LIMIT)
        server.destroy(), client.destroy()
        serving.destroy_node(), asking.destroy_node()
    assert list(result.result().result.ranking) == [3]


def look(waitable, context):
    """Ask what a waitable has to take, and take nothing."""
    entities = waitable.get_num_entities()
    waiting = rclpy_implementation.WaitSet(
        entities.num_subscriptions, entities.num_guard_conditions, entities.num_timers,
        entities.num_clients, entities.num_services, entities.num_events, context.handle)
    waiting.clear_entities()
    waitable.add_to_wait_set(waiting)
    waiting.wait(10_000_000)
    waitable.is_ready(waiting)


class Late:
    """The handle of an action client whose requests return after their answer was taken."""

    def __init__(self, handle):
        self._handle, self.answered = handle, threading.Event()

    def __getattr__(self, name):
        found = getattr(self._handle, name)
        if name.startswith('send_'):
            def send(*arguments):
                self.answered.clear()
                number = found(*arguments)
                assert self.answered.wait(LIMIT)
                return number
            return send
        if name.startswith('take_') and name.endswith('_response'):
            def taken(*arguments):
                self.answered.set()
                return found(*arguments)
            return taken
        return found

    def __enter__(self):
        return self._handle.__enter__()

    def __exit__(self, *arguments):
        return self._handle.__exit__(*arguments)


def test_an_answer_that_is_quicker_than_the_thread_that_asks_is_not_lost(module_ros_domain):
    def judge(goal):
        goal.succeed()
        return Precheck.Result()

    def answer(future, limit=10.0):
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        return done.wait(limit) and future.result()

    def is_known():
        return answer(ClientGoalHandle(
            client, UUID(uuid=[1] * 16), Precheck.Impl.SendGoalService.Response(accepted=True)
        ).get_result_async(), 0.5)      # of a goal that there is not

    with rclpy.Context() as context:
        serving, asking = (rclpy.create_node(name, context=context) for name in ('serve', 'ask'))
        server = ActionServer(serving, Precheck, 'quick', judge)
        client = SharedActionClient(asking, Precheck, 'quick',
                                    callback_group=ReentrantCallbackGroup())
        executors = [MultiThreadedExecutor(num_threads=8, context=context) for _ in range(2)]
        for executor, node in zip(executors, (serving, asking)):
            executor.add_node(node)
            threading.Thread(target=executor.spin, daemon=True).start()
        assert client.wait_for_server(LIMIT)
        while not is_known():       # what is sent sooner may be lost; the test's time limit ends it
            pass
        client._client_handle = Late(client._client_handle)
        handle = answer(client.send_goal_async(Precheck.Goal()))
        assert handle and handle.accepted
        assert answer(handle.get_result_async()).status == GoalStatus.STATUS_SUCCEEDED
        assert answer(handle.cancel_goal_async())
        for executor in executors:
            executor.shutdown()
        client.destroy()
        server.destroy()
        for node in (serving, asking):
            node.destroy_node()
