# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that takes the messages of fast topics, past the executor."""
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
    Calls the callbacks of subscriptions in group `NotForExecutor` from a thread of its own.

    For each message that it takes, an executor of rclpy builds its wait set anew. That costs a
    millisecond, half a core with joint states at 500 Hz; taking every 10 ms what has arrived costs
    a tenth of it. The subscription's depth bounds what waits: the oldest messages drop. Messages
    that wait while time jumps back are taken after the jump, as with an executor.
    """

    def __init__(self, *subscriptions: Subscription, period: float = PERIOD) -> None:
        """
        Start a thread that takes the messages of subscriptions, those of `add` with them.

        :param period: [s] messages are at most this late, unless somebody catches up.
        """
        self._subscriptions, self._period = list(subscriptions), period
        self._ending, self._taking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name='subscription', daemon=True)
        self._thread.start()

    def add(self, subscription: Subscription) -> None:
        """Take the messages of another subscription as well."""
        with self._taking:
            self._subscriptions.append(subscription)

    def discard(self, subscription: Subscription) -> None:
        """Take no more messages of a subscription, which may be destroyed then."""
        with self._taking:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def close(self) -> None:
        """
        Stop the thread.

        After this returns no callback runs any more, and the subscriptions may be destroyed. One
        that does not come to its end is left behind, and said.
        """
        self._ending.set()
        self._thread.join(END_TIMEOUT)
        if self._taking.acquire(timeout=END_TIMEOUT):  # `catch_up` may still run in another thread
            self._taking.release()
        else:
            topics = ', '.join(each.topic for each in self._subscriptions)
            print(f'a callback of {topics} did not end within {END_TIMEOUT} s and is left behind',
                  file=sys.stderr)

    def catch_up(self) -> None:
        """Take all messages that wait, in order, in the calling thread; not from a callback."""
        with self._taking:
            for subscription in tuple(self._subscriptions):
                try:
                    self._take_all(subscription)
                except InvalidHandle:     # it is gone, with the node or without
                    self._subscriptions.remove(subscription)
                except Exception:         # no message may end this thread
                    traceback.print_exc()

    def _run(self) -> None:
        while not self._ending.wait(self._period):
            self.catch_up()

    def _take_all(self, subscription: Subscription) -> None:
        # No more than can wait at a time: a flood of messages must not hold the caller.
        for _ in range(subscription.qos_profile.depth):
            if self._ending.is_set():
                return
            taken = take(subscription)
            if taken is None:
                return
            call_back(subscription, *taken)
