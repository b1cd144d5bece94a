# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes whose executor sleeps while another thread is to take a message."""
from __future__ import annotations

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.subscription import Subscription

NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


class NoQosEvents:
    """
    To be named before a Node among the bases: subscriptions get no QoS events, rclpy's default.

    For these, Fast DDS wakes the executor as long as any message waits. Where another thread is to
    take it, of the executor's own or a Poller's, the executor finds nothing to do, waits, is woken,
    and so keeps that thread from the GIL: a node that heard cameras stood still for up to half a
    second now and then. Publishers that do not fit are found by `nodes.misfits` instead.
    """

    def create_subscription(self, *arguments, event_callbacks=NO_EVENTS, **settings
                            ) -> Subscription:
        """Subscribe as a Node does."""
        return super().create_subscription(*arguments, event_callbacks=event_callbacks,
                                           **settings)
