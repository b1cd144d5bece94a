# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes of this package have in common."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription

_NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


class NodeBase:
    """
    A mixin, named before Node among the bases.

    Its subscriptions have no QoS event callbacks. rclpy adds these by default, and with them Fast
    DDS wakes the executor for as long as any message waits. Where another thread is to take that
    message (another of the executor's, or a SubscriptionThread) the executor finds nothing to do,
    waits, is woken again, and so keeps that thread from the GIL: a node with camera subscriptions
    stood still for up to half a second. Incompatible publishers, which the events would report,
    are found by `bridge.graph` instead.

    Parameters that files and command line give are declared at once, so that `ParameterTable`
    sees which names there are; names that come later are its to accept or refuse.
    """

    def __init__(self, name: str, **settings: Any) -> None:
        """Make the node, with `settings` as rclpy.node.Node takes them."""
        super().__init__(  # type: ignore[call-arg]
            name, allow_undeclared_parameters=True,
            automatically_declare_parameters_from_overrides=True, **settings)

    def declare_parameters(self, namespace: str, parameters: Sequence[tuple[Any, ...]],
                           ignore_override: bool = False) -> list[Parameter]:
        """
        Declare as rclpy.node.Node does.

        An empty list in a file is a parameter without a value, which rclpy takes only with a
        dynamic type.
        """
        def typed(name: str, *rest: Any) -> tuple[Any, ...]:
            if rest and rest[0] is None and not (len(rest) > 1 and rest[1].dynamic_typing):
                return name, None, ParameterDescriptor(dynamic_typing=True)
            return name, *rest

        declared: list[Parameter] = super().declare_parameters(  # type: ignore[misc]
            namespace, [typed(*each) for each in parameters], ignore_override)
        return declared

    def create_subscription(self, *arguments: Any, event_callbacks: Any = _NO_EVENTS,
                            **settings: Any) -> Subscription:
        """Subscribe as rclpy.node.Node does."""
        subscription: Subscription = super().create_subscription(  # type: ignore[misc]
            *arguments, event_callbacks=event_callbacks, **settings)
        return subscription
