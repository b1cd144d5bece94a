# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What this package needs of rclpy and rclpy does not offer: the only file that touches its privates.

Written for RCLPY_VERSION (Jazzy). A test fails on any other: look whether each function still fits,
then change the version here.
"""
from __future__ import annotations

import threading
from typing import Any

from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.executors import MultiThreadedExecutor
from rclpy.subscription import Subscription

RCLPY_VERSION = '7.1'
__all__ = ['RCLPY_VERSION', 'InvalidHandle', 'RCLError', 'end_callback_threads', 'take']


def take(subscription: Subscription) -> Any | None:
    """
    Return the oldest message that waits for a subscription, past the executor; None for none.

    :return: a message, or its bytes where the subscription is raw.
    :raises InvalidHandle: the subscription is destroyed.
    """
    with subscription.handle:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    return None if taken is None else taken[0]


def end_callback_threads(executor: MultiThreadedExecutor, timeout: float) -> None:
    """
    Wait for the callbacks that run in threads, which `shutdown` means to do but does not.

    :param timeout: [s] after which it returns while they still run.
    """
    ending = threading.Thread(target=executor._executor.shutdown,
                              kwargs={'cancel_futures': True}, daemon=True)
    ending.start()
    ending.join(timeout)
