# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the controller has been given: watched, stopped when need be, followed to its end."""
from __future__ import annotations

from kinema4d_ros.gate.commands import CancelAtController, DecisionKind, EndGoal, Forward, LogLevel
from kinema4d_ros.gate.evidence import is_only_about_start
from kinema4d_ros.gate.events import ControllerAccepted, ControllerFinished, GoalEnd
from kinema4d_ros.gate.handover import find_handover, Handover
from kinema4d_ros.gate.motions import EventContext, ForwardedMotion, PendingMotion, Phase
from kinema4d_ros.gate.request import ShadowSimAnswer
from kinema4d_ros.gate.rules import GoalErrorCode, Objection
from kinema4d_ros.types import Verdict

_RESPONSE = 2.0    # [s] for the controller to take a goal; later it would start a stale motion
_RETRY = 0.25      # [s] between two attempts to cancel
_SLOW_RETRY = 5.0  # [s] the same, once a controller has not ended it for long
_CANCEL_TIMEOUT = 30.0   # [s] a client waits for the end of a goal that is being cancelled
_EARLY = 0.01      # [s] before a handover, the way to the controller takes that long


class Execution:
    """The motions at the controller. The newest that it accepted is the one it executes."""

    def __init__(self) -> None:
        """Begin with no motion at the controller."""
        self._sent: list[ForwardedMotion] = []

    @property
    def is_idle(self) -> bool:
        """Whether the controller has nothing of ours."""
        return not self._sent

    @property
    def moving(self) -> ForwardedMotion | None:
        """The motion that the controller accepted last and has not ended."""
        accepted = [motion for motion in self._sent if motion.accepted_ns is not None]
        return accepted[-1] if accepted else None

    def find(self, number: int) -> ForwardedMotion | None:
        """Return the motion with a number; None when it is not at the controller."""
        return next((motion for motion in self._sent if motion.request.number == number), None)

    # ------------------------------------------------------------------ to the controller

    def send(self, waiting: PendingMotion, context: EventContext) -> None:
        """Hand a motion to the controller."""
        waiting.prepare_monitor(context.world)
        motion = ForwardedMotion(waiting.request, waiting.settings, waiting.answer, context.now,
                                 context.world.now_ns, waiting.monitor, waiting.overridden)
        if waiting.watch_problem:
            context.report(DecisionKind.UNWATCHED, f'{motion.request.name} is not watched: '
                           f'{waiting.watch_problem}', motion, LogLevel.WARNING)
        self._sent.append(motion)
        context.do(Forward(motion.request))

    def cancel_by_client(self, number: int, context: EventContext) -> None:
        """Cancel what its client no longer wants."""
        motion = self.find(number)
        if motion is not None:
            motion.by_client = True
            self._stop(motion, 'cancelled by the client', context)

    def stop_all(self, reason: str, context: EventContext, *, again: bool) -> None:
        """
        Cancel whatever the controller has, the moving one first, all before any report.

        :param again: also what is being stopped already.
        """
        motions = [motion for motion in self._sent[::-1] if again or motion.stop is None]
        for motion in motions:
            context.do(CancelAtController(motion.request.number))
        for motion in motions:
            self._stop(motion, reason, context, cancel=False)
            if motion.accepted_ns is None:      # it may never have gone out
                self._end_client_goal(motion, GoalEnd.ABORT, GoalErrorCode.INVALID_GOAL, reason,
                                      context)

    def _stop(self, motion: ForwardedMotion, reason: str, context: EventContext,
              error: GoalErrorCode = GoalErrorCode.INVALID_GOAL, *, cancel: bool = True) -> None:
        """Cancel it at the controller; `tick` does so again and again until it ends."""
        if motion.stop is not None:
            return
        motion.phase, motion.stop = Phase.STOPPING, Objection(reason, error)
        motion.stopped_at = motion.cancelled_at = context.now
        if cancel:
            context.do(CancelAtController(motion.request.number))    # before anything is said
        how = 'is cancelled'
        if motion.request.source == 'topic' and motion.settings.topic_route == 'topic':
            how = 'went to the controller by topic AND CANNOT BE STOPPED by the gate'
        context.report(DecisionKind.STOP, f'{reason}: {motion.request.name} {how}', motion,
                       LogLevel.INFO if motion.by_client else LogLevel.ERROR)

    # ------------------------------------------------------------------ from the controller

    def accepted(self, event: ControllerAccepted, context: EventContext) -> None:
        """Note that the controller executes this, in place of older ones."""
        motion = self.find(event.request.number)
        if motion is None:      # given up when no controller was left, and now it starts
            motion = ForwardedMotion(
                event.request, context.world.settings, ShadowSimAnswer(), context.now,
                context.world.now_ns, phase=Phase.STOPPING, client_knows=True,
                stop=Objection('the gate had given it up'), stopped_at=context.now)
            self._sent.append(motion)
        motion.accepted_ns = context.world.now_ns
        motion.can_be_cancelled = event.can_be_cancelled
        if motion.stop is not None:
            self._cancel(motion, context)
        elif context.now - motion.sent_at > _RESPONSE and motion.settings.may_stop:
            self._stop(motion, 'the controller took it too late', context)
        else:
            motion.phase = Phase.EXECUTING
        if not event.can_be_cancelled:    # nothing more is heard of older ones by topic either
            for older in self._sent[:self._sent.index(motion)]:
                if not older.can_be_cancelled:
                    self._forget_topic_motion(older, context)

    def rejected(self, number: int, context: EventContext) -> None:
        """Give up what the controller refused."""
        motion = self.find(number)
        if motion is not None:
            self._give_up(motion, 'the controller rejected it; its log says why', context)

    def finished(self, event: ControllerFinished, context: EventContext) -> None:
        """Relay how it ended."""
        motion = self.find(event.number)
        if motion is None:
            return
        self._forget(motion)
        how, code, text = event.how, event.error_code, event.error_string
        if how is GoalEnd.SUCCEED:
            motion.succeeded = True
            context.report(DecisionKind.DONE, f'{motion.request.name} is done', motion)
        else:
            if motion.stop is not None and not motion.by_client:
                code, text = int(motion.stop.error), motion.stop.reason
            said = text or ('cancelled' if how is GoalEnd.CANCEL else 'aborted')
            context.report(DecisionKind.DONE, f'{motion.request.name} ended: {said}', motion)
            # CANCELED is legal only for a goal that its client cancelled.
            if not motion.by_client:
                how = GoalEnd.ABORT
        self._end_client_goal(motion, how, code, text, context)

    def _give_up(self, motion: ForwardedMotion, reason: str, context: EventContext) -> None:
        self._forget(motion)
        context.report(DecisionKind.DONE, f'{reason}: {motion.request.name}', motion,
                       LogLevel.ERROR)
        self._end_client_goal(motion, GoalEnd.ABORT, GoalErrorCode.INVALID_GOAL, reason, context)

    def _forget_topic_motion(self, motion: ForwardedMotion, context: EventContext) -> None:
        """End the goal of a motion that went by topic: no report of its end comes."""
        self._forget(motion)
        self._end_client_goal(motion, GoalEnd.SUCCEED, 0, 'it went by topic', context)

    @staticmethod
    def _end_client_goal(motion: ForwardedMotion, how: GoalEnd, code: int, text: str,
                         context: EventContext) -> None:
        if not motion.client_knows:
            motion.client_knows = True
            context.do(EndGoal(motion.request.number, how, int(code), text))

    def _forget(self, motion: ForwardedMotion) -> None:
        motion.phase = Phase.ENDED
        self._sent.remove(motion)

    @staticmethod
    def _cancel(motion: ForwardedMotion, context: EventContext) -> None:
        motion.cancelled_at = context.now
        context.do(CancelAtController(motion.request.number))

    # ------------------------------------------------------------------ the world

    def take_late_fail(self, verdict: Verdict, context: EventContext) -> None:
        """Take a FAIL that came after the decision."""
        if is_only_about_start(verdict):
            return       # of course: it has left its start
        for motion in self._sent:
            request = motion.request
            if verdict.trajectory_hash not in (request.trajectory_hash, request.asked_hash) \
                    or motion.phase is Phase.STOPPING:
                continue
            reason = f'late evidence: FAIL: {verdict.summary}'
            if motion.settings.late_evidence == 'cancel' and motion.settings.may_stop \
                    and not motion.overridden:
                self._stop(motion, reason, context)
            else:
                context.report(DecisionKind.DOUBT, f'{reason}: {request.name} goes on'
                               + (", as the operator's override says" if motion.overridden else ''),
                               motion, LogLevel.WARNING)

    def handover(self, waiting: PendingMotion, context: EventContext
                 ) -> tuple[ForwardedMotion, Handover] | None:
        """Return the motion that this one continues and where; None when it continues none."""
        older = self.moving
        if older is None or older.stop is not None or older.monitor is None \
                or waiting.request.trajectory is None or waiting.request.start_ns:
            return None
        found = find_handover(older.monitor, waiting.request.trajectory,
                              older.elapsed(context.world.now_ns)[0],
                              waiting.settings.start_tolerance)
        return None if found is None else (older, found)

    def is_ahead(self, waiting: PendingMotion, context: EventContext) -> bool:
        """Return whether the robot is on its way to where this continues what it executes."""
        older, handover = waiting.after, waiting.handover
        if older is None or handover is None or older.stop is not None \
                or not (older is self.moving or older.succeeded):
            return False
        now = older.elapsed(context.world.now_ns)[1]
        if now < handover.time - _EARLY:
            return not older.succeeded
        # Joints lag behind what the controller commands.
        return waiting.distance(context.world)[1] > waiting.settings.start_tolerance \
            and now < handover.time + older.settings.path_window

    @staticmethod
    def may_arrive(waiting: PendingMotion, now_ns: int) -> bool:
        """Return whether it is time that the robot is where a held motion begins."""
        return waiting.after is None or waiting.handover is None or \
            waiting.after.elapsed(now_ns)[1] >= waiting.handover.time - _EARLY

    def watch(self, context: EventContext) -> None:
        """Compare the moving robot with the checked trajectory."""
        motion = self.moving
        if motion is None or motion.monitor is None or motion.stop is not None:
            return
        names = motion.monitor.names
        earliest, latest = motion.elapsed(context.world.newest_stamp_ns(names))
        if latest < 0.0:
            return       # measured before it was sent
        joint, value = motion.monitor.deviation(context.world.positions(names), earliest, latest)
        limit = motion.settings.path_tolerance
        if not value <= limit:
            self._path_left(motion, f'{joint} is {value:.3f} away from the checked trajectory, '
                            f'limit {limit}', GoalErrorCode.PATH_TOLERANCE_VIOLATED, context)

    def _path_left(self, motion: ForwardedMotion, reason: str, error: GoalErrorCode,
                   context: EventContext) -> None:
        if motion.settings.may_stop:
            self._stop(motion, reason, context, error)
        else:
            motion.monitor = None      # said once
            context.report(DecisionKind.DOUBT, f'{reason}: {motion.request.name} goes on', motion,
                           LogLevel.WARNING)

    def tick(self, context: EventContext) -> None:
        """Do what is due: repeat cancels, and stop what takes too long or cannot be watched."""
        for motion in self._sent.copy():
            if not motion.can_be_cancelled:
                if context.now > motion.due:
                    self._forget_topic_motion(motion, context)     # no report of its end comes
            elif motion.phase is Phase.STOPPING:
                self._cancel_again(motion, context)
            else:
                self._look_after(motion, context)
        moving = self.moving
        if moving is not None and moving.stop is None and moving.monitor is not None:
            stale = context.world.why_joints_unknown(
                moving.monitor.names, moving.settings.max_joint_age, context.now)
            if stale:
                self._path_left(moving, f'the motion cannot be watched: {stale}',
                                GoalErrorCode.INVALID_GOAL, context)

    def _look_after(self, motion: ForwardedMotion, context: EventContext) -> None:
        settings, graph = motion.settings, context.world.graph
        if motion.phase is Phase.SENT and context.now > motion.sent_at + _RESPONSE \
                and settings.may_stop:
            reason = 'the controller does not answer; should it wake up, it is sent a cancel'
            self._stop(motion, reason, context)
            self._end_client_goal(motion, GoalEnd.ABORT, GoalErrorCode.INVALID_GOAL, reason,
                                  context)
        elif graph.controller_problem and settings.may_stop:
            self._stop(motion, graph.controller_problem, context)
        elif graph.controller_gone:
            self._give_up(motion, f'{graph.controller_problem}: whether the robot moves is '
                          'unknown', context)
        elif graph.controller_problem and not motion.is_problem_reported:
            motion.is_problem_reported = True      # said once
            context.report(DecisionKind.DOUBT, f'{graph.controller_problem}: {motion.request.name} '
                           'goes on', motion, LogLevel.WARNING)
        elif motion.phase is Phase.EXECUTING and settings.may_stop \
                and context.now > motion.due + settings.overtime:
            self._stop(motion, f'the motion is not over {settings.overtime} s after it should be',
                       context)

    def _cancel_again(self, motion: ForwardedMotion, context: EventContext) -> None:
        """Cancel again what did not end, as long as a controller is left that may execute it."""
        reason = '' if motion.stop is None else motion.stop.reason
        unknown = 'whether the robot moves is unknown'
        if context.world.graph.controller_gone:
            self._give_up(motion, f'{reason}; then {context.world.graph.controller_problem}: '
                          f'{unknown}', context)
            return
        if context.now > motion.stopped_at + _CANCEL_TIMEOUT and not motion.client_knows:
            text = f'{reason}; then the controller did not end it: {unknown}'
            context.report(DecisionKind.DOUBT, f'{text}; {motion.request.name} is cancelled on',
                           motion, LogLevel.ERROR)
            self._end_client_goal(motion, GoalEnd.ABORT, GoalErrorCode.INVALID_GOAL, text, context)
        is_stuck = context.now > motion.stopped_at + _CANCEL_TIMEOUT
        retry = _SLOW_RETRY if is_stuck else _RETRY
        if motion.accepted_ns is not None and context.now > motion.cancelled_at + retry:
            self._cancel(motion, context)
