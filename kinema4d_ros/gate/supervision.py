# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Looks after the motions at the controller: at the joints, at the controller, at other gates.

Whatever happens to a motion, its client hears within two seconds what is known of it.
"""
from __future__ import annotations

from kinema4d_ros.gate.commands import DecisionKind, LogLevel, PingController
from kinema4d_ros.gate.events import GoalEnd
from kinema4d_ros.gate.execution import Execution, RESPONSE
from kinema4d_ros.gate.motions import EventContext, ForwardedMotion, Phase
from kinema4d_ros.gate.rules import GoalErrorCode
from kinema4d_ros.gate.watch import Trouble
from kinema4d_ros.gate.world import SELDOM, STANDS
from kinema4d_ros.types import FindingCode

_RETRY = 0.25           # [s] between two attempts to cancel
_SLOW_RETRY = 5.0       # [s] the same, once a controller has not ended it for long
_STUCK = 30.0           # [s] after which it has not ended it for long
_SOON, _LATEST = 1.0, 1.4       # [s] a client waits for the end of a goal that is being cancelled,
#                                 while its joints stand still or are unknown, and while they move
_HAD_TIME = 0.3         # [s] the same, of a controller that had its time before it was cancelled
_QUIET = 0.5            # [s] without a word of the controller after which it is asked for one
_SILENT = 1.1           # [s] without a word of a controller that does answer
_REPLACED = 0.5         # [s] for the controller to end what it took a newer one in place of
_TELL = 0.2             # [s] between two words to the other gates
_ERRORS = {Trouble.ASTRAY: GoalErrorCode.PATH_TOLERANCE_VIOLATED,
           Trouble.OTHER: GoalErrorCode.INVALID_GOAL,
           Trouble.LATE: GoalErrorCode.INVALID_GOAL,
           Trouble.STALLED: GoalErrorCode.INVALID_GOAL}


class Supervision:
    """What is done about the motions of an `Execution` as time passes and joints move."""

    def __init__(self, execution: Execution) -> None:
        """Look after the motions of `execution`."""
        self._execution = execution

    # ------------------------------------------------------------------ at each event

    def watch(self, context: EventContext) -> None:
        """Compare the moving robot with the checked trajectory, and with what other gates do."""
        motion = self._execution.moving
        if motion is None:
            return
        self._look_at_others(motion, context)
        if motion.watch is None or motion.stop is not None:
            return
        found = motion.watch.look(context.world, context.clock)
        if found is None:
            return
        newer = self._newer(motion)
        if newer is not None and newer.watch is not None and newer.stop is None \
                and newer.watch.look(context.world, context.clock) is None:
            return      # the controller has it already, and its word is under way
        self._trouble(motion, *found, context)

    def _newer(self, motion: ForwardedMotion) -> ForwardedMotion | None:
        """Return the motion that was sent after this one and is yet to be accepted."""
        sent = self._execution.sent
        later = sent[sent.index(motion) + 1:]
        return later[0] if later and later[0].phase is Phase.SENT else None

    def _look_at_others(self, motion: ForwardedMotion, context: EventContext) -> None:
        """Stop the later one of two motions that nobody judged together."""
        world, joints = context.world, frozenset(motion.joint_names)
        if motion.stop is not None or joints <= world.fingers:
            return
        for other in world.others:
            # One that could not be read moves nobody knows what.
            if other.told.key in motion.together or other.joints and other.joints <= world.fingers \
                    or other.order > (motion.sent_ns, world.gate):
                continue
            self._doubt_or_stop(
                motion, f'a motion of {other.told.gate} began just before, and nobody judged the '
                'two together', context, code=FindingCode.OTHER_MOTION)
            return

    def _trouble(self, motion: ForwardedMotion, trouble: Trouble, reason: str,
                 context: EventContext) -> None:
        code = FindingCode.OTHER_MOTION if trouble is Trouble.OTHER else None
        self._doubt_or_stop(motion, reason, context, _ERRORS[trouble], code)

    def _doubt_or_stop(self, motion: ForwardedMotion, reason: str, context: EventContext,
                       error: GoalErrorCode = GoalErrorCode.INVALID_GOAL,
                       code: FindingCode | None = None) -> None:
        """Stop a motion; in mode monitor say why, once, and watch it no longer."""
        if motion.settings.may_stop:
            self._execution.stop(motion, reason, context, error, code=code)
        elif motion.watch is not None:
            motion.watch = None
            context.report(DecisionKind.DOUBT, f'{reason}: {motion.request.name} goes on', motion,
                           LogLevel.WARNING, code)

    # ------------------------------------------------------------------ as time passes

    def tick(self, context: EventContext) -> None:
        """Do what is due: repeat cancels, and stop what takes too long or cannot be watched."""
        for motion in self._execution.sent.copy():
            if not motion.can_be_cancelled:
                if context.now > motion.due:
                    self._execution.forget_topic_motion(motion, context)
            elif motion.phase is Phase.STOPPING:
                self._see_to_its_end(motion, context)
            else:
                self._look_after(motion, context)
            if motion.phase is not Phase.ENDED and context.now >= motion.told_at + _TELL:
                self._execution.tell_gates(motion, context)
        moving = self._execution.moving
        if moving is not None and moving.stop is None and moving.watch is not None:
            self._look_at_time(moving, context)

    def _look_at_time(self, motion: ForwardedMotion, context: EventContext) -> None:
        watch, world = motion.watch, context.world
        if watch is None:
            return
        late, trouble = watch.why_late(world, context.clock), watch.tick(world, context.clock)
        unknown = self._why_unwatchable(motion, context)
        if unknown:
            self._doubt_or_stop(motion, f'the motion cannot be watched: {unknown}', context)
        elif trouble is not None:
            self._trouble(motion, *trouble, context)
        elif late:
            joints = world.how_joints_are(motion.joint_names, context.now)
            code = FindingCode.ROBOT_STATE if world.robot_problem else None
            context.report(DecisionKind.DOUBT, f'{late}; {joints}: {motion.request.name} goes on',
                           motion, LogLevel.WARNING, code)

    @staticmethod
    def _why_unwatchable(motion: ForwardedMotion, context: EventContext) -> str | None:
        """
        Return why it is not known where the joints are.

        Stamps that are off for a moment may be a clock that was set: the joints are still heard.
        """
        assert motion.watch is not None
        world, most, now = context.world, motion.settings.max_joint_age, context.now
        seldom, path, others = max(most, SELDOM), motion.watch.path.names, motion.watch.others
        silent = world.why_joints_silent(path, most, now) \
            or world.why_joints_silent(others, seldom, now)
        off = world.why_joints_unknown(path, most, now) \
            or world.why_joints_unknown(others, seldom, now)
        if off is None:
            motion.stamps_off_since = None
        elif motion.stamps_off_since is None:
            motion.stamps_off_since = now
        elif now - motion.stamps_off_since > most:
            return off
        return silent

    def _look_after(self, motion: ForwardedMotion, context: EventContext) -> None:
        settings, graph, now = motion.settings, context.world.graph, context.now
        if motion.phase is Phase.SENT and now > motion.sent_at + RESPONSE and settings.may_stop:
            reason = 'the controller does not answer; it is sent a cancel'
            self._execution.stop(motion, reason, context)
            self._execution.end_client_goal(
                motion, GoalEnd.ABORT, GoalErrorCode.INVALID_GOAL,
                f'{reason}; {context.world.how_joints_are(motion.joint_names, now)}', context)
        elif graph.controller_problem and settings.may_stop:
            self._execution.stop(motion, graph.controller_problem, context)
        elif graph.controller_gone:
            self._execution.give_up(
                motion, f'{graph.controller_problem}: '
                f'{context.world.how_joints_are(motion.joint_names, now)}', context)
        elif graph.controller_problem and not motion.is_problem_reported:
            motion.is_problem_reported = True      # said once
            context.report(DecisionKind.DOUBT, f'{graph.controller_problem}: {motion.request.name} '
                           'goes on', motion, LogLevel.WARNING)
        elif motion.phase is Phase.EXECUTING and settings.may_stop:
            self._look_at_controller(motion, context)

    def _look_at_controller(self, motion: ForwardedMotion, context: EventContext) -> None:
        """Ask a controller that says nothing for a sign of life; stop what it does not end."""
        now, overtime = context.now, motion.settings.overtime
        quiet = now - motion.heard_at
        if now > motion.replaced_at + _REPLACED:
            self._execution.stop(
                motion, 'the controller took a newer trajectory and has not ended it', context)
            return
        if motion.answers and quiet > _SILENT:
            motion.had_time = True
            self._execution.stop(motion, 'the controller has given no sign of life for '
                                 f'{quiet:.1f} s', context)
            return
        if (quiet > _QUIET or not motion.pinged_at) and now > motion.pinged_at + _QUIET:
            motion.pinged_at = now
            context.do(PingController(motion.request.number))
        arrived = now - motion.due if motion.watch is None else \
            motion.watch.arrived_for(context.clock)
        if arrived is None or now < motion.due or \
                arrived < overtime + max(0.0, motion.request.time_tolerance):
            return
        motion.had_time = True
        self._execution.stop(
            motion, f'the controller has not ended the motion {overtime} s after its end was '
            f'reached; {context.world.how_joints_are(motion.joint_names, now)}', context)

    def _see_to_its_end(self, motion: ForwardedMotion, context: EventContext) -> None:
        """
        Cancel again what did not end, and let its client know what is known.

        A controller may leave a goal as being cancelled for ever, where the cancel has met its
        end: the joints tell that nothing moves.
        """
        world, now = context.world, context.now
        reason = '' if motion.stop is None else motion.stop.reason
        joints = world.how_joints_are(motion.joint_names, now)
        if world.graph.controller_gone:
            self._execution.give_up(
                motion, f'{reason}; then {world.graph.controller_problem}: {joints}', context)
            return
        waited, still = now - motion.stopped_at, world.still_for(motion.joint_names, now)
        stands = still is not None and still >= STANDS
        most = _HAD_TIME if motion.had_time else _SOON if stands or still is None else _LATEST
        if not motion.client_knows and waited > most:
            text = f'{reason}; the controller has not ended it: {joints}'
            context.report(DecisionKind.DOUBT, f'{text}; {motion.request.name} is cancelled on',
                           motion, LogLevel.WARNING if stands else LogLevel.ERROR)
            is_cancelled = motion.by_client and stands
            error = 0 if motion.stop is None or is_cancelled else motion.stop.error
            self._execution.end_client_goal(
                motion, GoalEnd.CANCEL if is_cancelled else GoalEnd.ABORT, error, text, context)
        is_replaced = now > motion.replaced_at + _LATEST and waited > _LATEST
        if motion.client_knows and (is_replaced or (stands and waited > _STUCK)):
            self._execution.give_up(
                motion, f'{reason}; the controller never ended it: {joints}', context)
            return
        retry = _SLOW_RETRY if waited > _STUCK else _RETRY
        if now > motion.cancelled_at + retry:       # though it may have taken what it did not tell
            self._execution.cancel(motion, context)
