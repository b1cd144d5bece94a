# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes of this package have in common."""
from __future__ import annotations

from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.subscription import Subscription

_NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


class NoQosEvents:
    """
    A mixin, named before Node among the bases, whose subscriptions have no QoS event callbacks.

    rclpy adds these by default, and with them Fast DDS wakes the executor for as long as any
    message waits. Where another thread is to take that message (another of the executor's, or a
    SubscriptionThread) the executor finds nothing to do, waits, is woken again, and so keeps that
    thread from the GIL: a node with camera subscriptions stood still for up to half a second.
    Incompatible publishers, of which the events would tell, are found by `bridge.graph` instead.
    """

    def create_subscription(self, *arguments: Any, event_callbacks: Any = _NO_EVENTS,
                            **settings: Any) -> Subscription:
        """Subscribe as rclpy.node.Node does."""
        return super().create_subscription(  # type: ignore[misc]
            *arguments, event_callbacks=event_callbacks, **settings)
