# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim is asked: the trajectory, with what the robot does before it and beside it."""
from __future__ import annotations

import dataclasses

from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.gate.motions import EventContext, PendingMotion
from kinema4d_ros.gate.other_motions import compose, LEAD, why_not_together
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.settings import Mode
from kinema4d_ros.robot import trajectory_hash

_MOST = 4     # questions about one trajectory, where other motions begin and end meanwhile


def why_no_question(waiting: PendingMotion, context: EventContext) -> str | None:
    """
    Make the question about a motion, with what other gates of the robot execute meanwhile.

    :return: why it cannot be judged together with that; the question is then without it.
    """
    world, handover, trajectory = context.world, waiting.handover, waiting.request.trajectory
    question = None if handover is None else handover.motion
    waiting.offset = 0.0 if handover is None else handover.offset
    reason, others = None, world.others
    if others and trajectory is not None and world.robot is not None:
        newer = trajectory if question is None else question
        reason = why_not_together(trajectory.joint_names, others, world.fingers)
        if reason is None:
            try:
                path = PathMonitor(newer, world.robot, waiting.start)
            except Kinema4DError as error:
                reason = str(error)
            else:
                question = compose(newer, path, others)
                waiting.offset += 0.0 if newer.times[0] >= LEAD else LEAD
    waiting.together = frozenset(
        other.told.key for other in others) if reason is None else frozenset()
    waiting.question = question
    motion_hash = '' if question is None else trajectory_hash(question)
    if motion_hash != waiting.request.motion_hash:
        waiting.request = dataclasses.replace(waiting.request, motion_hash=motion_hash)
    return reason


def is_outdated(waiting: PendingMotion, context: EventContext) -> bool:
    """Return whether to ask again, since other motions have begun or ended after the question."""
    now = frozenset(other.told.key for other in context.world.others)
    return now != waiting.together and 0 < waiting.asked < _MOST and not waiting.overridden \
        and waiting.settings.mode is Mode.ENFORCE and waiting.answer.verdict is not None \
        and why_not_together(waiting.request.joint_names, context.world.others,
                             context.world.fingers) is None
