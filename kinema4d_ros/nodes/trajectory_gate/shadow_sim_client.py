# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Asking shadow_sim for verdicts, and hearing those that it gives to others."""
from __future__ import annotations

import time
from collections.abc import Callable

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.incompatible_publishers import why_silent
from kinema4d_ros.bridge.motion import duration_message, stamp_ns
from kinema4d_ros.bridge.verdicts import verdict_from_message
from kinema4d_ros.gate.rules import Answer
from kinema4d_ros.msg import Verdict as VerdictMessage
from kinema4d_ros.nodes.trajectory_gate.ticket import Ticket

_SETTLE = 3.0    # [s] after its start in which a node may not know all others yet


class Verdicts:
    """A client of shadow_sim; called in the callback group of its action client."""

    def __init__(self, node, name: str, group, guarded: Callable, posted: Callable):
        """
        Connect.

        :param name: shadow_sim's node name, resolved.
        :param guarded: wraps a callback, so that a failure of ours cancels first.
        :param posted: returns a callback's deputy, which has it called in `group`.
        """
        self._node, self._posted, self._name = node, posted, name
        self._status_topic = f'{name}/precheck/_action/status'
        self._client = ActionClient(node, Precheck, f'{name}/precheck', callback_group=group)
        self._goals: dict[int, object] = {}       # ticket number -> goal handle, None before it
        self._started = time.monotonic()
        self.on_answer: Callable[[Ticket, Answer], None] = lambda *_: None
        self.on_verdict: Callable[[Answer], None] = lambda _: None
        self._topic = f'{name.rpartition("/")[0]}/verdict'
        node.create_subscription(VerdictMessage, self._topic, guarded(self._heard), qos.VERDICT,
                                 callback_group=group)

    def problem(self) -> str:
        """Return what is wrong with shadow_sim as the graph shows it, or ''."""
        servers = self._node.count_publishers(self._status_topic)
        if servers == 0:
            return f'there is no shadow_sim: no node offers {self._name}/precheck'
        if servers > 1:
            return f'{servers} nodes offer {self._name}/precheck; one that died is forgotten ' \
                   'after some seconds, others must be ended'
        return ''

    def why_silent(self) -> str:
        """Return why no late evidence can be heard, or ''."""
        if not self._node.count_publishers(self._topic):
            return f'nobody publishes {self._topic}: there is no late evidence'
        return why_silent(self._node, self._topic)

    @property
    def is_settled(self) -> bool:
        """Whether what the graph does not show can be taken as absent."""
        return time.monotonic() > self._started + _SETTLE

    @property
    def is_ready(self) -> bool:
        """Whether a question would arrive."""
        return self._client.server_is_ready()

    def ask(self, ticket: Ticket, deadline: float) -> None:
        """Ask for a verdict within `deadline` seconds; `on_answer` gets the answer."""
        self._goals[ticket.number] = None
        goal = Precheck.Goal(candidates=[ticket.question], deadline=duration_message(deadline))
        self._client.send_goal_async(goal).add_done_callback(
            self._posted(lambda done: self._accepted(ticket, done.result())))

    def abandon(self, ticket: Ticket) -> None:
        """Have a question dropped whose answer nobody needs."""
        handle = self._goals.pop(ticket.number, None)
        if handle is not None:
            handle.cancel_goal_async()

    def _accepted(self, ticket: Ticket, handle) -> None:
        if ticket.number not in self._goals:     # abandoned meanwhile
            if handle.accepted:
                handle.cancel_goal_async()
            return
        if not handle.accepted:
            del self._goals[ticket.number]
            self.on_answer(ticket, Answer(problem='shadow_sim rejected the question'))
            return
        self._goals[ticket.number] = handle
        handle.get_result_async().add_done_callback(
            self._posted(lambda done: self._answered(ticket, done.result())))

    def _answered(self, ticket: Ticket, reply) -> None:
        if self._goals.pop(ticket.number, None) is not None:
            self.on_answer(ticket, answer_from(reply.status, reply.result))

    def _heard(self, message: VerdictMessage) -> None:
        self.on_verdict(_answer(message))


def answer_from(status: int, result: Precheck.Result) -> Answer:
    """Return what a result of the precheck action says."""
    problem = ''
    if result.error_code != Precheck.Result.NONE:
        problem = f'shadow_sim: {result.error_msg or f"error {result.error_code}"}'
    elif status != GoalStatus.STATUS_SUCCEEDED:
        problem = f'shadow_sim did not finish (goal status {status})'
    elif len(result.verdicts) != 1:
        problem = f'shadow_sim gave {len(result.verdicts)} verdicts on one trajectory'
    if len(result.verdicts) != 1:
        return Answer(problem=problem)
    return _answer(result.verdicts[0], problem)


def _answer(message: VerdictMessage, problem: str = '') -> Answer:
    return Answer(verdict_from_message(message), stamp_ns(message.valid_until), problem,
                  message.rollout_id)
