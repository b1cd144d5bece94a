# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the gate does with each trajectory, event by event.

All methods are called from one thread at a time. At most one trajectory waits for its verdict;
a newer one takes its place. What the controller executes goes on meanwhile, since the controller
decides what a newer goal does to an older one.
"""
from __future__ import annotations

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from kinema4d_ros.gate.rules import (Answer, Decision, evidence_objections, Mode, OverrideDesk,
                                     Refusal, rule, Ruling)
from kinema4d_ros.nodes.trajectory_gate.execution import Execution
from kinema4d_ros.nodes.trajectory_gate.parameters import gate_settings
from kinema4d_ros.nodes.trajectory_gate.ticket import End, Result, Ticket
from kinema4d_ros.types import Status

_LOOK = 1.0      # [s] nobody has read what changed more recently, so nobody can approve it
_REMEMBERED = 256    # rollouts


class Gate:
    """The trajectories at the gate: one waiting, those at the controller, the last refused."""

    def __init__(self, snapshot: Callable[[], Mapping[str, Any]], verdicts, state, report,
                 clock: Callable[[], float] = time.monotonic):
        """
        Take the ports.

        :param snapshot: returns the parameters; a trajectory keeps those it came with.
        :param verdicts: asks shadow_sim (`ask`, `abandon`).
        :param state: what the gate knows of robot and graph (`situation`, `positions`, ...).
        :param report: tells people (`decision`).
        """
        self._snapshot, self._verdicts = snapshot, verdicts
        self._state, self._report, self._clock = state, report, clock
        self.execution = Execution(state, report, clock)
        self._waiting: Ticket | None = None
        self._unanswered: list[Ticket] = []     # forwarded before their verdict: mode monitor
        self._desk = OverrideDesk()
        self._refused: Ticket | None = None     # the last; what an override is for
        #: the worst that is known of a rollout and trajectory, where that is no PASS
        self._known: dict[tuple[str, str], Answer] = {}
        self.closed = ''
        self.counts = {'forwarded': 0, 'refused': 0, 'overridden': 0}

    @property
    def is_idle(self) -> bool:
        """Whether no trajectory is under way."""
        return self._waiting is None and self.execution.is_idle

    # ------------------------------------------------------------------ a trajectory comes

    def submit(self, ticket: Ticket) -> None:
        """Take a new trajectory."""
        now = self._clock()
        ticket.values = self._snapshot()
        if self.closed:
            self._refuse(ticket, self.closed)
            return
        mode = Mode(ticket.values['mode'])
        older, self._waiting = self._waiting, ticket
        if older is not None:
            ticket.took_place = older.shown
            self._verdicts.abandon(older)
            self._refuse(older, 'replaced by a newer trajectory before it was forwarded')
        with self._protected(ticket):
            if ticket.goal is None:
                self._refuse(ticket, ticket.request.problem)
                return
            names = ticket.trajectory.joint_names if ticket.trajectory is not None else ()
            ticket.start = self._state.positions(names)
            ticket.deadline = now + ticket.values['verdict_timeout']
            ticket.overridden = mode is Mode.ENFORCE and self._desk.is_used and \
                self._desk.take(ticket.goal_digest, now)
            if mode is Mode.MONITOR or ticket.overridden or ticket.request.problem:
                self._judge(ticket)
            elif mode is Mode.ENFORCE:
                self.execution.prepare(ticket)
            if not ticket.ended and not ticket.overridden:
                if mode is Mode.MONITOR:
                    self._unanswered.append(ticket)
                self._ask(ticket)

    @contextlib.contextmanager
    def _protected(self, ticket: Ticket):
        """Stop and refuse a trajectory should deciding on it fail in a way nobody foresaw."""
        try:
            yield
        except Exception as error:
            reason = f'internal error: {type(error).__name__}: {error}'
            self.execution.stop(ticket, reason)
            self._report.failure(traceback.format_exc())
            self._refuse(ticket, reason)

    def _ask(self, ticket: Ticket) -> None:
        """Ask for a verdict, now or, while shadow_sim or joints are yet to be heard, at a tick."""
        problem, settled = self._verdicts.problem(), self._verdicts.is_settled
        names = ticket.trajectory.joint_names if ticket.trajectory is not None else ()
        if not set(names) <= set(ticket.start):
            ticket.start = self._state.positions(names)
        if problem and settled:
            self.answered(ticket, Answer(problem=problem))
        elif not problem and self._verdicts.is_ready and (settled or set(names) <= set(
                ticket.start)):
            ticket.asked = True
            self._verdicts.ask(ticket, ticket.deadline - self._clock())

    def answered(self, ticket: Ticket, answer: Answer) -> None:
        """Take the answer to a question."""
        self._note(answer)
        known = self._known.get(_key(answer))      # it may have been published before
        if known is not None and _badness(known) > _badness(answer):
            answer = known
        with self._protected(ticket):
            if ticket in self._unanswered:
                self._unanswered.remove(ticket)
                self._report_unforced(ticket, answer)
            elif ticket is self._waiting and not ticket.shown:
                ticket.answer = answer
                self._weigh(ticket)

    def _note(self, answer: Answer) -> bool:
        """Return whether an answer is worse than what was known of its rollout; remember it."""
        key = _key(answer)
        known = self._known.get(key)
        if _badness(answer) <= (0 if known is None else _badness(known)):
            return False
        if answer.rollout_id:
            self._known[key] = answer
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        return True

    def _weigh(self, ticket: Ticket) -> None:
        """Judge it, or hold what may pass until the robot is where it begins."""
        if ticket.after is not None and ticket.after.stop is not None:
            self._refuse(ticket, f'the motion that it continues is cancelled: '
                         f'{ticket.after.stop.reason}')
            return
        if not self.execution.is_ahead(ticket):
            ticket.held = False
            self._judge(ticket)
            return
        objections = evidence_objections(ticket.request, ticket.answer,
                                         self._state.situation(ticket),
                                         gate_settings(ticket.values))
        if objections:
            self._refuse(ticket, objections[0].reason, objections[0].error)
        elif not ticket.held:
            ticket.held = True
            self._report.decision('hold', f'PASS: {ticket.name} is held until the robot is where '
                                  'it begins', ticket)

    def _report_unforced(self, ticket: Ticket, answer: Answer) -> None:
        """Mode monitor: say what would have been decided."""
        objections = evidence_objections(
            ticket.request, answer, self._state.situation(ticket), gate_settings(ticket.values))
        if objections:
            self._report.decision('monitor', f'{ticket.name} would have been refused: '
                                  f'{objections[0].reason}', ticket, warn=True)
        else:
            self._report.decision('monitor', f'{ticket.name} would have been forwarded: PASS: '
                                  f'{answer.verdict.summary}', ticket)

    def _judge(self, ticket: Ticket, approved: bool | None = None) -> None:
        """Decide on the waiting trajectory, and do it."""
        mode = Mode(ticket.values['mode'])
        situation = dataclasses.replace(self._state.situation(ticket),
                                        watch_problem=self.execution.watch(ticket))
        decision = rule(mode, ticket.request, ticket.answer, situation,
                        gate_settings(ticket.values), overridden=ticket.overridden,
                        approved=approved)
        match decision.ruling:
            case Ruling.FORWARD:
                self._forward(ticket, decision)
            case Ruling.ASK:
                ticket.shown, ticket.shown_at = True, self._clock()
                ticket.deadline = ticket.shown_at + ticket.values['approval_timeout']
                self._report.decision(
                    'ask', f'approve or deny {ticket.name}? {decision.reason}', ticket, warn=True)
            case _:
                self._refuse(ticket, decision.reason, decision.error)

    def _forward(self, ticket: Ticket, decision: Decision) -> None:
        self._waiting = None
        self.counts['overridden' if ticket.overridden else 'forwarded'] += 1
        self._report.decision('forward', f'{decision.reason}: {ticket.name} is forwarded', ticket,
                              warn=ticket.overridden)
        self.execution.send(ticket)

    def _refuse(self, ticket: Ticket, reason: str, error: Refusal = Refusal.INVALID_GOAL) -> None:
        if ticket is self._waiting:
            self._waiting = None
        if ticket.ended:
            return
        self.counts['refused'] += 1
        last, self._refused, ticket.refused_at = self._refused, ticket, self._clock()
        ticket.took_place = last is not None and last.goal_digest != ticket.goal_digest
        self._report.decision('refuse', f'{reason}: {ticket.name} is refused', ticket, error=True)
        ticket.end(End.ABORT, Result(error_code=int(error), error_string=reason))

    # ------------------------------------------------------------------ the client, the operator

    def cancel(self, ticket: Ticket) -> None:
        """Cancel what a client no longer wants."""
        ticket.cancelled = True
        if ticket is self._waiting:
            self._waiting = None
            self._verdicts.abandon(ticket)
            reason = 'cancelled by the client before it was forwarded'
            self._report.decision('cancel', f'{reason}: {ticket.name}', ticket)
            ticket.end(End.CANCEL, Result(error_code=0, error_string=reason))
        else:
            self.execution.stop(ticket, 'cancelled by the client')

    def decide(self, approved: bool) -> tuple[bool, str]:
        """Take an operator's word on the trajectory that waits; return success and a sentence."""
        ticket = self._waiting
        if ticket is None or not ticket.shown:
            return False, 'no trajectory waits for an approval' + (
                '' if ticket is None else '; its verdict is not there yet')
        if approved and ticket.took_place and self._clock() < ticket.shown_at + _LOOK:
            return False, f'{ticket.name} has just taken the place of another; look at it first'
        self._judge(ticket, approved)
        return not ticket.ended or not approved, \
            f'{ticket.name} was {"refused" if ticket.ended else "forwarded"}'

    def override(self) -> tuple[bool, str]:
        """Let the last refused trajectory pass once, should it be sent again."""
        values, ticket = self._snapshot(), self._refused
        if Mode(values['mode']) is not Mode.ENFORCE:
            return False, f'in mode {values["mode"]} there is nothing to override'
        if ticket is None or not ticket.request.trajectory_hash or ticket.request.problem:
            return False, 'no trajectory that could be forwarded has been refused'
        if ticket.took_place and self._clock() < ticket.refused_at + _LOOK:
            return False, f'{ticket.name} has only just been refused, after another; look first'
        lifetime = values['override_lifetime']
        self._desk.grant(ticket.goal_digest, self._clock() + lifetime)
        text = f'an operator overrides the refusal of {ticket.name}: sent again within ' \
               f'{lifetime} s, it is forwarded once'
        self._report.decision('override', text, ticket, warn=True)
        return True, text

    # ------------------------------------------------------------------ the world

    def evidence(self, answer: Answer) -> None:
        """
        Take a verdict that anybody published.

        Be it on what is executed, a FAIL is late evidence. Be it on what waits, whatever is worse
        than its answer becomes its answer.
        """
        if not self._note(answer):
            return
        if answer.verdict.status == Status.FAIL:
            self.execution.doubt(answer.verdict)
        ticket = self._waiting
        if ticket is None or not (ticket.held or ticket.shown) \
                or answer.verdict.trajectory_hash != ticket.request.asked_hash \
                or _badness(answer) <= _badness(ticket.answer):
            return
        with self._protected(ticket):
            ticket.answer, ticket.took_place = answer, True     # the operator must look again
            (self._weigh if ticket.held else self._judge)(ticket)

    def joints_changed(self) -> None:
        """Compare the robot with what it should do, and with what it is waited for."""
        self.execution.joints_changed()
        ticket = self._waiting
        if ticket is not None and ticket.held and not self.execution.is_ahead(ticket):
            with self._protected(ticket):
                self._weigh(ticket)

    def tick(self) -> None:
        """Look after what time does."""
        now = self._clock()
        for ticket in [self._waiting, *self._unanswered]:
            if ticket is None:
                continue
            if ticket.held:
                with self._protected(ticket):
                    self._weigh(ticket)
            elif now < ticket.deadline:
                if not ticket.asked and not ticket.shown:
                    self._ask(ticket)
            elif ticket.shown:
                self._refuse(ticket, 'no operator approved it within '
                             f'{ticket.values["approval_timeout"]} s')
            else:
                self._verdicts.abandon(ticket)
                self.answered(ticket, Answer(problem=self._verdicts.problem() or (
                    f'shadow_sim gave no verdict within {ticket.values["verdict_timeout"]} s')))
        self.execution.tick()

    def close(self, reason: str) -> None:
        """Cancel downstream, refuse what waits, and let nothing pass any more."""
        self.closed = reason
        self.execution.stop_all(reason)
        waiting = self._waiting
        if waiting is not None:
            self._verdicts.abandon(waiting)
            self._refuse(waiting, reason)


def _key(answer: Answer) -> tuple[str, str]:
    """Return what the verdict is on; the rollout is '' where that is unknown."""
    digest = '' if answer.verdict is None else answer.verdict.trajectory_hash
    return answer.rollout_id, digest


def _badness(answer: Answer) -> int:
    """Return how bad a verdict is: more for UNSURE than for PASS or none, most for FAIL."""
    status = None if answer.verdict is None else answer.verdict.status
    return {Status.UNSURE: 1, Status.FAIL: 2}.get(status, 0)
