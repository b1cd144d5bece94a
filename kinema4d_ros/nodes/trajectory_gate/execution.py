# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the controller has been given: watched, stopped when need be, followed to its end."""
from __future__ import annotations

import traceback
from collections.abc import Callable

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.handover import find_handover
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.rules import Mode, Objection, Refusal
from kinema4d_ros.nodes.trajectory_gate.ticket import End, Result, Ticket
from kinema4d_ros.types import FindingCode, Severity

_NS = 1e-9
_RESPONSE = 2.0    # [s] for the controller to take a goal; later it would start a stale motion
_RETRY = 0.25      # [s] between two attempts to cancel
_GIVE_UP = 30.0    # [s] a controller that does not end a cancelled goal is waited for
_EARLY = 0.01      # [s] before a handover, the way to the controller takes that long


class Execution:
    """The goals at the controller. The newest that it accepted is the one it executes."""

    def __init__(self, state, report, clock: Callable[[], float]):
        """Take the ports, as `Gate` has them; `controller` is set once it is there."""
        self.controller = None
        self._state, self._report, self._clock = state, report, clock
        self._sent: list[Ticket] = []
        self._stopped_at: dict[int, tuple[float, float]] = {}   # first and last attempt [s]

    @property
    def is_idle(self) -> bool:
        """Whether the controller has nothing of ours."""
        return not self._sent

    @property
    def executing(self) -> str:
        """Name of the trajectory that the controller took last and has not ended; '' for none."""
        return '' if self._moving is None else self._moving.name

    @property
    def _moving(self) -> Ticket | None:
        accepted = [ticket for ticket in self._sent if ticket.accepted_at]
        return accepted[-1] if accepted else None

    # ------------------------------------------------------------------ to the controller

    def send(self, ticket: Ticket) -> None:
        """Hand it to the controller."""
        ticket.sent_at, ticket.sent_ns = self._clock(), self._state.now_ns()
        if ticket.watch is None:
            self._report.decision('unwatched', f'{ticket.name} is not watched: '
                                  f'{self.watch(ticket)}', ticket, warn=True)
        self._sent.append(ticket)
        ticket.on_forwarded()
        self.controller.send(ticket)

    def watch(self, ticket: Ticket) -> str:
        """Make what compares the robot with it; return why that cannot be done, or ''."""
        robot = self._state.robot
        if ticket.watch is not None:
            return ''
        if robot is None or ticket.trajectory is None:
            return ticket.request.problem or 'the gate has no robot description'
        try:
            ticket.watch = PathMonitor(ticket.trajectory, robot, ticket.start,
                                     ticket.values['path_window'])
        except Kinema4DError as error:
            return str(error)
        return ''

    def stop(self, ticket: Ticket, reason: str,
             error: Refusal = Refusal.INVALID_GOAL) -> None:
        """Cancel it at the controller; again and again until it ends."""
        if ticket not in self._sent or ticket.stop is not None:
            return
        ticket.stop = Objection(reason, error)
        self._cancel(ticket)       # before anything else, words included
        how = 'is cancelled'
        if ticket.source == 'topic' and ticket.values['topic_route'] == 'topic':
            how = 'went to the controller by topic AND CANNOT BE STOPPED by the gate'
        self._report.decision('stop', f'{reason}: {ticket.name} {how}', ticket,
                              error=not ticket.cancelled)

    def stop_all(self, reason: str) -> None:
        """Cancel whatever the controller has."""
        for ticket in reversed(self._sent.copy()):     # the moving one first
            try:
                self.stop(ticket, reason)
            except Exception:     # the others must be stopped all the same
                self._report.failure(traceback.format_exc())

    def _cancel(self, ticket: Ticket) -> None:
        now = self._clock()
        self._stopped_at[ticket.number] = self._stopped_at.get(ticket.number, (now,))[0], now
        self.controller.cancel(ticket)

    # ------------------------------------------------------------------ from the controller

    def accepted(self, ticket: Ticket, handle) -> None:
        """Take the controller's word that it executes this; older ones it replaces."""
        if ticket not in self._sent:      # given up long ago, and now it starts
            self._sent.append(ticket)
        ticket.handle = handle
        ticket.accepted_at, ticket.accepted_ns = self._clock(), self._state.now_ns()
        if ticket.stop is None and ticket.accepted_at - ticket.sent_at > _RESPONSE \
                and self._may_stop(ticket):
            self.stop(ticket, 'the controller took it too late')
        elif ticket.stop is not None:
            self._cancel(ticket)
        if handle is None:     # by topic: the controller tells nothing more of older ones either
            for older in self._sent[:self._sent.index(ticket)]:
                if older.handle is None:
                    self._forget(older)

    def rejected(self, ticket: Ticket) -> None:
        """Take the controller's refusal."""
        self._finish(ticket, End.ABORT, 'the controller rejected it; its log says why')

    def finished(self, ticket: Ticket, succeeded: bool, cancelled: bool, result: Result) -> None:
        """Relay how it ended."""
        self._forget(ticket)
        if succeeded:
            ticket.done = True
            self._report.decision('done', f'{ticket.name} is done', ticket)
            ticket.end(End.SUCCEED, result)
            return
        if ticket.stop is not None and not ticket.cancelled:
            result = Result(error_code=int(ticket.stop.error), error_string=ticket.stop.reason)
        how = result.error_string or ('cancelled' if cancelled else 'aborted')
        self._report.decision('done', f'{ticket.name} ended: {how}', ticket)
        # CANCELED is legal only for a goal that its client cancelled.
        ticket.end(End.CANCEL if cancelled and ticket.cancelled else End.ABORT, result)

    def _finish(self, ticket: Ticket, how: End, reason: str) -> None:
        self._forget(ticket)
        self._report.decision('done', f'{reason}: {ticket.name}', ticket, error=True)
        ticket.end(how, Result(error_code=Result.INVALID_GOAL, error_string=reason))

    def _forget(self, ticket: Ticket) -> None:
        if ticket in self._sent:
            self._sent.remove(ticket)
        self._stopped_at.pop(ticket.number, None)

    # ------------------------------------------------------------------ the world

    def doubt(self, verdict) -> None:
        """Take a FAIL that came after the decision."""
        fails = [f.code for f in verdict.findings if f.severity == Severity.FAIL]
        if fails and set(fails) == {FindingCode.START_STATE}:
            return       # of course: it has left its start
        for ticket in self._sent.copy():
            on_this = verdict.trajectory_hash in (ticket.request.trajectory_hash,
                                                  ticket.request.asked_hash)
            if not on_this or ticket.overridden:
                continue
            reason = f'late evidence: FAIL: {verdict.summary}'
            if ticket.values['late_evidence'] == 'cancel' and self._may_stop(ticket):
                self.stop(ticket, reason)
            else:
                self._report.decision('doubt', f'{reason}: {ticket.name} goes on', ticket,
                                      warn=True)

    def prepare(self, ticket: Ticket) -> None:
        """Have a trajectory that begins ahead on the path that is executed continue it."""
        older = self._moving
        if older is None or older.stop is not None or older.watch is None \
                or ticket.trajectory is None or ticket.request.start_ns:
            return
        handover = find_handover(older.watch, ticket.trajectory,
                                 _elapsed(older, self._state.now_ns())[0],
                                 ticket.values['start_tolerance'])
        if handover is not None:
            ticket.continue_from(older, handover)

    def is_ahead(self, ticket: Ticket) -> bool:
        """Whether the robot is on its way to where the trajectory continues what it executes."""
        older = ticket.after
        if older is None or older.stop is not None or not (older is self._moving or older.done):
            return False
        now = _elapsed(older, self._state.now_ns())[1]
        if now < ticket.handover.time - _EARLY:
            return not older.done
        # Joints lag behind what the controller commands.
        return self._state.situation(ticket).moved > ticket.values['start_tolerance'] \
            and now < ticket.handover.time + older.values['path_window']

    def joints_changed(self) -> None:
        """Compare the moving robot with the checked trajectory."""
        ticket = self._moving
        if ticket is None or ticket.watch is None or ticket.stop is not None:
            return
        positions, stamp = self._state.newest(ticket.watch.names)
        earliest, latest = _elapsed(ticket, stamp)
        if latest < 0.0:
            return       # measured before it was sent
        joint, value = ticket.watch.deviation(positions, earliest, latest)
        limit = ticket.values['path_tolerance']
        if not value <= limit:
            self._astray(ticket, f'{joint} is {value:.3f} away from the checked trajectory, limit '
                         f'{limit}', Refusal.PATH_TOLERANCE_VIOLATED)

    def _astray(self, ticket: Ticket, reason: str, error: Refusal) -> None:
        if self._may_stop(ticket):
            self.stop(ticket, reason, error)
        else:
            ticket.watch = None      # said once
            self._report.decision('doubt', f'{reason}: {ticket.name} goes on', ticket, warn=True)

    @staticmethod
    def _may_stop(ticket: Ticket) -> bool:
        return Mode(ticket.values['mode']) is not Mode.MONITOR

    def tick(self) -> None:
        """Look after what time does."""
        now = self._clock()
        for ticket in self._sent.copy():
            if ticket.accepted_at and ticket.handle is None:
                if now > self._due(ticket):
                    self._forget(ticket)          # by topic: nobody tells when it is over
            elif ticket.stop is not None:
                self._insist(ticket, now)
            elif not ticket.accepted_at and now > ticket.sent_at + _RESPONSE \
                    and self._may_stop(ticket):
                self.stop(ticket, 'the controller does not answer; should it wake up, it is sent a '
                          'cancel')
                ticket.end(End.ABORT, Result(error_code=Result.INVALID_GOAL,
                                             error_string=ticket.stop.reason))
            elif gone := self._state.controller_problem():
                self.stop(ticket, gone)
            elif ticket.accepted_at and self._may_stop(ticket) \
                    and now > self._due(ticket) + ticket.values['overtime']:
                self.stop(ticket, 'the motion is not over '
                          f'{ticket.values["overtime"]} s after it should be')
        moving = self._moving
        if moving is not None and moving.stop is None and moving.watch is not None:
            stale = self._state.joints_problem(moving.watch.names, moving.values['max_joint_age'])
            if stale:
                self._astray(moving, f'the motion cannot be watched: {stale}',
                             Refusal.INVALID_GOAL)

    def _insist(self, ticket: Ticket, now: float) -> None:
        """Cancel again what did not end, and give up on a controller that is gone."""
        first, last = self._stopped_at[ticket.number]
        gone = self._state.controller_problem()
        if gone or now > first + _GIVE_UP:
            self._finish(ticket, End.ABORT, f'{ticket.stop.reason}; then '
                         f'{gone or "the controller did not end it"}: whether the robot moves is '
                         'unknown')
        elif ticket.handle is not None and now > last + _RETRY:
            self._cancel(ticket)

    def _due(self, ticket: Ticket) -> float:
        """Return the steady time [s] at which its motion should be over."""
        ahead = max(0.0, (ticket.request.start_ns - ticket.sent_ns) * _NS)
        return ticket.sent_at + ahead + ticket.duration


def _elapsed(ticket: Ticket, now_ns: int) -> tuple[float, float]:
    """Return how long it has been executed at ROS time `now_ns` [s]: at least, at most."""
    return tuple((now_ns - (ticket.request.start_ns or began)) * _NS
                 for began in (ticket.accepted_ns, ticket.sent_ns))
