# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that serves a callback group of a node by itself, past the executor."""
from __future__ import annotations

import collections
import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable

from rclpy.node import Node

from kinema4d_ros.bridge.rclpy_compat import GroupWaiter, InvalidHandle
from kinema4d_ros.bridge.subscription_thread import NotForExecutor

_SWITCH = 0.0002        # [s] after which a thread that computes lets another one go on
_LONGEST = 1.0          # [s] between two looks whether it is to end
_PAUSE = 0.01           # [s] after a failure, which may come again at once
_END_TIMEOUT = 2.0      # [s] a callback gets to come to its end


def _say(error: Exception) -> None:
    traceback.print_exception(error)


class _Regular:
    """What is called again and again."""

    def __init__(self, period: float, call: Callable[[], None]) -> None:
        self.period, self.call, self.due = period, call, time.monotonic() + period


class GroupThread:
    """
    Serves all entities of `group`, one callback at a time, in one thread that does nothing else.

    An executor of rclpy builds a wait set of all that a node has for each message, and hands the
    message to another thread: half a millisecond for each step of an action, a goal has ten of
    these. What the group's callbacks wait for so comes after a tenth of it, in the order in which
    it came, and cannot be held up by other callbacks of the node.
    """

    def __init__(self, node: Node, *, after_each: Callable[[], None] = lambda: None,
                 on_failure: Callable[[Exception], None] = _say) -> None:
        """
        Prepare; it runs from `start` on.

        :param after_each: called in the thread after each callback, and when it was woken.
        :param on_failure: called in it with what a callback raised; the thread goes on.
        """
        self.group, self._node = NotForExecutor(), node
        self._after_each, self._on_failure = after_each, on_failure
        self._guard = node.create_guard_condition(lambda: None, callback_group=self.group)
        self._waiter, self._context = GroupWaiter(self.group, node.context), node.context
        self._regular: list[_Regular] = []
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name='group', daemon=True)

    def every(self, period: float, call: Callable[[], None]) -> None:
        """Have something called in the thread every `period` s, by a steady clock."""
        self._regular.append(_Regular(period, call))
        self.wake()

    def call(self, function: Callable[[], None]) -> None:
        """
        Have a function called in the thread, soon; from any thread.

        What waits when the thread is closed is called before it ends.
        """
        self._calls.append(function)
        self.wake()

    def start(self) -> None:
        """Begin; other threads of this process let it go on within `_SWITCH` from now on."""
        sys.setswitchinterval(_SWITCH)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether it is this thread that asks."""
        return threading.current_thread() is self._thread

    def wake(self) -> None:
        """Have `after_each` called in the thread, soon; from any thread."""
        with contextlib.suppress(InvalidHandle):        # it has ended
            self._guard.trigger()

    def close(self) -> None:
        """End it; after that what is in the group may be destroyed."""
        self._ending.set()
        if self._thread.is_alive():
            self.wake()
            self._thread.join(_END_TIMEOUT)
        if self._thread.is_alive():
            print(f'a callback did not end within {_END_TIMEOUT} s and is left behind',
                  file=sys.stderr)
            return
        self._node.destroy_guard_condition(self._guard)

    def _run(self) -> None:
        while not self._ending.is_set() and self._context.ok():
            self._attempt(self._round)
        while self._calls and self._context.ok():       # results, of which clients are to hear
            self._attempt(self._calls.popleft())

    def _attempt(self, function: Callable[[], None]) -> None:
        """Call it; whatever it raises, this thread goes on."""
        try:
            function()
            return
        except InvalidHandle:       # something was destroyed while it was served
            pass
        except Exception as error:
            if not self._context.ok():
                return
            try:
                self._on_failure(error)
            except Exception as another:
                _say(another)
        self._ending.wait(_PAUSE)

    def _round(self) -> None:
        while self._calls:
            self._calls.popleft()()
        due = min((each.due for each in self._regular), default=float('inf'))
        self._waiter.serve(min(due - time.monotonic(), _LONGEST), self._after_each)
        now = time.monotonic()
        for each in tuple(self._regular):
            if now >= each.due and not self._ending.is_set():
                each.due = max(each.due + each.period, now)
                each.call()
                self._after_each()
