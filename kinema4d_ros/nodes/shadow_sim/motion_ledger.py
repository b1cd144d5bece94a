# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Follows judged motions from their verdict to their end, for the ledger."""
from __future__ import annotations

import collections
import dataclasses
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from kinema4d_ros.bridge import qos
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.execution import BY_CLIENT
from kinema4d_ros.ledger import End, SeenMotion, JointHistory, LedgerLimits, PredictedMotion
from kinema4d_ros.msg import Decision
from kinema4d_ros.nodes.shadow_sim.candidate import Candidate
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation
from kinema4d_ros.nodes.shadow_sim.ledger_writer import LedgerWork, LedgerWriter
from kinema4d_ros.nodes.shadow_sim.live_inputs import LiveInputsHolder
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Verdict

_PERIOD = 0.04          # [s] between two samples of the joints while something moves
_KEPT = 8               # motions that are remembered until somebody forwards them
_LONGEST = 600.0        # [s] after which a motion of which no end is heard is given up
_LOOK_WAIT = 3.0        # [s] for a look at the world after the end
_LIMITS = {limit.name: f'ledger.{limit.name}' for limit in dataclasses.fields(LedgerLimits)}


@dataclass(frozen=True, eq=False)
class _Judged:
    motion: PredictedMotion
    robot: Robot
    settings: PrecheckSettings


@dataclass(eq=False)
class _Execution:
    judged: _Judged
    began: float                             # by the steady clock, as all of these
    history: JointHistory = field(default_factory=JointHistory)
    end: End | None = None                   # how it ended, once it has
    ended: float = 0.0
    stopped: End | None = None               # that is on its way to an end


class MotionLedger:
    """
    Remembers what was judged, and hears from gates what becomes of it.

    Off where the parameter ledger.file is empty. `remember` comes from the thread that judges, and
    only puts something into a list; the rest is done in callbacks of a group of their own.
    """

    def __init__(self, node: LifecycleNode, live: LiveInputsHolder,
                 settings: Callable[[], ShadowSimSettings]):
        """Subscribe to the decisions of gates, where there is to be a ledger."""
        self._node, self._live, self._settings = node, live, settings
        values = settings().values
        self.is_on = bool(values['ledger.file'])
        self._lock = threading.Lock()
        self._judged: collections.OrderedDict[str, _Judged] = collections.OrderedDict()
        self._running: dict[str, _Execution] = {}       # by rollout id
        self._writer = LedgerWriter(node.get_logger())
        self._subscriptions: list[Any] = []
        if not self.is_on:
            return
        group = MutuallyExclusiveCallbackGroup()
        self._timer = node.create_timer(_PERIOD, self._sample, callback_group=group,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()
        self._subscriptions = [
            node.create_subscription(Decision, topic, self._on_decision, qos.DECISIONS,
                                     callback_group=group) for topic in values['ledger.decisions']]

    def remember(self, candidate: Candidate, observed: object, verdict: Verdict,
                 settings: PrecheckSettings) -> None:
        """Keep a motion that was judged, in case that it is executed; a later verdict replaces."""
        if not self.is_on or not isinstance(observed, FramedObservation) \
                or candidate.motion is None:
            return
        robot, trajectory = candidate.motion
        seen = observed.observation
        for name, background in candidate.assessment.backgrounds.items():
            seen = seen.with_view(name, background=background)
        judged = _Judged(PredictedMotion(seen, trajectory, verdict, candidate.start,
                                         candidate.rollout_id), robot, settings)
        with self._lock:
            self._judged[candidate.rollout_id] = judged
            self._judged.move_to_end(candidate.rollout_id)
            while len(self._judged) > _KEPT:
                self._judged.popitem(last=False)
            running = self._running.get(candidate.rollout_id)
            if running is not None:
                running.judged = judged

    def counts(self) -> dict[str, Any]:
        """Return the numbers for the diagnostics, by their names there."""
        return self._writer.counts() if self.is_on else {}

    def close(self) -> None:
        """Enter what has ended; what still moves is not entered."""
        if self.is_on:
            self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self._writer.close()

    # ------------------------------------------------------------------ callbacks

    def _on_decision(self, message: Decision) -> None:
        now, rollout_id = time.monotonic(), message.rollout_id
        with self._lock:
            if message.kind == Decision.FORWARD:
                judged = self._judged.pop(rollout_id, None)
                if judged is None:      # of another shadow_sim, or of an earlier run of the gate
                    return
                over = {key: each for key, each in self._running.items() if each.end is not None}
                for older in self._running.values():
                    if older.end is None and set(judged.motion.trajectory.joint_names) & set(
                            older.judged.motion.trajectory.joint_names):
                        older.end, older.ended = older.stopped or End.REPLACED, now
                self._running[rollout_id] = _Execution(judged, now)
                self._timer.reset()
                for key, each in over.items():      # the last look before the robot moves again
                    self._finish(each, now, is_alone=True, at_once=True)
                    del self._running[key]
                return
            running = self._running.get(rollout_id)
            if running is None or running.end is not None:
                return
            if message.kind == Decision.STOP:
                running.stopped = End.CANCELLED if message.sentence.startswith(BY_CLIENT) \
                    else End.STOPPED
            elif message.kind == Decision.DONE:
                running.end, running.ended = running.stopped or End.DONE, now

    def _sample(self) -> None:
        """Note where the joints are, and finish what has ended."""
        now = time.monotonic()
        with self._lock:
            running = dict(self._running)
        live, values = self._live.current, self._settings().values
        ros_ns = self._node.get_clock().now().nanoseconds
        moving = [each for each in running.values() if each.end is None]
        # one that has ended is followed until it is entered: where it came to rest belongs to it
        for each in moving or running.values():
            if each.end is None and now - each.began > _LONGEST:
                each.end, each.ended = End.UNKNOWN, now
            elif live.inputs is not None:
                try:
                    joints = live.inputs.joint_positions(each.judged.robot, ros_ns, values)
                except InputProblem:      # a gap in the history says so
                    continue
                each.history.add(now, joints)
        for rollout_id, each in running.items():
            if each.end is not None and self._finish(each, now, is_alone=not moving):
                with self._lock:
                    self._running.pop(rollout_id, None)
        with self._lock:
            if not self._running:
                self._timer.cancel()

    def _finish(self, execution: _Execution, now: float, *, is_alone: bool,
                at_once: bool = False) -> bool:
        """
        Have an execution that has ended entered; return whether nothing more is to be done.

        :param is_alone: nothing else moves now.
        :param at_once: there is no time to wait for anything.
        """
        settings = self._settings()
        values, since = settings.values, now - execution.ended
        settle = values['ledger.settle'] if is_alone else 0.0
        if since < settle and not at_once:
            return False
        after, why = None, ''
        if is_alone:
            try:
                after = self._look(values)
            except Kinema4DError as error:
                why = str(error)
            if after is None and since < settle + _LOOK_WAIT and not at_once:
                return False
        else:
            why = 'another motion followed at once, so its end was not looked at'
        judged = execution.judged
        try:
            self._writer.take(LedgerWork(
                judged.motion, SeenMotion(
                    execution.history, None if after is None else after.observation,
                    execution.end or End.UNKNOWN, why),
                judged.robot, judged.settings,
                LedgerLimits(**{limit: values[name] for limit, name in _LIMITS.items()}),
                values['ledger.file'], values['ledger.most_entries']))
        except Exception:      # whatever it is, the node goes on
            self._node.get_logger().error(traceback.format_exc())
        return True

    def _look(self, values: Any) -> FramedObservation | None:
        """Return what the cameras see now; None while the node is not active."""
        live = self._live.current
        if live.inputs is None or live.source.finder is None:
            return None
        return live.inputs.observe(live.source.finder, self._node.get_clock().now().nanoseconds,
                                   values)
