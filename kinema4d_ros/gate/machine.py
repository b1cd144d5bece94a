# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The gate as a state machine without ROS: an event comes, commands go out.

At most one trajectory waits for its verdict; a newer one takes its place. What the controller
executes goes on meanwhile, since the controller decides what a newer goal does to an older one.
"""
from __future__ import annotations

from kinema4d_ros.gate.commands import (AbandonQuestion, AnswerOperator, AskShadowSim, Command,
                                        DecisionKind, EndGoal, LogLevel)
from kinema4d_ros.gate.events import (ClientCancelled, Closed, ControllerAccepted,
                                      ControllerFinished, ControllerHeard, ControllerRejected,
                                      Event, GoalEnd, JointsChanged, OperatorActed, OperatorAction,
                                      OthersChanged, Tick, TrajectorySubmitted, VerdictAnswered,
                                      VerdictHeard)
from kinema4d_ros.gate.evidence import badness, EvidenceMemory
from kinema4d_ros.gate.execution import Execution
from kinema4d_ros.gate.motions import EventContext, PendingMotion, Phase
from kinema4d_ros.gate.question import is_outdated, why_no_question
from kinema4d_ros.gate.request import GateRequest, ShadowSimAnswer
from kinema4d_ros.gate.rules import (evidence_objections, GoalErrorCode, OverrideGrant, rule,
                                     RuleResult, Ruling)
from kinema4d_ros.gate.settings import Mode
from kinema4d_ros.gate.supervision import Supervision
from kinema4d_ros.gate.world import World
from kinema4d_ros.types import FindingCode, Status


class GateMachine:
    """The trajectories at the gate: one waiting, those at the controller, the last refused."""

    def __init__(self) -> None:
        """Begin with no trajectory at the gate."""
        self._execution = Execution()
        self._supervision = Supervision(self._execution)
        self._waiting: PendingMotion | None = None
        self._unanswered: dict[int, PendingMotion] = {}   # forwarded unchecked: mode monitor
        self._evidence = EvidenceMemory()
        self._overrides = OverrideGrant()
        self._refused: GateRequest | None = None    # the last; what an override is for
        self._refused_again = False      # another with the same hash was refused before it
        self._closed: str | None = None             # why nothing passes any more
        self.counts = {'forwarded': 0, 'refused': 0, 'overridden': 0}

    @property
    def is_idle(self) -> bool:
        """Whether no trajectory is under way."""
        return self._waiting is None and self._execution.is_idle

    @property
    def executing(self) -> str:
        """Name of the trajectory that the controller took last and has not ended; '' for none."""
        moving = self._execution.moving
        return '' if moving is None else moving.described

    def phase(self, number: int) -> Phase:
        """Return how far the trajectory with this number has come."""
        motion = self._execution.find(number) or self._waiting
        return Phase.ENDED if motion is None or motion.request.number != number else motion.phase

    def needs_new_graph(self, event: Event, clock: float) -> bool:
        """
        Return whether the graph must be looked at anew: not for each joint state.

        :param clock: [s] by which the robot moves, as in World.
        """
        waiting = self._waiting
        match event:
            case Tick():
                return bool(self._unanswered) or not self.is_idle
            case JointsChanged() | ClientCancelled() | ControllerHeard() | OthersChanged():
                # must not take long, or come often
                return waiting is not None and waiting.phase is Phase.HELD \
                    and Execution.may_arrive(waiting, clock)
        return True

    def handle(self, event: Event, now: float, world: World) -> list[Command]:
        """
        Take an event; return what is to be done, in order.

        :param now: steady time [s].
        :param world: as it is now. Its `graph` must be new where `needs_new_graph`.
        """
        context = EventContext(now, world, self._execution.why_silent(now))
        match event:
            case TrajectorySubmitted(request):
                self._submit(request, context)
            case VerdictAnswered(number, answer):
                self._answered(number, answer, context)
            case VerdictHeard(answer):
                self._heard(answer, context)
            case ControllerAccepted():
                self._execution.accepted(event, context)
            case ControllerRejected(number):
                self._execution.rejected(number, context)
            case ControllerFinished():
                self._execution.finished(event, context)
            case ControllerHeard():
                self._execution.heard(event, context)
            case ClientCancelled(number):
                self._cancel(number, context)
            case OperatorActed(OperatorAction.OVERRIDE, digest):
                self._override(digest, context)
            case OperatorActed(action, digest):
                self._operator_decided(digest, action is OperatorAction.APPROVE, context)
            case Tick():
                self._tick(context)
            case Closed(reason):
                self._close(reason, context)
        if self._closed is None:
            self._supervision.watch(context)
            held = self._waiting
            if held is not None and held.phase is Phase.HELD and (
                    isinstance(event, Tick) or not self._execution.is_ahead(held, context)):
                self._hold_or_decide(held, context)
        return context.commands

    def prepare(self, world: World) -> None:
        """Make what the decision needs while shadow_sim judges."""
        if self._waiting is not None and self._waiting.phase is Phase.ASKED:
            self._waiting.prepare_path(world)

    # ------------------------------------------------------------------ a trajectory comes

    def _submit(self, request: GateRequest, context: EventContext) -> None:
        settings = context.world.settings
        new = PendingMotion(request, settings, context.now + settings.verdict_timeout,
                            context.world.start_of(request.joint_names),
                            context.world.speeds(request.joint_names))
        if self._closed is not None:
            self._refuse(new, self._closed, context)
            return
        older = self._waiting
        if older is not None and older.request.number > request.number:
            self._refuse(new, 'replaced by a newer trajectory, which was read sooner', context)
            return
        self._waiting = new
        if older is not None:
            same = older.request.trajectory_hash == request.trajectory_hash
            if same and (older.phase is Phase.SHOWN or older.confirm_again is not None):
                new.confirm_again = 'it has taken the place of another with the same hash'
            context.do(AbandonQuestion(older.request.number))
            self._refuse(older, 'replaced by a newer trajectory before it was forwarded', context)
        if not request.is_message:
            self._refuse(new, request.problem or 'it cannot be read', context)
            return
        new.overridden = settings.mode is Mode.ENFORCE and self._overrides.take(
            request.goal_digest, context.now)
        if settings.mode is Mode.MONITOR or new.overridden or request.problem:
            self._judge(new, context)
        elif settings.mode is Mode.ENFORCE:
            self._continue(new, context)
        if new.phase is Phase.RECEIVED and not new.overridden:
            if settings.mode is Mode.MONITOR:
                self._unanswered[request.number] = new
            self._ask(new, context)

    def _continue(self, new: PendingMotion, context: EventContext) -> None:
        """Have a trajectory that begins ahead on the path that is executed continue it."""
        if (found := self._execution.handover(new, context)) is not None:
            new.after, new.handover = found
            new.start = {**new.start, **new.handover.start}

    def _ask(self, waiting: PendingMotion, context: EventContext) -> None:
        """Ask for a verdict, now or, while shadow_sim or joints are yet to be heard, at a tick."""
        graph, names = context.world.graph, set(waiting.request.joint_names)
        if not names <= set(waiting.start):
            waiting.start = context.world.start_of(names)
            waiting.speeds = context.world.speeds(names)
        if graph.shadow_sim_problem:
            if graph.settled:
                self._answered(waiting.request.number,
                               ShadowSimAnswer(problem=graph.shadow_sim_problem), context)
        elif graph.shadow_sim_ready and (graph.settled or names <= set(waiting.start)):
            reason = why_no_question(waiting, context)
            if reason is not None and waiting.settings.mode is not Mode.MONITOR:
                self._refuse(waiting, reason, context, code=FindingCode.OTHER_MOTION)
                return
            waiting.phase, waiting.asked = Phase.ASKED, waiting.asked + 1
            context.do(AskShadowSim(waiting.request, waiting.question,
                                    waiting.deadline - context.now))

    def _is_asked_again(self, waiting: PendingMotion, context: EventContext) -> bool:
        """Ask again where other motions have begun or ended since; return whether that was so."""
        if not is_outdated(waiting, context):
            return False
        names = waiting.request.joint_names
        waiting.phase = Phase.RECEIVED
        waiting.answer = ShadowSimAnswer(problem='other motions have begun or ended since')
        waiting.start, waiting.speeds = context.world.start_of(names), context.world.speeds(names)
        if waiting.handover is not None:
            self._continue(waiting, context)
        self._ask(waiting, context)
        return True

    # ------------------------------------------------------------------ what shadow_sim says

    def _answered(self, number: int, answer: ShadowSimAnswer, context: EventContext) -> None:
        """Take the answer to a question."""
        self._evidence.note(answer)
        answer = self._evidence.worst(answer)      # it may have been published before
        unanswered, waiting = self._unanswered.pop(number, None), self._waiting
        if unanswered is not None:
            self._report_unforced(unanswered, answer, context)
        elif waiting is not None and waiting.request.number == number \
                and waiting.phase in (Phase.RECEIVED, Phase.ASKED):
            waiting.answer = answer
            self._hold_or_decide(waiting, context)

    def _heard(self, answer: ShadowSimAnswer, context: EventContext) -> None:
        """
        Take a verdict that shadow_sim published.

        Be it on what is executed, a FAIL is late evidence. Be it on what waits, whatever is worse
        than its answer becomes its answer.
        """
        verdict, waiting = answer.verdict, self._waiting
        if not self._evidence.note(answer) or verdict is None:
            return
        if verdict.status == Status.FAIL:
            self._execution.take_late_fail(verdict, context)
        if waiting is None or verdict.trajectory_hash != waiting.request.asked_hash \
                or badness(answer) <= badness(waiting.answer):
            return
        if waiting.phase is Phase.HELD:
            waiting.answer = answer
            self._hold_or_decide(waiting, context)
        elif waiting.phase is Phase.SHOWN:
            waiting.answer = answer
            waiting.confirm_again = \
                f'its verdict has become {verdict.status.name}: {verdict.summary}'
            self._judge(waiting, context)

    def _hold_or_decide(self, waiting: PendingMotion, context: EventContext) -> None:
        """Decide on it, or hold what may pass until the robot is where it begins."""
        if waiting.after is not None and waiting.after.stop is not None:
            self._refuse(waiting, 'the motion that it continues is cancelled: '
                         f'{waiting.after.stop.reason}', context)
            return
        if self._is_asked_again(waiting, context):
            return
        if not self._execution.is_ahead(waiting, context):
            self._judge(waiting, context)
            return
        objections = evidence_objections(waiting.request, waiting.answer,
                                         waiting.situation(context), waiting.settings)
        if objections:
            self._refuse(waiting, objections[0].reason, context, objections[0].error)
        elif waiting.phase is not Phase.HELD:
            waiting.phase = Phase.HELD
            context.report(DecisionKind.HOLD, f'PASS: {waiting.request.name} is held until the '
                           'robot is where it begins', waiting)

    def _report_unforced(self, waiting: PendingMotion, answer: ShadowSimAnswer,
                         context: EventContext) -> None:
        """Mode monitor: say what would have been decided."""
        waiting.answer = answer
        objections = evidence_objections(waiting.request, answer, waiting.situation(context),
                                         waiting.settings)
        if objections:
            context.report(DecisionKind.MONITOR, f'{waiting.request.name} would have been refused: '
                           f'{objections[0].reason}', waiting, LogLevel.WARNING)
        elif answer.verdict is not None:
            context.report(DecisionKind.MONITOR, f'{waiting.request.name} would have been '
                           f'forwarded: PASS: {answer.verdict.summary}', waiting)

    # ------------------------------------------------------------------ the decision

    def _judge(self, waiting: PendingMotion, context: EventContext,
               approved: bool | None = None) -> None:
        """Decide on the waiting trajectory, and do it."""
        waiting.prepare_path(context.world)
        situation = waiting.situation(context, waiting.watch_problem)
        result = rule(waiting.settings.mode, waiting.request, waiting.answer, situation,
                        waiting.settings, overridden=waiting.overridden, approved=approved)
        match result.ruling:
            case Ruling.FORWARD:
                self._forward(waiting, result, context)
            case Ruling.ASK:
                waiting.phase = Phase.SHOWN
                waiting.deadline = context.now + waiting.settings.approval_timeout
                context.report(DecisionKind.ASK, f'approve or deny {waiting.request.name}? '
                               f'{result.reason}', waiting, LogLevel.WARNING)
            case _:
                self._refuse(waiting, result.reason, context, result.error, result.code)

    def _forward(self, waiting: PendingMotion, result: RuleResult, context: EventContext) -> None:
        self._waiting = None
        self.counts['overridden' if waiting.overridden else 'forwarded'] += 1
        unprotected = self._execution.why_unprotected(waiting, context)
        context.report(DecisionKind.FORWARD,
                       f'{result.reason}: {waiting.request.name} is forwarded'
                       + (f'; {unprotected}' if unprotected else ''), waiting,
                       LogLevel.WARNING if waiting.overridden else LogLevel.INFO)
        self._execution.send(waiting, context)

    def _refuse(self, waiting: PendingMotion, reason: str, context: EventContext,
                error: GoalErrorCode = GoalErrorCode.INVALID_GOAL,
                code: FindingCode | None = None) -> None:
        if waiting is self._waiting:
            self._waiting = None
        waiting.phase = Phase.ENDED
        self.counts['refused'] += 1
        request, last = waiting.request, self._refused
        if last is None or last.trajectory_hash != request.trajectory_hash:
            self._refused_again = False
        elif last.goal_digest != request.goal_digest:
            self._refused_again = True      # until the operator has heard of it
        self._refused = request
        context.report(DecisionKind.REFUSE, f'{reason}: {request.name} is refused', waiting,
                       LogLevel.ERROR, code)
        context.do(EndGoal(request.number, GoalEnd.ABORT, int(error), reason))

    # ------------------------------------------------------------------ the client, the operator

    def _cancel(self, number: int, context: EventContext) -> None:
        """Cancel what a client no longer wants."""
        waiting = self._waiting
        if waiting is None or waiting.request.number != number:
            self._execution.cancel_by_client(number, context)
            return
        self._waiting, waiting.phase = None, Phase.ENDED
        reason = 'cancelled by the client before it was forwarded'
        context.do(AbandonQuestion(number))
        context.report(DecisionKind.CANCEL, f'{reason}: {waiting.request.name}', waiting)
        context.do(EndGoal(number, GoalEnd.CANCEL, 0, reason))

    def _operator_decided(self, digest: str, approved: bool, context: EventContext) -> None:
        """Forward or refuse the trajectory that waits, as an operator decided."""
        waiting = self._waiting
        if waiting is None or waiting.phase is not Phase.SHOWN:
            context.do(AnswerOperator(False, 'no trajectory waits for an approval' + (
                '' if waiting is None else '; its verdict is not there yet')))
        elif (refusal := waiting.request.why_other(digest, 'waits')) is not None:
            context.do(AnswerOperator(False, refusal))
        elif approved and waiting.confirm_again is not None:
            context.do(AnswerOperator(False, f'{waiting.confirm_again}; look at '
                                      f'{waiting.request.name} again, then approve it once more'))
            waiting.confirm_again = None
        else:
            self._judge(waiting, context, approved)
            refused = waiting.has_ended
            context.do(AnswerOperator(not (approved and refused), f'{waiting.request.name} was '
                                      f'{"refused" if refused else "forwarded"}'))

    def _override(self, digest: str, context: EventContext) -> None:
        """Let the last refused trajectory pass once, should it be sent again."""
        settings, request = context.world.settings, self._refused
        if settings.mode is not Mode.ENFORCE:
            refusal: str | None = f'in mode {settings.mode} there is nothing to override'
        elif request is None or not request.trajectory_hash or request.problem:
            refusal = 'no trajectory that could be forwarded has been refused'
        else:
            refusal = request.why_other(digest, 'was refused last')
            if refusal is None and self._refused_again:
                self._refused_again = False
                refusal = f'{request.name} has the same hash as another that was refused before ' \
                          'it; look at it again, then override it once more'
        if refusal is not None or request is None:
            context.do(AnswerOperator(False, refusal or ''))
            return
        lifetime = settings.override_lifetime
        self._overrides.grant(request.goal_digest, context.now + lifetime)
        text = f'an operator overrides the refusal of {request.name}: sent again within ' \
               f'{lifetime} s, it is forwarded once'
        context.report(DecisionKind.OVERRIDE, text, PendingMotion(request, settings, 0.0, {}),
                       LogLevel.WARNING)
        context.do(AnswerOperator(True, text))

    # ------------------------------------------------------------------ time, the end

    def _tick(self, context: EventContext) -> None:
        for waiting in [self._waiting, *self._unanswered.values()]:
            if waiting is None or waiting.phase is Phase.HELD:
                continue
            number = waiting.request.number
            if context.now < waiting.deadline:
                if waiting.phase is Phase.RECEIVED:
                    self._ask(waiting, context)
            elif waiting.phase is Phase.SHOWN:
                self._refuse(waiting, 'no operator approved it within '
                             f'{waiting.settings.approval_timeout} s', context)
            else:
                context.do(AbandonQuestion(number))
                problem = context.world.graph.shadow_sim_problem or (
                    f'shadow_sim gave no verdict within {waiting.settings.verdict_timeout} s')
                self._answered(number, ShadowSimAnswer(problem=problem), context)
        self._supervision.tick(context)

    def _close(self, reason: str, context: EventContext) -> None:
        """Cancel downstream, refuse what waits, and let nothing pass any more."""
        first, self._closed = self._closed is None, reason
        self._execution.stop_all(reason, context, again=first)     # commands may have been lost
        waiting = self._waiting
        if waiting is not None:
            context.do(AbandonQuestion(waiting.request.number))
            self._refuse(waiting, reason, context)
