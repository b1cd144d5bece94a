# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the controller has been given: handed over, stopped when need be, followed to its end."""
from __future__ import annotations

from kinema4d_ros.gate.commands import (CancelAtController, DecisionKind, EndGoal, Forward,
                                        LogLevel, TellGates)
from kinema4d_ros.gate.events import (ControllerAccepted, ControllerFinished, ControllerHeard,
                                      GoalEnd)
from kinema4d_ros.gate.evidence import is_only_about_start
from kinema4d_ros.gate.handover import find_handover, Handover
from kinema4d_ros.gate.motions import EventContext, ForwardedMotion, PendingMotion, Phase
from kinema4d_ros.gate.reach import ProtectedClearance
from kinema4d_ros.gate.request import ShadowSimAnswer
from kinema4d_ros.gate.rules import GoalErrorCode, Objection
from kinema4d_ros.gate.watch import MotionWatch, Tolerances
from kinema4d_ros.gate.world import SELDOM
from kinema4d_ros.types import FindingCode, Verdict

BY_CLIENT = 'cancelled by the client'     # begins the sentence of such a STOP
RESPONSE = 1.5     # [s] for the controller to take a goal; later it would start a stale motion
_EARLY = 0.01      # [s] before a handover, the way to the controller takes that long
_NS = 1e-9


class Execution:
    """The motions at the controller. The newest that it accepted is the one it executes."""

    def __init__(self) -> None:
        """Begin with no motion at the controller."""
        self.sent: list[ForwardedMotion] = []       # the newest last

    @property
    def is_idle(self) -> bool:
        """Whether the controller has nothing of ours."""
        return not self.sent

    @property
    def moving(self) -> ForwardedMotion | None:
        """The motion that the controller accepted last and has not ended."""
        accepted = [motion for motion in self.sent if motion.is_accepted]
        return accepted[-1] if accepted else None

    @property
    def _newest(self) -> ForwardedMotion | None:
        """The one sent last, unless it is being stopped: it is executed, or will be any moment."""
        return self.sent[-1] if self.sent and self.sent[-1].stop is None else None

    def find(self, number: int) -> ForwardedMotion | None:
        """Return the motion with a number; None when it is not at the controller."""
        return next((motion for motion in self.sent if motion.request.number == number), None)

    def why_silent(self, now: float) -> str | None:
        """Return why the controller gets nothing more: it may yet begin what it was sent before."""
        unanswered = next((motion for motion in self.sent if motion.stop is not None
                           and not motion.is_accepted and now > motion.sent_at + RESPONSE), None)
        return None if unanswered is None else \
            f'the controller has not answered to {unanswered.request.name}, and may yet begin it'

    # ------------------------------------------------------------------ to the controller

    def send(self, waiting: PendingMotion, context: EventContext) -> None:
        """Hand a motion to the controller, after the other gates were told of it."""
        waiting.prepare_path(context.world)
        motion = ForwardedMotion(
            waiting.request, waiting.settings, waiting.answer, context.now, context.world.now_ns,
            _watch_of(waiting, context), waiting.overridden, waiting.together,
            heard_at=context.now)
        if waiting.watch_problem:
            context.report(DecisionKind.UNWATCHED, f'{motion.request.name} is not watched: '
                           f'{waiting.watch_problem}', motion, LogLevel.WARNING)
        self.sent.append(motion)
        self.tell_gates(motion, context)
        context.do(Forward(motion.request))

    @staticmethod
    def why_unprotected(waiting: PendingMotion, context: EventContext) -> str | None:
        """Return why the watch over a motion cannot protect all of the clearance judged."""
        return _tolerances(waiting, context).unprotected

    @staticmethod
    def tell_gates(motion: ForwardedMotion, context: EventContext, *, over: bool = False) -> None:
        """Tell the other gates where this motion is, or that it is over."""
        motion.told_at = context.now
        at = 0.0 if motion.watch is None else motion.watch.progress.at
        if motion.request.trajectory is not None:
            context.do(TellGates(motion.request, motion.sent_ns, at, over, motion.together))

    def cancel_by_client(self, number: int, context: EventContext) -> None:
        """Cancel what its client no longer wants."""
        motion = self.find(number)
        if motion is not None:
            motion.by_client = True
            self.stop(motion, BY_CLIENT, context)

    def stop_all(self, reason: str, context: EventContext, *, again: bool) -> None:
        """
        Cancel whatever the controller has, the moving one first, all before any report.

        Mode monitor cancels nothing by itself: there the controller goes on alone.

        :param again: also what is being stopped already.
        """
        motions = [motion for motion in self.sent[::-1] if again or motion.stop is None]
        stopped = [motion for motion in motions if motion.settings.may_stop or motion.by_client]
        for motion in stopped:
            context.do(CancelAtController(motion.request.number))
        for motion in motions:
            if motion not in stopped:
                self.give_up(motion, f'{reason}: the controller goes on with it', context)
                continue
            self.stop(motion, reason, context, cancel=False)
            if not motion.is_accepted:      # it may never have gone out
                self.end_client_goal(motion, GoalEnd.ABORT, GoalErrorCode.INVALID_GOAL, reason,
                                     context)

    def stop(self, motion: ForwardedMotion, reason: str, context: EventContext,
             error: GoalErrorCode = GoalErrorCode.INVALID_GOAL, *, cancel: bool = True,
             code: FindingCode | None = None) -> None:
        """Cancel it at the controller; it is cancelled again and again until it ends."""
        if motion.stop is not None:
            return
        motion.phase, motion.stop = Phase.STOPPING, Objection(reason, error, code)
        motion.stopped_at = motion.cancelled_at = context.now
        if cancel:
            context.do(CancelAtController(motion.request.number))    # before anything is said
        how = 'is being cancelled'
        if motion.request.source == 'topic' and motion.settings.topic_route == 'topic':
            how = 'went to the controller by topic AND CANNOT BE STOPPED by the gate'
        context.report(DecisionKind.STOP, f'{reason}: {motion.request.name} {how}', motion,
                       LogLevel.INFO if motion.by_client else LogLevel.ERROR, code)

    # ------------------------------------------------------------------ from the controller

    def accepted(self, event: ControllerAccepted, context: EventContext) -> None:
        """Note that the controller executes this, in place of older ones."""
        motion = self.find(event.request.number)
        if motion is None:      # given up when no controller was left, and now it starts
            motion = ForwardedMotion(
                event.request, context.world.settings, ShadowSimAnswer(), context.now,
                context.world.now_ns, phase=Phase.STOPPING, client_knows=True,
                stop=Objection('the gate had given it up'), stopped_at=context.now)
            self.sent.append(motion)
        motion.is_accepted, motion.heard_at = True, context.now
        motion.can_be_cancelled = event.can_be_cancelled
        for older in self.sent[:self.sent.index(motion)]:
            older.replaced_at = min(older.replaced_at, context.now)
        if motion.stop is not None:
            self.cancel(motion, context)
        elif context.now - motion.sent_at > RESPONSE and motion.settings.may_stop:
            self.stop(motion, 'the controller took it too late', context)
        else:
            motion.phase = Phase.EXECUTING
        if not event.can_be_cancelled:    # nothing more is heard of older ones by topic either
            for older in self.sent[:self.sent.index(motion)]:
                if not older.can_be_cancelled:
                    self.forget_topic_motion(older, context)

    def rejected(self, number: int, context: EventContext) -> None:
        """Give up what the controller refused."""
        motion = self.find(number)
        if motion is not None:
            self.give_up(motion, 'the controller rejected it; its log says why', context)

    def heard(self, event: ControllerHeard, context: EventContext) -> None:
        """Note a sign of life of the controller."""
        motion = self.find(event.number)
        if motion is None:
            return
        motion.heard_at = context.now
        if event.desired is None:
            motion.answers = True
        elif motion.watch is not None:
            motion.watch.take_reference(event.desired)

    def finished(self, event: ControllerFinished, context: EventContext) -> None:
        """Relay how it ended."""
        motion = self.find(event.number)
        if motion is None:
            return
        self._forget(motion, context)
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
        self.end_client_goal(motion, how, code, text, context)

    def give_up(self, motion: ForwardedMotion, reason: str, context: EventContext) -> None:
        """Follow a motion no longer, whatever the controller does with it."""
        self._forget(motion, context)
        context.report(DecisionKind.DONE, f'{reason}: {motion.request.name}', motion,
                       LogLevel.ERROR)
        self.end_client_goal(motion, GoalEnd.ABORT, GoalErrorCode.INVALID_GOAL, reason, context)

    def forget_topic_motion(self, motion: ForwardedMotion, context: EventContext) -> None:
        """End the goal of a motion that went by topic: no report of its end comes."""
        self._forget(motion, context)
        self.end_client_goal(motion, GoalEnd.SUCCEED, 0, 'it went by topic', context)

    @staticmethod
    def end_client_goal(motion: ForwardedMotion, how: GoalEnd, code: int, text: str,
                        context: EventContext) -> None:
        """Let the client of a motion know how it ended, once."""
        if not motion.client_knows:
            motion.client_knows = True
            context.do(EndGoal(motion.request.number, how, int(code), text))

    def _forget(self, motion: ForwardedMotion, context: EventContext) -> None:
        motion.phase = Phase.ENDED
        self.sent.remove(motion)
        self.tell_gates(motion, context, over=True)

    @staticmethod
    def cancel(motion: ForwardedMotion, context: EventContext) -> None:
        """Cancel it at the controller, once more."""
        motion.cancelled_at = context.now
        context.do(CancelAtController(motion.request.number))

    # ------------------------------------------------------------------ what is said of it later

    def take_late_fail(self, verdict: Verdict, context: EventContext) -> None:
        """Take a FAIL on what is executed: late evidence."""
        if is_only_about_start(verdict):
            return      # of course: a motion under way has left its start
        for motion in self.sent.copy():
            request = motion.request
            if verdict.trajectory_hash not in (request.trajectory_hash, request.asked_hash) \
                    or motion.phase is Phase.STOPPING:
                continue
            reason = f'late evidence: FAIL: {verdict.summary}'
            if motion.settings.late_evidence == 'cancel' and motion.settings.may_stop \
                    and not motion.overridden:
                self.stop(motion, reason, context)
            else:
                context.report(DecisionKind.DOUBT, f'{reason}: {request.name} goes on'
                               + (", as the operator's override says" if motion.overridden else ''),
                               motion, LogLevel.WARNING)

    # ------------------------------------------------------------------ what continues it

    def handover(self, waiting: PendingMotion, context: EventContext
                 ) -> tuple[ForwardedMotion, Handover] | None:
        """Return the motion that this one continues and where; None when it continues none."""
        older = self._newest
        if older is None or older.watch is None \
                or waiting.request.trajectory is None or waiting.request.start_ns:
            return None
        found = find_handover(older.watch.path, waiting.request.trajectory,
                              _reached(older, context.clock), waiting.settings.start_tolerance)
        return None if found is None else (older, found)

    def is_ahead(self, waiting: PendingMotion, context: EventContext) -> bool:
        """Return whether the robot is on its way to where this continues what it executes."""
        older, handover = waiting.after, waiting.handover
        if older is None or handover is None or older.stop is not None \
                or not (older is self.moving or older is self._newest or older.succeeded):
            return False
        reached = _reached(older, context.clock)
        if reached < handover.time - _EARLY:
            return not older.succeeded
        # Joints lag behind what the controller commands.
        return waiting.distance(context.world)[1] > waiting.settings.start_tolerance \
            and reached < handover.time + older.settings.path_window

    @staticmethod
    def may_arrive(waiting: PendingMotion, clock: float) -> bool:
        """Return whether it is time that the robot is where a held motion begins."""
        return waiting.after is None or waiting.handover is None or \
            _reached(waiting.after, clock) >= waiting.handover.time - _EARLY


def _reached(motion: ForwardedMotion, clock: float) -> float:
    """Return where on its path the controller is with a motion [s]."""
    return 0.0 if motion.watch is None else \
        motion.watch.progress.expect(motion.watch.elapsed(clock))


def _watch_of(waiting: PendingMotion, context: EventContext) -> MotionWatch | None:
    """Return the watch over a motion that is forwarded now; None where it cannot be watched."""
    if waiting.path is None:
        return None
    world, request = context.world, waiting.request
    moved_by_others = {name for other in world.others for name in other.joints}
    # Of one that is not heard any more the verdict has taken where it is from somewhere else.
    still = {name: place for name, place in world.positions(
                 () if world.robot is None else world.robot.joint_names).items()
             if name not in request.joint_names and name not in world.fingers
             and name not in moved_by_others
             and context.now - world.joints[name].arrival <= SELDOM}
    return MotionWatch(waiting.path, _tolerances(waiting, context), context.clock, others=still,
                       wait=max(0.0, (request.start_ns - world.now_ns) * _NS))


def _tolerances(waiting: PendingMotion, context: EventContext) -> Tolerances:
    return Tolerances(waiting.settings, context.world.reaches,
                      ProtectedClearance.of(waiting.answer.verdict, waiting.offset))
