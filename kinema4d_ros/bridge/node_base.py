# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What all nodes have in common: no QoS events, and parameters that may have names of things."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription

NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


class NoQosEvents:
    """
    To be named before a Node among the bases: subscriptions get no QoS events, rclpy's default.

    For these, Fast DDS wakes the executor as long as any message waits. Where another thread is to
    take it, of the executor's own or a Poller's, the executor finds nothing to do, waits, is woken,
    and so keeps that thread from the GIL: a node that heard cameras stood still for up to half a
    second now and then. Publishers that do not fit are found by `nodes.misfits` instead.

    What parameter files and command line give is declared at once, so that `ParameterTable` sees
    which names there are, and names that come later are its to accept or refuse.
    """

    def __init__(self, name: str, **settings: Any) -> None:
        """Make the node as a Node is made."""
        super().__init__(name, allow_undeclared_parameters=True,
                         automatically_declare_parameters_from_overrides=True, **settings)

    def declare_parameters(self, namespace: str, parameters: Sequence[tuple],
                           ignore_override: bool = False) -> list[Parameter]:
        """
        Declare as a Node does.

        An empty list in a file is a parameter without a value, which rclpy takes only with a
        dynamic type.
        """
        def typed(name: str, *rest: Any) -> tuple:
            if rest and rest[0] is None and not (len(rest) > 1 and rest[1].dynamic_typing):
                return name, None, ParameterDescriptor(dynamic_typing=True)
            return name, *rest

        return super().declare_parameters(
            namespace, [typed(*each) for each in parameters], ignore_override)

    def create_subscription(self, *arguments, event_callbacks=NO_EVENTS, **settings
                            ) -> Subscription:
        """Subscribe as a Node does."""
        return super().create_subscription(*arguments, event_callbacks=event_callbacks,
                                           **settings)
