# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An action server whose goals run outside of the executor."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from kinema4d_ros.bridge.group_thread import GroupThread
from kinema4d_ros.bridge.rclpy_compat import end_goal


class DeferredActionServer(ActionServer):
    """
    An action server whose goals are executed elsewhere, so that no executor thread waits for them.

    An `async` execute callback would do without this class, but rclpy polls one that waits as often
    as its executor can.
    """

    def __init__(self, node: Node, action_type: Any, name: str, *,
                 begin: Callable[[ServerGoalHandle], None] = lambda goal: None,
                 thread: GroupThread | None = None, **options: Any):
        """
        Offer an action.

        :param action_type: generated class of the action.
        :param begin: called with each goal when rclpy would start its execute callback, in the
            thread that has it executed; it must return soon. What it raises goes to rclpy.
        :param thread: that serves it, in place of the node's executor.
        :param options: of rclpy.action.ActionServer.
        """
        self._begin, self._owner, self._thread = begin, node, thread
        if thread is not None:
            options['callback_group'] = thread.group
        super().__init__(node, action_type, name, execute_callback=lambda goal: None, **options)

    def notify_execute(self, goal_handle: ServerGoalHandle,
                       execute_callback: Callable[[ServerGoalHandle], Any] | None) -> None:
        """Begin a goal, where rclpy would have an executor thread wait for its end."""
        self._begin(goal_handle)

    def finish(self, goal_handle: ServerGoalHandle,
               end: Callable[[ServerGoalHandle], Any],
               then: Callable[[], object] = lambda: None) -> None:
        """
        Have the thread that serves this call `end(goal_handle)` and send what that returns.

        It may be called from any thread. Once the node has no executor any more, nothing happens:
        nobody could be sent a result.

        :param end: sets the terminal state of the goal and returns its result.
        :param then: called when it has been sent, or could not be; by a server with a thread.
        """
        if self._thread is not None:
            def send() -> None:
                try:
                    self.finish_now(goal_handle, end)
                finally:
                    then()
            self._thread.call(send)
        elif self._owner.executor is not None:
            super().notify_execute(goal_handle, end)

    def finish_now(self, goal_handle: ServerGoalHandle,
                   end: Callable[[ServerGoalHandle], Any]) -> None:
        """Do what `finish` does at once, in the thread that serves this server's group."""
        end_goal(self, goal_handle, end)
