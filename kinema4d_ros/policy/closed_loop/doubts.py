# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why a robot may not do in truth what a predicted world, which moves it exactly, shows."""
from __future__ import annotations

from kinema4d_ros.foresight import Story
from kinema4d_ros.foresight.hull import GRID
from kinema4d_ros.precheck.robot_checker import RobotChecker
from kinema4d_ros.precheck.tier1.carried import hull_track
from kinema4d_ros.precheck.tier1.clearance import gone_from
from kinema4d_ros.scene import ScenePoints
from kinema4d_ros.types import FindingCode, JointTrajectory, Observation, RobotRollout, Severity

#: what of tier 0 a motion shows that is put together from chunks. How fast it speeds up is not
#: among it: that depends on what a controller makes of the points, and those are joined by lines.
_KEPT = (FindingCode.POSITION_LIMIT, FindingCode.VELOCITY_LIMIT, FindingCode.SELF_COLLISION,
         FindingCode.WORKSPACE)
_BESIDE = 0.02      # [m] above the lowest point of what is carried; lower it may be put down on


def why_not_followed(checker: RobotChecker, observation: Observation,
                     motion: JointTrajectory) -> str | None:
    """
    Return why the robot cannot follow a motion, as far as the robot alone shows; None for nothing.

    A gate refuses such a motion; a controller that lets it pass clips it, stops or lags. So
    nothing is known of what comes of it, neither for good nor for bad.
    """
    for each in checker.tier0(motion, observation.start):
        if each.severity is Severity.FAIL and each.code in _KEPT:
            return f'the robot cannot follow the motion exactly: {each.message}'
    return None


def why_carried_may_strike(points: ScenePoints, robot: RobotRollout, story: Story) -> str | None:
    """
    Return what may stop something that is carried on its way; None where nothing does.

    The scene reaches into its side, deeper than its shape is known to. Being put down is no such
    contact: tier 1 has a limit of its own for that, and for what fails for certain.
    """
    gone = gone_from(points, story, len(robot.times))
    for moving in story.bodies:
        if moving.part is not None:
            continue
        track = hull_track(points, robot, moving, gone, above=_BESIDE)
        if track is None or not len(track.frames):
            continue
        worst = int(track.distance.argmin())
        depth = -float(track.distance[worst])
        if depth > GRID:
            x, y, z = track.point_base[worst]
            return (f'what is carried may be stopped on its way: the scene at ({x:.2f}, {y:.2f}, '
                    f'{z:.2f}) m is {1000 * depth:.0f} mm in its side at '
                    f'{robot.times[track.frames[worst]]:.1f} s')
    return None
