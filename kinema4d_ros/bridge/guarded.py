# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Callbacks whose failure is logged and ends neither the node nor, in silence, a thread."""
from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.rclpy_compat import InvalidHandle
from kinema4d_ros.errors import Kinema4DError

_PERIOD = 5.0      # [s] between two logs of failures of one callback


_Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def transition(method: _Transition) -> _Transition:
    """Log what a lifecycle transition raises (rclpy swallows it) and have the transition fail."""
    @functools.wraps(method)
    def called(self: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return method(self, state)
        except Kinema4DError as error:
            self.get_logger().error(f'{method.__name__}: {error}')
            self.failures.append(error)
        except Exception as error:
            self.get_logger().error(f'{method.__name__}:\n{traceback.format_exc()}')
            self.failures.append(error)
        return TransitionCallbackReturn.FAILURE
    return called


class GuardedNode(NodeBase):
    """
    A mixin in place of NodeBase, for a node that may go on after any of its callbacks failed.

    That holds where what a callback did not do shows by itself, as an input that becomes stale.
    rclpy ends the executor's thread at the first exception instead.
    """

    def create_subscription(  # type: ignore[override]
            self, msg_type: Any, topic: str, callback: Callable[..., Any], *arguments: Any,
            **settings: Any) -> Subscription:
        """Subscribe as NodeBase does, with a guarded callback."""
        return super().create_subscription(
            msg_type, topic, self.guarded(callback, topic), *arguments, **settings)

    def create_timer(self, timer_period_sec: float, callback: Callable[..., Any],
                     *arguments: Any, **settings: Any) -> Timer:
        """Make a timer as rclpy.node.Node does, with a guarded callback."""
        made: Timer = super().create_timer(  # type: ignore[misc]
            timer_period_sec, self.guarded(callback, 'a timer'), *arguments, **settings)
        return made

    def guarded(self, callback: Callable[..., Any], of: str) -> Callable[..., Any]:
        """Return a callback that logs what it raises; `of` says what it belongs to."""
        @functools.wraps(callback)      # rclpy looks at its parameters
        def called(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except InvalidHandle:
                raise                   # something is being destroyed: whoever spins knows that
            except Exception:
                self.get_logger().error(  # type: ignore[attr-defined]
                    f'the callback of {of} failed:\n{traceback.format_exc()}',
                    throttle_duration_sec=_PERIOD)
                return None
        return called
