# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What this package needs of rclpy and rclpy does not offer: the only file that touches its privates.

Written for each RCLPY_VERSION (Jazzy, Kilted). A test fails on any other: look whether each
function still fits, then add the version here.
"""
from __future__ import annotations

import functools
import inspect
import itertools
import threading
from typing import Any

from action_msgs.msg import GoalStatusArray
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.action import ActionClient
from rclpy.executors import MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription
from rclpy.utilities import get_default_context
from std_msgs.msg import Empty

RCLPY_VERSION = ('7.1', '9.1')
__all__ = ['RCLPY_VERSION', 'DirectActionClient', 'InvalidHandle', 'RCLError', 'Waiter',
           'call_back', 'end_callbacks', 'sequence_number', 'shut_down', 'take']

_MOST_FEEDBACK = 100    # messages of it that are told before a result; its queue holds 10


def take(subscription: Subscription) -> tuple[Any, Any] | None:
    """
    Return the oldest message that waits for a subscription, past the executor; None for none.

    :return: a message, or its bytes where the subscription is raw, and its message info.
    :raises InvalidHandle: the subscription is destroyed.
    """
    with subscription.handle:
        taken: tuple[Any, Any] | None = subscription.handle.take_message(
            subscription.msg_type, subscription.raw)
    return taken


class Waiter:
    """Waits for messages of one subscription and nothing else, past the executor."""

    def __init__(self, subscription: Subscription) -> None:
        """Make a wait set for a subscription in the default context."""
        self._subscription = subscription
        self._set = _rclpy.WaitSet(1, 0, 0, 0, 0, 0, get_default_context().handle)

    def wait(self, seconds: float) -> None:
        """
        Return when a message waits, or after some seconds.

        :raises InvalidHandle: the subscription is destroyed.
        """
        self._set.clear_entities()
        with self._subscription.handle:
            self._set.add_subscription(self._subscription.handle)
            self._set.wait(int(seconds * 1e9))


class DirectActionClient(ActionClient):
    """
    An action client that calls back in its callback group, as soon as an answer is taken.

    rclpy calls those who wait for a future in another round of its executor, in any thread. And it
    reads each status that the server sends, of all goals whose results it keeps; that takes longer
    with each goal of the last minutes. Nobody asks for it: results tell how goals end.
    """

    _is_status_ready: bool

    def take_data(self) -> Any:
        """Take what has come; a status is thrown away unread, feedback is not left for later."""
        if self._is_status_ready:
            self._client_handle.take_status(_unread_status())
            self._is_status_ready = False
        taken = super().take_data()
        if 'result' in taken:
            kind = self._action_type.Impl.FeedbackMessage
            taken['rest'] = list(itertools.islice(
                iter(lambda: self._client_handle.take_feedback(kind), None), _MOST_FEEDBACK))
        return taken

    async def execute(self, taken_data: Any) -> None:
        """
        Call back; without an executor futures do that themselves.

        Feedback comes before the result that was taken with it: after it nobody listens.
        """
        for future in self._futures:
            future._set_executor(None)
        for what in ('goal', 'feedback'):
            await super().execute({what: taken_data[what]} if what in taken_data else {})
        for feedback in taken_data.get('rest', ()):
            await super().execute({'feedback': feedback})
        await super().execute({what: taken_data[what] for what in ('cancel', 'result')
                               if what in taken_data})
        self._goal_handles.clear()      # whose statuses are told; or each stays there for ever


@functools.cache
def _unread_status() -> type:
    """Return a message class that a GoalStatusArray is taken for: it comes out empty."""
    for kind in (type(GoalStatusArray), type(Empty)):
        kind.__import_type_support__()
    return type('UnreadStatus', (type,), {
        '_CREATE_ROS_MESSAGE': type(GoalStatusArray)._CREATE_ROS_MESSAGE,
        '_DESTROY_ROS_MESSAGE': type(GoalStatusArray)._DESTROY_ROS_MESSAGE,
        '_TYPE_SUPPORT': type(GoalStatusArray)._TYPE_SUPPORT,
        '_CONVERT_TO_PY': type(Empty)._CONVERT_TO_PY})('Unread', (), {})


def call_back(subscription: Subscription, message: Any, info: Any) -> None:
    """Call the callback of a subscription as an executor does: with the info if it wants it."""
    with_info = Subscription.CallbackType.WithMessageInfo
    if getattr(subscription, '_callback_type', None) is with_info:
        subscription.callback(message, info)
    else:
        subscription.callback(message)


def sequence_number(info: Any) -> int | None:
    """Return the number that a publisher gave a message in turn, None where the RMW has none."""
    number = info.get('publication_sequence_number') if isinstance(info, dict) else None
    # rmw's RMW_MESSAGE_INFO_SEQUENCE_NUMBER_UNSUPPORTED is the greatest of 64 bits
    return number if isinstance(number, int) and 0 <= number < 2**64 - 1 else None


def end_callbacks(executor: MultiThreadedExecutor, timeout: float) -> list[Exception]:
    """
    Wait for the callbacks that run in threads, and let go of those that wait to be run.

    To be called when the executor does not spin any more and before its `shutdown`, which does
    neither: callbacks that still run then raise, since things are gone that they use, and of those
    that never run Python complains when it ends.

    :param timeout: [s] after which it returns while some still run.
    :return: what callbacks raised since the executor looked last, but for what comes of using
        something that is being destroyed.
    """
    ending = threading.Thread(target=executor._executor.shutdown,
                              kwargs={'cancel_futures': True}, daemon=True)
    ending.start()
    ending.join(timeout)
    with executor._tasks_lock:
        tasks = {task for task, *_ in executor._tasks} | set(executor._futures)
        executor._tasks, executor._futures = [], []
    raised = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        if not task.done() and not task._executing and inspect.iscoroutine(task._handler):
            task._handler.close()
    return [error for error in raised if error is not None and not isinstance(error, InvalidHandle)]


def shut_down(executor: MultiThreadedExecutor, timeout: float) -> list[threading.Thread]:
    """
    Shut an executor down within `timeout` s, whatever its callbacks do, after `end_callbacks`.

    :return: its threads that still run: Python waits for them without end when it ends.
    """
    wait = {'wait_for_threads': False} \
        if 'wait_for_threads' in inspect.signature(executor.shutdown).parameters else {}
    executor.shutdown(timeout_sec=timeout, **wait)
    return [thread for thread in executor._executor._threads if thread.is_alive()]
