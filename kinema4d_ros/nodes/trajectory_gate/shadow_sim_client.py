# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Asking shadow_sim for verdicts, and hearing those that it gives to others."""
from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from action_msgs.msg import GoalStatus
from rclpy.action.client import ClientGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from unique_identifier_msgs.msg import UUID

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.graph import KnownServer, why_silent
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


@dataclass(eq=False)
class _Question:
    """One that shadow_sim was asked."""

    number: int                             # of the trajectory
    handle: ClientGoalHandle | None = None
    was_unknown: bool = False               # whether its result was asked for too early
    is_answered: bool = False


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
        self._server = KnownServer(self._client.server_is_ready, self._client.greet)
        self._questions: dict[int, _Question] = {}      # by the number of the trajectory
        self._started = time.monotonic()
        self._topic = node.resolve_topic_name(f'{name.rpartition("/")[0]}/verdict')
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

    def look(self) -> None:
        """Get to know it; to be called again and again."""
        self._server.look()

    @property
    def is_known(self) -> bool:
        """Whether a question would arrive."""
        return self._server.is_known

    def ask(self, command: AskShadowSim) -> None:
        """Ask for a verdict."""
        number = command.request.number
        if command.question is not None:
            message = trajectory_message(command.question)
        elif (submitted := submission_of(command.request).goal) is not None:
            message = submitted.trajectory
        else:
            raise RuntimeError(f'trajectory {number} cannot be read, and was to be judged')
        question = self._questions[number] = _Question(number)
        goal, goal_id = Precheck.Goal(
            candidates=[message], deadline=duration_message(command.timeout)), _new_id()
        self._client.send_goal_async(goal, goal_uuid=goal_id).add_done_callback(
            self._dispatcher.guarded(lambda done: self._accepted(question, done.result())))
        # For its result at once, too: that saves the way of a question and its answer.
        self._client.ask_result(goal_id).add_done_callback(self._dispatcher.guarded(
            lambda done: self._answered_early(question, done.result())))

    def abandon(self, number: int) -> None:
        """Have a question dropped whose answer nobody needs."""
        question = self._questions.pop(number, None)
        if question is not None and question.handle is not None:
            question.handle.cancel_goal_async()

    def _is_open(self, question: _Question) -> bool:
        """Return whether its answer is still waited for."""
        return self._questions.get(question.number) is question

    def _accepted(self, question: _Question, handle: ClientGoalHandle) -> None:
        question.handle = handle
        if not self._is_open(question):
            if handle.accepted and not question.is_answered:
                handle.cancel_goal_async()
        elif not handle.accepted:
            del self._questions[question.number]
            self._dispatcher.handle(VerdictAnswered(
                question.number, ShadowSimAnswer(problem='shadow_sim rejected the question')))
        elif question.was_unknown:
            self._ask_result(question, handle)

    def _answered_early(self, question: _Question,
                        reply: Precheck.Impl.GetResultService.Response) -> None:
        if reply.status != GoalStatus.STATUS_UNKNOWN:
            self._answered(question, reply)
            return
        question.was_unknown = True     # it was asked for the result before it took the question
        if question.handle is not None and self._is_open(question):
            self._ask_result(question, question.handle)

    def _ask_result(self, question: _Question, handle: ClientGoalHandle) -> None:
        handle.get_result_async().add_done_callback(self._dispatcher.guarded(
            lambda done: self._answered(question, done.result())))

    def _answered(self, question: _Question, reply: Precheck.Impl.GetResultService.Response
                  ) -> None:
        question.is_answered = True
        if self._is_open(question):
            del self._questions[question.number]
            self._dispatcher.handle(VerdictAnswered(
                question.number, answer_from(reply.status, reply.result)))

    def _heard(self, message: VerdictMessage) -> None:
        self._dispatcher.handle(VerdictHeard(_answer(message)))


def _new_id() -> UUID:
    return UUID(uuid=list(uuid.uuid4().bytes))


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
