# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that takes the messages of a fast topic, past the executor."""
from __future__ import annotations

import sys
import threading
import traceback

from rclpy.callback_groups import CallbackGroup
from rclpy.subscription import Subscription

from kinema4d_ros.bridge.rclpy_compat import call_back, InvalidHandle, take

PERIOD = 0.01         # [s] messages are at most this late
END_TIMEOUT = 2.0     # [s] a callback gets to come to its end


class NotForExecutor(CallbackGroup):
    """A callback group whose subscriptions the executor never takes messages of."""

    def can_execute(self, entity: object) -> bool:
        """Return False for every entity."""
        return False

    beginning_execution = can_execute

    def ending_execution(self, entity: object) -> None:
        """Do nothing: none of its callbacks excludes another."""


class SubscriptionThread:
    """
    Calls the callback of a subscription in group `NotForExecutor` from a thread of its own.

    For each message that it takes, an executor of rclpy builds its wait set anew. That costs a
    millisecond, half a core with joint states at 500 Hz; taking every 10 ms what has arrived costs
    a tenth of it. The subscription's depth bounds what waits: the oldest messages drop. Messages
    that wait while time jumps back are taken after the jump, as with an executor.
    """

    def __init__(self, subscription: Subscription) -> None:
        """Start a thread that takes the messages of `subscription`."""
        self._subscription = subscription
        self._ending, self._taking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name='subscription', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """
        Stop the thread.

        After this returns no callback runs any more, and the subscription may be destroyed. One
        that does not come to its end is left behind, and said.
        """
        self._ending.set()
        self._thread.join(END_TIMEOUT)
        if self._taking.acquire(timeout=END_TIMEOUT):  # `catch_up` may still run in another thread
            self._taking.release()
        else:
            print(f'a callback of {self._subscription.topic} did not end within {END_TIMEOUT} s '
                  'and is left behind', file=sys.stderr)

    def catch_up(self) -> None:
        """Take all messages that wait, in order, in the calling thread; not from a callback."""
        with self._taking:
            try:
                self._take_all()
            except InvalidHandle:     # the node is gone
                self._ending.set()
            except Exception:         # no message may end this thread
                traceback.print_exc()

    def _run(self) -> None:
        while not self._ending.wait(PERIOD):
            self.catch_up()

    def _take_all(self) -> None:
        subscription = self._subscription
        # No more than can wait at a time: a flood of messages must not hold the caller.
        for _ in range(subscription.qos_profile.depth):
            if self._ending.is_set():
                return
            taken = take(subscription)
            if taken is None:
                return
            call_back(subscription, *taken)
