# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of the controller behind the gate: its joints, and whether it is active."""
from __future__ import annotations

import importlib
import math
import time
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.task import Future

from kinema4d_ros.bridge.graph import owner

_AGE = 2.0          # [s] that an answer of the controller manager holds
_PATIENCE = 1.0     # [s] that an answer is waited for
_ASK_AGAIN = 1.0    # [s] after which it is asked for its joints again


class ControllerWatch:
    """
    Asks the controller for its joints, and the controller manager whether it is active.

    A controller whose manager is to be asked and does not answer is taken for one that is not
    there.
    """

    def __init__(self, node: Node, name: str, manager: str, joints: tuple[str, ...],
                 output: str, group: CallbackGroup, *, asks_joints: bool) -> None:
        """
        Prepare; `look` is to be called again and again.

        :param name: of the controller's node, resolved.
        :param manager: name of the controller manager's node; '' asks nobody.
        :param joints: that it is to have, in this order; () for those that it tells.
        :param output: topic of its set points, resolved.
        :param asks_joints: whether it has a parameter that names them.
        """
        self._node, self.name, self._output = node, name, output
        self._given, self._asks_joints, self._told = joints, asks_joints, ()
        self._state, self._state_at = '', -_AGE
        self._told_at = self._off_at = -math.inf      # steady time [s]: told its joints, was away
        self._parameters = node.create_client(GetParameters, f'{name}/get_parameters',
                                              callback_group=group)
        self._manager, self._list, self._list_type = manager, None, None
        if manager:
            try:
                self._list_type = importlib.import_module('controller_manager_msgs.srv') \
                    .ListControllers
            except ImportError:
                node.get_logger().warning(
                    'controller_manager_msgs is not installed, so nobody can be asked whether '
                    f'{name} is active; set controller_manager to an empty text if that is meant')
            else:
                self._list = node.create_client(
                    self._list_type, f'{manager}/list_controllers', callback_group=group)
        self._asked: dict[str, tuple[Future, float]] = {}

    @property
    def joints(self) -> tuple[str, ...]:
        """The joints in the order of set points; () while that is not known."""
        return self._given or self._told

    def look(self) -> None:
        """Ask whatever is to be known anew."""
        now = time.monotonic()
        if not self._node.count_subscribers(self._output) \
                or self._list is not None and self._state != 'active':
            self._off_at = now
        if self._asks_joints and (now - self._told_at > _ASK_AGAIN or self._is_outdated):
            self._ask('joints', self._parameters, lambda: GetParameters.Request(
                names=['joints']), self._take_joints)
        if self._list is not None:
            assert self._list_type is not None
            self._ask('state', self._list, self._list_type.Request, self._take_state)

    @property
    def _is_outdated(self) -> bool:
        """Whether it was away or inactive since it told its joints: set points have no names."""
        return self._told_at <= self._off_at

    def why_not(self) -> str | None:
        """Return why set points must not go to the controller now."""
        others = [owner(info) for info in self._node.get_publishers_info_by_topic(self._output)
                  if (info.node_name, info.node_namespace)
                  != (self._node.get_name(), self._node.get_namespace())]
        if others:
            return f'{" and ".join(sorted(set(others)))} publishes {self._output} too, past this ' \
                   'gate'
        if not self._node.count_subscribers(self._output):
            return f'nobody listens to {self._output}: is the controller loaded?'
        if self._given and self._told and self._given != self._told:
            return f'parameter joints is {", ".join(self._given)}, and the controller has ' \
                   f'{", ".join(self._told)}'
        if not self.joints:
            return f'{self.name} has not told its joints: set the parameter joints if it cannot'
        if self._list is not None and time.monotonic() - self._state_at > _AGE:
            return f'{self._manager} does not tell whether {self.name} is active'
        if self._list is not None and self._state != 'active':
            return f'{self.name} is {self._state or "not loaded"}, as {self._manager} says'
        if self._told and self._is_outdated:
            return f'{self.name} was inactive or away, and has not said since which joints it has'
        return None

    def _ask(self, what: str, client: Any, request: Any, take: Any) -> None:
        asked = self._asked.get(what)
        if asked is not None and not asked[0].done():
            if time.monotonic() - asked[1] < _PATIENCE:
                return
            client.remove_pending_request(asked[0])
        if not client.service_is_ready():
            return
        future, now = client.call_async(request()), time.monotonic()
        self._asked[what] = future, now
        future.add_done_callback(lambda done: take(done.result(), now))

    def _take_joints(self, reply: Any, asked_at: float) -> None:
        """Take an answer, which is of when it was asked for: it may have waited since."""
        if reply is not None and reply.values:
            self._told = tuple(reply.values[0].string_array_value)
            self._told_at = asked_at

    def _take_state(self, reply: Any, asked_at: float) -> None:
        if reply is None:
            return
        name = self.name.rpartition('/')[2]
        self._state = next((each.state for each in reply.controller if each.name == name), '')
        self._state_at = asked_at
