# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread in which set points are taken, decided on and relayed, past the executor."""
from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from rclpy.subscription import Subscription

from kinema4d_ros.bridge.rclpy_compat import InvalidHandle, take, Waiter

TICK = 0.01       # [s] between looks at what is held
_SWITCH = 0.0002    # [s] after which a thread that computes lets another one go on
_END_TIMEOUT = 3.0      # [s] that it gets to end, and to bring the robot to a stand


class RelayThread:
    """
    Waits for a raw subscription alone, and calls back at once.

    An executor of rclpy builds a wait set of all that a node has for each message, and hands the
    message to another thread: more than a millisecond beside joint states and timers.
    """

    def __init__(self, subscription: Subscription, on_message: Callable[[bytes], None],
                 on_tick: Callable[[], None], on_failure: Callable[[Exception], None], *,
                 priority: int = 0) -> None:
        """
        Prepare a thread; it runs from `start` on.

        :param on_message: called in it with the bytes of each message.
        :param on_tick: called in it every `TICK` or so.
        :param on_failure: called in it when one of these raises; then it ends.
        :param priority: of a real-time thread, where the system allows that; 0 for a usual one.
        """
        self._subscription = subscription
        self._on_message, self._on_tick, self._on_failure = on_message, on_tick, on_failure
        self._ending, self._priority = threading.Event(), priority
        self.is_real_time = False
        self._calls: deque[Callable[[], None]] = deque()
        self._thread = threading.Thread(target=self._run, name='relay', daemon=True)

    def start(self) -> None:
        """Begin; other threads of this process let it go on within `_SWITCH` from now on."""
        sys.setswitchinterval(_SWITCH)
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in this thread, soon."""
        self._calls.append(function)

    def close(self) -> bool:
        """End it; return whether it did."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(_END_TIMEOUT)
        return not self._thread.is_alive()

    def _raise_priority(self) -> None:
        """Have this thread go before others, as ros2_control has its own; or not, where not."""
        if self._priority and hasattr(os, 'sched_setscheduler'):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(self._priority))
                self.is_real_time = True

    def _run(self) -> None:
        self._raise_priority()
        try:
            waiter = Waiter(self._subscription)
            ticked = 0.0
            while not self._ending.is_set():
                waiter.wait(TICK)
                while self._calls:
                    self._calls.popleft()()
                # No more than can wait at a time: a flood of messages must not hold up the rest.
                for _ in range(self._subscription.qos_profile.depth):
                    taken = take(self._subscription)
                    if taken is None:
                        break
                    self._on_message(taken[0])
                now = time.monotonic()
                if now - ticked >= TICK:
                    ticked = now
                    self._on_tick()
        except InvalidHandle:       # the node is gone
            return
        except Exception as error:
            self._on_failure(error)
