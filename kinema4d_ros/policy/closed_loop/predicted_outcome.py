# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What has come of a task in a predicted world: by the goal's rubric, never by a picture."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kinema4d_ros.foresight import best_story, can_grasp, Fingers, MovingBody, Story, Told
from kinema4d_ros.policy.closed_loop.doubts import why_carried_may_strike, why_not_followed
from kinema4d_ros.policy.types import LIFTED, TaskOutcome
from kinema4d_ros.precheck.goal_rules import Region
from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.precheck.outcome import MovedObject, Outcome
from kinema4d_ros.precheck.sequence import judge_goal
from kinema4d_ros.scene import Scene
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (EventKind, Finding, FindingCode, JointTrajectory, Observation,
                                RobotRollout, Severity)
from kinema4d_ros.world_model.frozen import Frozen

_LET_GO = (EventKind.RELEASE, EventKind.REST, EventKind.DROPPED, EventKind.SLIPPED_OUT)
_AT_REST = 0.005     # [m] that something moves in the last `_WATCHED` of a motion, at most
_WATCHED = 0.15      # [s]
_AROUND = 0.05       # [m] beside the box in which the goal's object begins, its grasp
_GROUND = 0.005      # [m] above the bottom of that box, where it may be what it stands on
#: from one half, in which a probability claims nothing: places are known to some 5 mm in 2 cm
_UNDECIDED = 0.1
_HELD = 0.02         # probability of success with the object in the hand, by mistake of a grasp


def is_solved(goal: Goal, robot: RobotRollout, told: Told | None) -> bool:
    """
    Return whether things are where the goal wants them, let go and at rest.

    What is to be lifted need not be let go.
    """
    if told is None:
        return False
    in_hand = _stays_in_hand(goal)
    before = int(np.searchsorted(robot.times, robot.times[-1] - _WATCHED))
    for number, moving in enumerate(told.bodies):
        if goal.margin(Outcome(moved=(_moved(moving),))) < 0:
            continue
        way = np.linalg.norm(moving.center(-1) - moving.center(before))
        if in_hand or (way < _AT_REST and not _is_held(told, number)):
            return True
    return False


def _stays_in_hand(goal: Goal) -> bool:
    return any(rule.kind == 'lifted' for rule in goal.rules)


def _is_held(told: Told, number: int) -> bool:
    """Return whether a body is in the hand when the motion ends."""
    moving = told.bodies[number]
    last = [each.event.kind for each in told.events if each.body == number
            and each.event.kind in (*_LET_GO, EventKind.GRASP)][-1:]
    return last == [EventKind.GRASP] or (moving.held is not None and moving.let_go is None)


def _is_never_let_go(goal: Goal, story: Told) -> bool:
    """Return whether what the goal wants put somewhere is in the hand when the motion ends."""
    parts = [part for part in (goal, *goal.parts) if part.rules and not _stays_in_hand(part)]
    return any(_is_held(story, number) and (part.starts_in is None or _near(
        moving.center(0), part.starts_in, 0.0)) for part in parts
        for number, moving in enumerate(story.bodies))


def predicted_outcome(simulator: ShadowSimulator, observation: Observation,
                      motion: JointTrajectory, goal: Goal | None) -> TaskOutcome:
    """
    Return what comes of a whole motion from an observation.

    Tier 1 measures and foresees it, the same as before a motion is let pass, by simulation where
    the settings say so; the goal's rubric says whether that is a success. Nothing is claimed where
    the robot cannot follow the motion, tier 1 could not check, or the goal is about as likely
    missed as met; no success where what is carried may strike something on its way, or is not let
    go at the end.
    """
    checker = simulator.checker()
    parts = () if goal is None else goal.fixture_parts
    result = checker.tier1(observation, motion, parts=parts)
    if result.outcome is None:
        said = [each.message for each in result.findings if each.severity > Severity.INFO]
        return TaskOutcome(None, reason='; '.join(said) or 'nothing could be foreseen')
    outcome = result.outcome
    if stays_as_it_is(simulator):
        outcome = Outcome()
    clearance = math.nan if result.clearance is None else float(result.clearance.minimum)
    robot, scene = checker.rollout_of(observation, motion), checker.scene_of(observation)
    story = best_story(scene, robot, checker.settings.grasping, pictures=False, parts=parts) \
        if scene.measuring and can_grasp(robot) else None
    gap, grasped = _grasp(simulator, scene, robot, story, goal, outcome,
                          _stopped_at(result.findings))
    if (why := why_not_followed(checker, observation, motion)) is not None:
        return TaskOutcome(None, reason=why, min_clearance=clearance, gap_at_closing=gap)
    if grasped and _is_stopped_before_grasp(outcome, result.findings):
        grasped = False      # as success is not believed in then
    success, probability, reason = None, math.nan, 'there is no goal to judge by'
    if goal is not None:
        likely, finding = judge_goal(goal, outcome, result.findings)
        unchecked = [each.message for each in result.findings
                     if each.code is FindingCode.NOT_CHECKED and each.severity > Severity.INFO]
        if unchecked:
            reason = '; '.join(unchecked)
        elif likely is None:
            reason = finding.message
        elif abs(likely - 0.5) < _UNDECIDED:
            reason = f'whether the goal is met is not known: {finding.message}'
        elif likely > 0.5 and story is not None and _is_never_let_go(goal, story):
            success, probability, reason = False, _HELD, 'it is still in the hand at the end'
        elif likely > 0.5 and story is not None and (
                why := why_carried_may_strike(scene.points, robot, story)) is not None:
            reason = why
        else:
            success, probability, reason = likely > 0.5, float(likely), finding.message
    return TaskOutcome(success, probability, reason, clearance, gap, grasped)


def _stopped_at(findings: Sequence[Finding]) -> float:
    """Return when the robot runs into something for certain [s]; infinite for never."""
    return min((each.time for each in findings if each.code is FindingCode.CONTACT
                and each.severity is Severity.FAIL and each.time is not None), default=math.inf)


def _is_stopped_before_grasp(outcome: Outcome, findings: Sequence[Finding]) -> bool:
    """Return whether the robot runs into something before the first grasp."""
    grasps = [event.time for event in outcome.events if event.kind is EventKind.GRASP]
    return bool(grasps) and _stopped_at(findings) <= min(grasps)


def stays_as_it_is(simulator: ShadowSimulator) -> bool:
    """Return whether the world model says that nothing ever moves."""
    model = simulator.world_model
    return model is not None and model.tells and type(model).told is Frozen.told


def _moved(moving: MovingBody) -> MovedObject:
    body = moving.body
    lowest = np.array([*body.center[:2], body.bottom])
    return MovedObject(body.center.copy(), moving.center(-1),
                       float(body.moved(lowest, moving.T_base_body[-1])[2]))


def _grasp(simulator: ShadowSimulator, scene: Scene, robot: RobotRollout, story: Story | None,
           goal: Goal | None, outcome: Outcome, stopped: float) -> tuple[float, bool | None]:
    """
    Return the gap when the fingers closed [m], and whether the goal's object was lifted.

    :param stopped: when the robot runs into something [s].
    """
    if story is None:
        return math.nan, None
    box = None if goal is None else goal.starts_in
    gap = math.nan if box is None else gap_at_closing(
        scene, robot, story, box, stopped)
    if stays_as_it_is(simulator):
        return gap, False
    kinds = {event.kind for event in outcome.events}
    undecided = {event.time for event in outcome.events if event.kind is EventKind.UNDECIDED}
    grasps = [event for event in outcome.events if event.kind is EventKind.GRASP
              and (box is None or event.point_base is None or _near(event.point_base, box))]
    if not grasps:
        doubtful = kinds & {EventKind.UNSEEN_SPACE, EventKind.UNDECIDED}
        return gap, None if doubtful or not outcome.is_known else False
    if all(event.time in undecided for event in grasps):     # whether the fingers hold it
        return gap, None
    rises = [max(float(moving.center(frame)[2]) for frame in range(len(robot.times)))
             - float(moving.center(0)[2]) for moving in story.bodies
             if box is None or _near(moving.center(0), box)]
    return gap, max(rises) > LIFTED if rises else None


def gap_at_closing(scene: Scene, robot: RobotRollout, story: Told, box: Region,
                   stopped: float = math.inf) -> float:
    """
    Return how far the fingers were from the goal's object when they closed [m].

    The least of all times that they closed, of what is seen of the object: 0 where they would have
    touched it; infinite where they never closed; NaN where no camera sees the object.

    :param box: in which the object begins.
    :param stopped: when the robot runs into something [s]: from then on it closes where it is.
    """
    points = scene.points.points_base
    low, high = np.array(box.low), np.array(box.high)
    low[2] += _GROUND
    points = points[np.all((points >= low) & (points <= high), axis=1)].astype(np.float64)
    moved = [moving for moving in story.bodies if _near(moving.body.center, box, 0.0)]
    if not len(points):
        return math.nan
    fingers = Fingers(robot)
    farthest = int(np.searchsorted(robot.times, stopped))
    gaps = []
    for closing in fingers.motions():
        if not closing.closing:
            continue
        frame = closing.first
        now = points
        if moved and moved[0].first_frame <= frame:
            T = moved[0].T_base_body[frame]
            now = points @ T[:3, :3].T + T[:3, 3]
        gaps.append(min(_to_fingers(now, robot, each, min(each, farthest))
                        for each in range(closing.first, closing.last + 1)))
    return min(gaps, default=math.inf)


def _to_fingers(points: np.ndarray, robot: RobotRollout, frame: int, arm: int) -> float:
    """Return how far points (N, 3) are from the fingers' boxes of one frame, the arm of another."""
    names, T = robot.link_names, robot.T_base_link
    palm = names.index(robot.hand.palm_link)
    moved = T[arm, palm] @ np.linalg.inv(T[frame, palm])
    least = math.inf
    for link, box in zip(robot.hand.finger_links, robot.hand.finger_boxes, strict=True):
        if box is None:
            continue
        back = np.linalg.inv(moved @ T[frame, names.index(link)])
        local = points @ back[:3, :3].T + back[:3, 3]
        beside = np.maximum(np.maximum(box[0] - local, local - box[1]), 0.0)
        least = min(least, float(np.linalg.norm(beside, axis=1).min()))
    return least


def _near(point: np.ndarray, box: Region, around: float = _AROUND) -> bool:
    return bool(np.all(point >= np.array(box.low) - around)
                and np.all(point <= np.array(box.high) + around))
