# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Taking the messages of a quick topic by the dozen, past the executor."""
from __future__ import annotations

import threading
import traceback

from rclpy.callback_groups import CallbackGroup
from rclpy.subscription import Subscription

from kinema4d_ros.bridge.rclpy_compat import InvalidHandle, take

PERIOD = 0.01   # [s] messages are at most this late


class NotForExecutor(CallbackGroup):
    """Keeps the executor away from a subscription."""

    def can_execute(self, entity) -> bool:
        """Tell that it may not."""
        return False

    beginning_execution = can_execute

    def ending_execution(self, entity) -> None:
        """Nothing, since nothing excludes another."""


class SubscriptionThread:
    """
    Calls the callback of a subscription in group `NotForExecutor` from a thread of its own.

    For each message that it takes, an executor of rclpy makes anew the list of all that its nodes
    wait for. That is a millisecond, half a core with joint states at 500 Hz; to take every 10 ms
    what has come costs a tenth. The subscription's depth bounds what waits: the oldest drop.
    What waits while time jumps back is taken after the jump, as with an executor.
    """

    def __init__(self, subscription: Subscription):
        """Start."""
        self._subscription = subscription
        self._ending, self._taking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name='subscription', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; no callback runs after this returns, and the subscription may be destroyed."""
        self._ending.set()
        self._thread.join()
        with self._taking:      # by who caught up meanwhile
            pass

    def catch_up(self) -> None:
        """Take in this thread what has come so far, in order; not from the callback itself."""
        with self._taking:
            try:
                self._take_all()
            except InvalidHandle:     # the node is gone
                self._ending.set()
            except Exception:         # one strange message must not end this thread
                traceback.print_exc()

    def _run(self) -> None:
        while not self._ending.wait(PERIOD):
            self.catch_up()

    def _take_all(self) -> None:
        subscription = self._subscription
        # No more than can wait at a time: whoever catches up is not held by a flood.
        for _ in range(subscription.qos_profile.depth):
            if self._ending.is_set():
                return
            message = take(subscription)
            if message is None:
                return
            subscription.callback(message)
