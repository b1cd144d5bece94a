# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Asking shadow_sim for verdicts, and hearing those that it gives to others."""
from __future__ import annotations

import time

from action_msgs.msg import GoalStatus
from rclpy.action.client import ClientGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import why_silent
from kinema4d_ros.bridge.motion import duration_message, stamp_ns, trajectory_message
from kinema4d_ros.bridge.rclpy_compat import DirectActionClient
from kinema4d_ros.bridge.verdicts import verdict_from_message
from kinema4d_ros.gate import ShadowSimAnswer
from kinema4d_ros.gate.commands import AskShadowSim
from kinema4d_ros.gate.events import VerdictAnswered, VerdictHeard
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher
from kinema4d_ros.nodes.trajectory_gate.messages import submission_of

# [s] after its start in which a node may not know all others yet: DDS announces itself in a burst,
# and to those that missed it again after 3 s
_DISCOVERY_TIME = 5.0


class ShadowSimClient:
    """A client of shadow_sim; called in the callback group of its action client."""

    def __init__(self, node: Node, name: str, group: CallbackGroup, dispatcher: Dispatcher):
        """
        Connect to shadow_sim.

        :param name: shadow_sim's node name, resolved.
        """
        self._node, self._dispatcher, self._name = node, dispatcher, name
        self._status_topic = f'{name}/precheck/_action/status'
        self._client = DirectActionClient(node, Precheck, f'{name}/precheck', callback_group=group)
        self._goals: dict[int, ClientGoalHandle | None] = {}    # by number, None until accepted
        self._started = time.monotonic()
        self._topic = f'{name.rpartition("/")[0]}/verdict'
        node.create_subscription(VerdictMessage, self._topic, dispatcher.guarded(self._heard),
                                 qos.VERDICT, callback_group=group)

    def why_missing(self) -> str | None:
        """Return why shadow_sim cannot be asked, as the graph shows it."""
        servers = self._node.count_publishers(self._status_topic)
        if servers == 0:
            return f'there is no shadow_sim: no node offers {self._name}/precheck'
        if servers > 1:
            return f'{servers} nodes offer {self._name}/precheck; one that died is forgotten ' \
                   'after some seconds, others must be ended'
        return None

    def why_silent(self) -> str | None:
        """Return why no late evidence can be heard."""
        if not self._node.count_publishers(self._topic):
            return f'nobody publishes {self._topic}: there is no late evidence'
        return why_silent(self._node, self._topic)

    @property
    def is_settled(self) -> bool:
        """Whether what the graph does not show can be taken as absent."""
        return time.monotonic() > self._started + _DISCOVERY_TIME

    @property
    def is_ready(self) -> bool:
        """Whether a question would arrive."""
        return self._client.server_is_ready()

    def ask(self, command: AskShadowSim) -> None:
        """Ask for a verdict."""
        number = command.request.number
        if command.question is not None:
            message = trajectory_message(command.question)
        elif (submitted := submission_of(command.request).goal) is not None:
            message = submitted.trajectory
        else:
            raise RuntimeError(f'trajectory {number} cannot be read, and was to be judged')
        self._goals[number] = None
        goal = Precheck.Goal(candidates=[message], deadline=duration_message(command.timeout))
        self._client.send_goal_async(goal).add_done_callback(self._dispatcher.guarded(
            lambda done: self._accepted(number, done.result())))

    def abandon(self, number: int) -> None:
        """Have a question dropped whose answer nobody needs."""
        handle = self._goals.pop(number, None)
        if handle is not None:
            handle.cancel_goal_async()

    def _accepted(self, number: int, handle: ClientGoalHandle) -> None:
        if number not in self._goals:     # abandoned meanwhile
            if handle.accepted:
                handle.cancel_goal_async()
            return
        if not handle.accepted:
            del self._goals[number]
            self._dispatcher.handle(VerdictAnswered(
                number, ShadowSimAnswer(problem='shadow_sim rejected the question')))
            return
        self._goals[number] = handle
        handle.get_result_async().add_done_callback(self._dispatcher.guarded(
            lambda done: self._answered(number, done.result())))

    def _answered(self, number: int, reply: Precheck.Impl.GetResultService.Response) -> None:
        if self._goals.pop(number, None) is not None:
            self._dispatcher.handle(VerdictAnswered(
                number, answer_from(reply.status, reply.result)))

    def _heard(self, message: VerdictMessage) -> None:
        self._dispatcher.handle(VerdictHeard(_answer(message)))


def answer_from(status: int, result: Precheck.Result) -> ShadowSimAnswer:
    """Return what a result of the precheck action says."""
    problem = None
    if result.error_code != Precheck.Result.NONE:
        problem = f'shadow_sim: {result.error_msg or f"error {result.error_code}"}'
    elif status != GoalStatus.STATUS_SUCCEEDED:
        problem = f'shadow_sim did not finish (goal status {status})'
    elif len(result.verdicts) != 1:
        problem = f'shadow_sim gave {len(result.verdicts)} verdicts on one trajectory'
    if len(result.verdicts) != 1:
        return ShadowSimAnswer(problem=problem)
    return _answer(result.verdicts[0], problem)


def _answer(message: VerdictMessage, problem: str | None = None) -> ShadowSimAnswer:
    return ShadowSimAnswer(verdict_from_message(message), stamp_ns(message.valid_until), problem,
                           message.rollout_id)
