# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What this package needs of rclpy and rclpy does not offer: the only file that touches its privates.

Written for each RCLPY_VERSION (Jazzy, Kilted). A test fails on any other: look whether each
function still fits, then add the version here.
"""
from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import threading
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from action_msgs.msg import GoalStatusArray
from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.action import ActionClient, ActionServer
from rclpy.action.client import ClientGoalHandle
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.utilities import get_default_context
from rclpy.waitable import Waitable
from std_msgs.msg import Empty
from unique_identifier_msgs.msg import UUID

RCLPY_VERSION = ('7.1', '9.1')
__all__ = ['RCLPY_VERSION', 'DirectActionClient', 'GroupWaiter', 'InvalidHandle', 'RCLError',
           'SharedActionClient', 'Waiter', 'call_back', 'end_callbacks', 'end_goal',
           'sequence_number', 'shut_down', 'take']

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


class GroupWaiter:
    """
    Waits for all that a callback group holds, and serves it in the calling thread.

    What an executor does in a millisecond, for all of a node and from thread to thread, takes a
    tenth of that for a few entities. Timers are not served, nor callbacks that await something.
    """

    def __init__(self, group: CallbackGroup, context: Context) -> None:
        """Wait for what `group` holds, now or later, in the context of its node."""
        self._group, self._context, self._held = group, context, -1
        self._subscriptions: list[Subscription] = []
        self._clients: list[Client] = []
        self._services: list[Service] = []
        self._guards: list[GuardCondition] = []
        self._waitables: list[Waitable] = []

    def serve(self, seconds: float, after_each: Callable[[], None]) -> None:
        """
        Serve what is ready, one after the other; wait for some seconds where nothing is.

        What was destroyed meanwhile is waited for no longer.

        :param after_each: called after each callback.
        :raises Exception: what a callback raised; what else was ready is served next time.
        """
        if len(self._group.entities) != self._held:
            self._look()
        try:
            with contextlib.ExitStack() as stack:
                ready = self._ready(seconds, stack)
        except InvalidHandle:
            self._held = -1
            return
        for serve, entity in ready:
            serve(entity)
            after_each()

    def _look(self) -> None:
        """Sort what the group holds by its kind."""
        self._held = len(self._group.entities)
        found = [entity for entity in (weak() for weak in tuple(self._group.entities))
                 if entity is not None and _is_there(entity)]
        kinds = ((self._subscriptions, Subscription), (self._clients, Client),
                 (self._services, Service), (self._guards, GuardCondition),
                 (self._waitables, Waitable))
        for kept, kind in kinds:
            kept[:] = [entity for entity in found if isinstance(entity, kind)]
        others = [entity for entity in found
                  if not isinstance(entity, tuple(kind for _, kind in kinds))]
        if others:
            raise TypeError(f'{others[0]!r} is in a group that is served past the executor')

    def _ready(self, seconds: float, stack: contextlib.ExitStack
               ) -> list[tuple[Callable[[Any], None], Any]]:
        """Wait, and return how each entity that is ready is served."""
        subscriptions, clients, services, guards = len(self._subscriptions), len(self._clients), \
            len(self._services), len(self._guards)
        timers = events = 0
        for waitable in self._waitables:
            stack.enter_context(waitable)
            count = waitable.get_num_entities()
            subscriptions, clients = subscriptions + count.num_subscriptions, \
                clients + count.num_clients
            services, guards = services + count.num_services, guards + count.num_guard_conditions
            timers, events = timers + count.num_timers, events + count.num_events
        for entity in (*self._subscriptions, *self._clients, *self._services, *self._guards):
            stack.enter_context(entity.handle)
        stack.enter_context(self._context.handle)
        found = _rclpy.WaitSet(subscriptions, guards, timers, clients, services, events,
                               self._context.handle)
        found.clear_entities()
        for entities, add in ((self._subscriptions, found.add_subscription),
                              (self._clients, found.add_client),
                              (self._services, found.add_service),
                              (self._guards, found.add_guard_condition)):
            for entity in entities:
                add(entity.handle)
        for waitable in self._waitables:
            waitable.add_to_wait_set(found)
        found.wait(max(0, int(seconds * 1e9)))
        ready: list[tuple[Callable[[Any], None], Any]] = [
            (_serve_waitable, waitable) for waitable in self._waitables if waitable.is_ready(found)]
        for kind, entities, serve in (
                ('subscription', self._subscriptions, _serve_subscription),
                ('client', self._clients, _serve_client),
                ('service', self._services, _serve_service),
                ('guard_condition', self._guards, _serve_guard)):
            pointers = found.get_ready_entities(kind)
            ready += [(serve, entity) for entity in entities if entity.handle.pointer in pointers]
        return ready


def _is_there(entity: Any) -> bool:
    """Return whether an entity has not been destroyed."""
    try:
        with entity if isinstance(entity, Waitable) else getattr(
                entity, 'handle', contextlib.nullcontext()):
            return True
    except InvalidHandle:
        return False


def _serve_waitable(waitable: Waitable) -> None:
    _run_now(waitable.execute(waitable.take_data()))


def _serve_subscription(subscription: Subscription) -> None:
    taken = take(subscription)
    if taken is not None:
        call_back(subscription, *taken)


def _serve_client(client: Client) -> None:
    with client.handle:
        header, response = client.handle.take_response(client.srv_type.Response)
    with contextlib.suppress(KeyError):     # the request was given up
        if header is not None:
            client.get_pending_request(header.request_id.sequence_number).set_result(response)


def _serve_service(service: Service) -> None:
    with service.handle:
        request, header = service.handle.service_take_request(service.srv_type.Request)
    if header is not None:
        service.send_response(service.callback(request, service.srv_type.Response()), header)


def _serve_guard(guard: GuardCondition) -> None:
    if guard.callback is not None:
        guard.callback()


def _run_now(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what rclpy has made a coroutine for those that await."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError('a callback awaits something, past the executor')


def end_goal(server: ActionServer, goal: ServerGoalHandle,
             end: Callable[[ServerGoalHandle], Any]) -> None:
    """
    Have `end(goal)` called and send what it returns as the result, now.

    :param server: whose group is served in the calling thread.
    """
    _run_now(server._execute_goal(end, goal))


class DirectActionClient(ActionClient):
    """
    An action client that calls back in its callback group, as soon as an answer is taken.

    rclpy calls those who wait for a future in another round of its executor, in any thread. And it
    reads each status that the server sends, of all goals whose results it keeps; that takes longer
    with each goal of the last minutes. Nobody asks for it: results tell how goals end.
    """

    _is_status_ready: bool
    _is_feedback_ready: bool

    def ask_result(self, goal_id: UUID) -> Future:
        """
        Ask for the result of a goal that need not be accepted yet; return a future as rclpy does.

        A server that does not know the goal yet, or has rejected it, answers STATUS_UNKNOWN.
        """
        return self.handle_of(goal_id).get_result_async()

    def greet(self) -> Future:
        """Ask for the result of a goal that there is not; the server answers, and does nothing."""
        return self.ask_result(UUID(uuid=list(uuid.uuid4().bytes)))

    def handle_of(self, goal_id: UUID) -> ClientGoalHandle:
        """Return the handle of a goal of which no answer has come, as if it were accepted."""
        return ClientGoalHandle(
            self, goal_id, self._action_type.Impl.SendGoalService.Response(accepted=True))

    def take_data(self) -> Any:
        """
        Take what has come.

        A status, and feedback for which nobody listens, is thrown away unread; what is heard of
        it is not left for later.
        """
        kind = self._action_type.Impl.FeedbackMessage
        if self._is_status_ready:
            self._client_handle.take_status(_unread(GoalStatusArray))
            self._is_status_ready = False
        if self._is_feedback_ready and not self._feedback_callbacks:
            self._client_handle.take_feedback(_unread(kind))
            self._is_feedback_ready = False
        taken = super().take_data()
        if 'result' in taken and self._feedback_callbacks:
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


class SharedActionClient(ActionClient):
    """
    An action client that any thread may ask, beside the one that serves it.

    rclpy notes a request after it was sent: where its thread has to wait just then, and the answer
    is quicker, that is dropped as unexpected, and whoever asked waits in vain.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Make it as rclpy.action.ActionClient is made."""
        self._asking = threading.Lock()
        super().__init__(*arguments, **settings)

    def send_goal_async(self, *arguments: Any, **settings: Any) -> Future:
        """Send a goal, as rclpy does."""
        with self._asking:
            return super().send_goal_async(*arguments, **settings)

    def _cancel_goal_async(self, goal_handle: ClientGoalHandle) -> Future:
        with self._asking:
            return super()._cancel_goal_async(goal_handle)

    def _get_result_async(self, goal_handle: ClientGoalHandle) -> Future:
        with self._asking:
            return super()._get_result_async(goal_handle)

    async def execute(self, taken_data: Any) -> None:
        """Call back, once what was asked is noted."""
        with self._asking:
            pass
        await super().execute(taken_data)


@functools.cache
def _unread(kind: Any) -> type:
    """Return a message class that a message of `kind` is taken for: it comes out empty."""
    meta: Any = type(kind)
    for each in (meta, type(Empty)):
        each.__import_type_support__()
    return type('Unread', (type,), {
        '_CREATE_ROS_MESSAGE': meta._CREATE_ROS_MESSAGE,
        '_DESTROY_ROS_MESSAGE': meta._DESTROY_ROS_MESSAGE,
        '_TYPE_SUPPORT': meta._TYPE_SUPPORT,
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
