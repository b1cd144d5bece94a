# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the worker process does for one trajectory; without pipe, memory or threads."""
from __future__ import annotations

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.precheck import Assessment, RobotChecker
from kinema4d_ros.precheck.sequence import check, check_robot, predict, Show
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation, Report
from kinema4d_ros.worker.protocol import CheckTask, PredictionTask, SeenRobot

_TIER0 = 'self-collision'     # what it is called here: the node tells the latency of the rest


def run_task(assessment: Assessment, simulator: ShadowSimulator, checker: RobotChecker,
             observation: Observation | None, trajectory: JointTrajectory,
             task: CheckTask | PredictionTask, report: Report, show: Show) -> None:
    """
    Take the steps of the precheck that the task names.

    All of them are from one start state, the live joints that the node sends with the task. It has
    run what of tier 0 needs no meshes with those of a moment before; the robot may have moved
    since, so a CheckTask runs all of tier 0.

    :param observation: None where the task does not look at it.
    :param show: called with the robot's motion and each predicted frame.
    :raises PredictionCancelled: as raised by `report`.
    :raises WorldModelError: there is no world model to predict with.
    :raises Exception: whatever the world model raises, since then there is no prediction.
    """
    if observation is None:
        if task.looks or task.start is None:
            raise RuntimeError('there is no observation to look at')
        check_robot(assessment, checker, trajectory, start=task.start, report=report,
                    stage=_TIER0)
        return
    if isinstance(task, CheckTask):
        check(assessment, checker, observation, trajectory, tiers=task.tiers, goal=task.goal,
              report=report, stage=_TIER0, start=task.start)
    elif simulator.world_model is None:
        raise WorldModelError('this process has no world model')
    else:
        predict(assessment, simulator, checker, observation, trajectory, seed=task.seed,
                is_judged=task.is_judged, report=report, show=show, start=task.start)
    if assessment.fails and task.tells_background:
        assessment.backgrounds = {view.name: view.background for view in observation.views
                                  if view.background is not None}


def seen_robots(checker: RobotChecker, observation: Observation) -> dict[str, SeenRobot]:
    """
    Return how each camera of an observation that has a depth image sees the robot, by its name.

    That is what the precheck makes of the look, with the joints at the stamp of each view and by
    the calibration of its camera; nothing is computed twice.
    """
    found = {}
    for view in checker.look(observation).views:
        if view.seen.depth is not None:
            agreement = view.agreement
            found[view.name] = SeenRobot(agreement.offset, agreement.pixels, agreement.shift_sigma,
                                         agreement.share, agreement.why_not_compared())
    return found
