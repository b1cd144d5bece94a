# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the controller has been given: watched, stopped when need be, followed to its end."""
from __future__ import annotations

from kinema4d_ros.gate.commands import CancelAtController, DecisionKind, EndGoal, Forward, LogLevel
from kinema4d_ros.gate.evidence import is_only_about_start
from kinema4d_ros.gate.events import ControllerAccepted, ControllerFinished, End
from kinema4d_ros.gate.handover import find_handover, Handover
from kinema4d_ros.gate.motions import AtController, Phase, Turn, Waiting
from kinema4d_ros.gate.request import Answer
from kinema4d_ros.gate.rules import Objection, Refusal
from kinema4d_ros.types import Verdict

_RESPONSE = 2.0    # [s] for the controller to take a goal; later it would start a stale motion
_RETRY = 0.25      # [s] between two attempts to cancel
_PATIENCE = 30.0   # [s] a client waits for the end of a goal that the controller does not cancel
_EARLY = 0.01      # [s] before a handover, the way to the controller takes that long


class Execution:
    """The motions at the controller. The newest that it accepted is the one it executes."""

    def __init__(self) -> None:
        """Make one without motions."""
        self._sent: list[AtController] = []

    @property
    def is_idle(self) -> bool:
        """Whether the controller has nothing of ours."""
        return not self._sent

    @property
    def moving(self) -> AtController | None:
        """The motion that the controller accepted last and has not ended."""
        accepted = [motion for motion in self._sent if motion.accepted_ns is not None]
        return accepted[-1] if accepted else None

    def find(self, number: int) -> AtController | None:
        """Return the motion with a number; None when it is not at the controller."""
        return next((motion for motion in self._sent if motion.request.number == number), None)

    # ------------------------------------------------------------------ to the controller

    def send(self, waiting: Waiting, turn: Turn) -> None:
        """Hand a motion to the controller."""
        waiting.prepare_monitor(turn.world)
        motion = AtController(waiting.request, waiting.settings, waiting.answer, turn.now,
                              turn.world.now_ns, waiting.monitor, waiting.overridden)
        if waiting.watch_problem:
            turn.report(DecisionKind.UNWATCHED, f'{motion.request.name} is not watched: '
                        f'{waiting.watch_problem}', motion, LogLevel.WARNING)
        self._sent.append(motion)
        turn.do(Forward(motion.request))

    def cancel_by_client(self, number: int, turn: Turn) -> None:
        """Cancel what its client no longer wants."""
        motion = self.find(number)
        if motion is not None:
            motion.by_client = True
            self._stop(motion, 'cancelled by the client', turn)

    def stop_all(self, reason: str, turn: Turn, *, again: bool) -> None:
        """
        Cancel whatever the controller has, the moving one first, all before any report.

        :param again: also what is being stopped already.
        """
        motions = [motion for motion in self._sent[::-1] if again or motion.stop is None]
        for motion in motions:
            turn.do(CancelAtController(motion.request.number))
        for motion in motions:
            self._stop(motion, reason, turn, cancel=False)
            if motion.accepted_ns is None:      # perhaps it never went out, so nobody else tells
                self._tell_client(motion, End.ABORT, Refusal.INVALID_GOAL, reason, turn)

    def _stop(self, motion: AtController, reason: str, turn: Turn,
              error: Refusal = Refusal.INVALID_GOAL, *, cancel: bool = True) -> None:
        """Cancel it at the controller; `tick` does so again and again until it ends."""
        if motion.stop is not None:
            return
        motion.phase, motion.stop = Phase.STOPPING, Objection(reason, error)
        motion.stopped_at = motion.cancelled_at = turn.now
        if cancel:
            turn.do(CancelAtController(motion.request.number))    # before anything is said
        how = 'is cancelled'
        if motion.request.source == 'topic' and motion.settings.topic_route == 'topic':
            how = 'went to the controller by topic AND CANNOT BE STOPPED by the gate'
        turn.report(DecisionKind.STOP, f'{reason}: {motion.request.name} {how}', motion,
                    LogLevel.INFO if motion.by_client else LogLevel.ERROR)

    # ------------------------------------------------------------------ from the controller

    def accepted(self, event: ControllerAccepted, turn: Turn) -> None:
        """Take the controller's word that it executes this; older ones it replaces."""
        motion = self.find(event.request.number)
        if motion is None:      # given up when no controller was left, and now it starts
            motion = AtController(event.request, turn.world.settings, Answer(), turn.now,
                                  turn.world.now_ns, phase=Phase.STOPPING, client_knows=True,
                                  stop=Objection('the gate had given it up'),
                                  stopped_at=turn.now)
            self._sent.append(motion)
        motion.accepted_ns = turn.world.now_ns
        motion.can_be_cancelled = event.can_be_cancelled
        if motion.stop is not None:
            self._cancel(motion, turn)
        elif turn.now - motion.sent_at > _RESPONSE and motion.settings.may_stop:
            self._stop(motion, 'the controller took it too late', turn)
        else:
            motion.phase = Phase.EXECUTING
        if not event.can_be_cancelled:    # nothing more is heard of older ones by topic either
            for older in self._sent[:self._sent.index(motion)]:
                if not older.can_be_cancelled:
                    self._lose(older, turn)

    def rejected(self, number: int, turn: Turn) -> None:
        """Take the controller's refusal."""
        motion = self.find(number)
        if motion is not None:
            self._give_up(motion, 'the controller rejected it; its log says why', turn)

    def finished(self, event: ControllerFinished, turn: Turn) -> None:
        """Relay how it ended."""
        motion = self.find(event.number)
        if motion is None:
            return
        self._forget(motion)
        how, code, text = event.how, event.error_code, event.error_string
        if how is End.SUCCEED:
            motion.succeeded = True
            turn.report(DecisionKind.DONE, f'{motion.request.name} is done', motion)
        else:
            if motion.stop is not None and not motion.by_client:
                code, text = int(motion.stop.error), motion.stop.reason
            said = text or ('cancelled' if how is End.CANCEL else 'aborted')
            turn.report(DecisionKind.DONE, f'{motion.request.name} ended: {said}', motion)
            # CANCELED is legal only for a goal that its client cancelled.
            if not motion.by_client:
                how = End.ABORT
        self._tell_client(motion, how, code, text, turn)

    def _give_up(self, motion: AtController, reason: str, turn: Turn) -> None:
        self._forget(motion)
        turn.report(DecisionKind.DONE, f'{reason}: {motion.request.name}', motion, LogLevel.ERROR)
        self._tell_client(motion, End.ABORT, Refusal.INVALID_GOAL, reason, turn)

    def _lose(self, motion: AtController, turn: Turn) -> None:
        """End one that went by topic, of which nothing more is heard."""
        self._forget(motion)
        self._tell_client(motion, End.SUCCEED, 0, 'it went by topic', turn)

    @staticmethod
    def _tell_client(motion: AtController, how: End, code: int, text: str, turn: Turn) -> None:
        if not motion.client_knows:
            motion.client_knows = True
            turn.do(EndGoal(motion.request.number, how, int(code), text))

    def _forget(self, motion: AtController) -> None:
        motion.phase = Phase.ENDED
        self._sent.remove(motion)

    @staticmethod
    def _cancel(motion: AtController, turn: Turn) -> None:
        motion.cancelled_at = turn.now
        turn.do(CancelAtController(motion.request.number))

    # ------------------------------------------------------------------ the world

    def doubt(self, verdict: Verdict, turn: Turn) -> None:
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
                self._stop(motion, reason, turn)
            else:
                turn.report(DecisionKind.DOUBT, f'{reason}: {request.name} goes on'
                            + (", as the operator's override says" if motion.overridden else ''),
                            motion, LogLevel.WARNING)

    def handover(self, waiting: Waiting, turn: Turn) -> tuple[AtController, Handover] | None:
        """Return the motion that this one continues and where; None when it continues none."""
        older = self.moving
        if older is None or older.stop is not None or older.monitor is None \
                or waiting.request.trajectory is None or waiting.request.start_ns:
            return None
        found = find_handover(older.monitor, waiting.request.trajectory,
                              older.elapsed(turn.world.now_ns)[0],
                              waiting.settings.start_tolerance)
        return None if found is None else (older, found)

    def is_ahead(self, waiting: Waiting, turn: Turn) -> bool:
        """Tell whether the robot is on its way to where this continues what it executes."""
        older, handover = waiting.after, waiting.handover
        if older is None or handover is None or older.stop is not None \
                or not (older is self.moving or older.succeeded):
            return False
        now = older.elapsed(turn.world.now_ns)[1]
        if now < handover.time - _EARLY:
            return not older.succeeded
        # Joints lag behind what the controller commands.
        return waiting.distance(turn.world)[1] > waiting.settings.start_tolerance \
            and now < handover.time + older.settings.path_window

    @staticmethod
    def may_arrive(waiting: Waiting, now_ns: int) -> bool:
        """Tell whether it is time that the robot is where a held motion begins."""
        return waiting.after is None or waiting.handover is None or \
            waiting.after.elapsed(now_ns)[1] >= waiting.handover.time - _EARLY

    def watch(self, turn: Turn) -> None:
        """Compare the moving robot with the checked trajectory."""
        motion = self.moving
        if motion is None or motion.monitor is None or motion.stop is not None:
            return
        names = motion.monitor.names
        earliest, latest = motion.elapsed(turn.world.newest_stamp_ns(names))
        if latest < 0.0:
            return       # measured before it was sent
        joint, value = motion.monitor.deviation(turn.world.positions(names), earliest, latest)
        limit = motion.settings.path_tolerance
        if not value <= limit:
            self._stray(motion, f'{joint} is {value:.3f} away from the checked trajectory, limit '
                        f'{limit}', Refusal.PATH_TOLERANCE_VIOLATED, turn)

    def _stray(self, motion: AtController, reason: str, error: Refusal, turn: Turn) -> None:
        if motion.settings.may_stop:
            self._stop(motion, reason, turn, error)
        else:
            motion.monitor = None      # said once
            turn.report(DecisionKind.DOUBT, f'{reason}: {motion.request.name} goes on', motion,
                        LogLevel.WARNING)

    def tick(self, turn: Turn) -> None:
        """Look after what time does."""
        for motion in self._sent.copy():
            if not motion.can_be_cancelled:
                if turn.now > motion.due:
                    self._lose(motion, turn)          # nobody tells when it is over
            elif motion.phase is Phase.STOPPING:
                self._insist(motion, turn)
            else:
                self._look_after(motion, turn)
        moving = self.moving
        if moving is not None and moving.stop is None and moving.monitor is not None:
            stale = turn.world.why_joints_unknown(
                moving.monitor.names, moving.settings.max_joint_age, turn.now)
            if stale:
                self._stray(moving, f'the motion cannot be watched: {stale}',
                            Refusal.INVALID_GOAL, turn)

    def _look_after(self, motion: AtController, turn: Turn) -> None:
        settings, graph = motion.settings, turn.world.graph
        if motion.phase is Phase.SENT and turn.now > motion.sent_at + _RESPONSE \
                and settings.may_stop:
            reason = 'the controller does not answer; should it wake up, it is sent a cancel'
            self._stop(motion, reason, turn)
            self._tell_client(motion, End.ABORT, Refusal.INVALID_GOAL, reason, turn)
        elif graph.controller_problem and settings.may_stop:
            self._stop(motion, graph.controller_problem, turn)
        elif graph.controller_gone:
            self._give_up(motion, f'{graph.controller_problem}: whether the robot moves is '
                          'unknown', turn)
        elif graph.controller_problem and not motion.doubted:
            motion.doubted = True      # said once
            turn.report(DecisionKind.DOUBT, f'{graph.controller_problem}: {motion.request.name} '
                        'goes on', motion, LogLevel.WARNING)
        elif motion.phase is Phase.EXECUTING and settings.may_stop \
                and turn.now > motion.due + settings.overtime:
            self._stop(motion, f'the motion is not over {settings.overtime} s after it should be',
                       turn)

    def _insist(self, motion: AtController, turn: Turn) -> None:
        """Cancel again what did not end, as long as a controller is left that may execute it."""
        reason = '' if motion.stop is None else motion.stop.reason
        unknown = 'whether the robot moves is unknown'
        if turn.world.graph.controller_gone:
            self._give_up(motion, f'{reason}; then {turn.world.graph.controller_problem}: '
                          f'{unknown}', turn)
            return
        if turn.now > motion.stopped_at + _PATIENCE and not motion.client_knows:
            text = f'{reason}; then the controller did not end it: {unknown}'
            turn.report(DecisionKind.DOUBT, f'{text}; {motion.request.name} is cancelled on',
                        motion, LogLevel.ERROR)
            self._tell_client(motion, End.ABORT, Refusal.INVALID_GOAL, text, turn)
        if motion.accepted_ns is not None and turn.now > motion.cancelled_at + _RETRY:
            self._cancel(motion, turn)
