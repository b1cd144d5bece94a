# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the worker process does for a trajectory, without the process."""
import dataclasses

import numpy as np
import pytest
from graph import CAMERA_FRAME, HEIGHT, READY, swing, URDF, WIDTH
from stub_models import GHOST, GOOD, Scripted

from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.errors import PredictionCancelled
from kinema4d_ros.precheck import (Assessment, CameraCheck, Goal, PrecheckSettings, Tier1Settings,
                                   Tier2Settings)
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.scene import Scene
from kinema4d_ros.scene.near_points import DepthTiles
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (FindingCode, Observation, PinholeCamera, Severity, silent,
                                StartState)
from kinema4d_ros.worker.protocol import CheckTask, PredictionTask
from kinema4d_ros.worker.tasks import run_task, seen_robots

FRAMES = 4


@pytest.fixture(scope='module')
def robot():
    """Return the demo arm."""
    return Robot.from_urdf(URDF)


@pytest.fixture(scope='module')
def simulator(robot):
    """Return its simulator; the wall that the camera sees is no robot that vouches for it."""
    return ShadowSimulator(robot, Scripted(), frames=FRAMES, settings=PrecheckSettings(
        tier1=Tier1Settings(camera_check=CameraCheck.OFF)))


def look(robot, depth=1.5):
    """Return a look at the arm before a wall."""
    here = ForwardKinematics(robot)(robot.configuration(READY)[None])[0]
    camera = PinholeCamera(WIDTH, HEIGHT, 90.0, 90.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    return Observation.from_rgbd(
        np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.full((HEIGHT, WIDTH), depth, np.float32),
        camera, here[robot.link_names.index(CAMERA_FRAME)], READY, stamp_ns=1)


def motion(angle=0.3):
    """Return a turn of the shoulder."""
    return trajectory_from_message(swing(angle))


def checked(simulator, observation, trajectory, task, settings=None, report=silent):
    """Run a CheckTask and return what it found."""
    found = Assessment()
    run_task(found, simulator, simulator.checker(settings), observation, trajectory, task, report,
             lambda *_: None)
    return found


def test_only_what_is_asked_for_is_checked(simulator, robot):
    stages = []
    found = checked(simulator, look(robot), motion(), CheckTask((0,)),
                    report=lambda *told: stages.append(told[0]))
    assert (found.findings, set(stages)) == ({0: ()}, {'self-collision'})
    assert found.measured == {'start': look(robot).start}
    found = checked(simulator, look(robot, 0.9), motion(0.8), CheckTask((0, 1)))
    assert any(f.code == FindingCode.CONTACT and f.severity == Severity.FAIL
               for f in found.findings[1])
    assert found.measured['min_clearance'] < 0.0


def test_tier_0_from_a_known_start_needs_no_observation(simulator, robot):
    start = look(robot).start
    task = CheckTask((0,), start=start)
    for angle in (0.3, 9.0):
        found = checked(simulator, None, motion(angle), task)
        assert found.findings == checked(simulator, look(robot), motion(angle), task).findings
        assert not task.looks and found.measured['start'] == start
    for other in (CheckTask((0,)), CheckTask((0, 1), start=start),
                  CheckTask((0,), tells_background=True, start=start), PredictionTask(start=start)):
        assert other.looks
        with pytest.raises(RuntimeError, match='no observation'):
            checked(simulator, None, motion(), other)


def test_limits_hold_from_where_the_robot_is_at_the_look(simulator, robot):
    moved = dataclasses.replace(look(robot), joint_positions={**READY, 'elbow_joint': -1.5})
    late = motion()          # which begins a little later, so that the controller blends into it
    late = dataclasses.replace(late, times=late.times + 0.05)
    assert not checked(simulator, look(robot), late, CheckTask((0,))).findings[0]
    found = checked(simulator, moved, late, CheckTask((0,))).findings[0]
    assert FindingCode.VELOCITY_LIMIT in [f.code for f in found]


def test_every_task_is_done_from_the_joints_that_it_brings(simulator, robot):
    live = StartState({**READY, 'elbow_joint': 1.5}, {'elbow_joint': 0.1})
    found = checked(simulator, look(robot), motion(), CheckTask((0,), start=live))
    assert FindingCode.START_STATE in [f.code for f in found.findings[0]]
    assert found.measured['start'] == live
    shown = []
    run_task(Assessment(), simulator, simulator.checker(), look(robot), motion(),
             PredictionTask(start=live), silent, lambda rollout, _: shown.append(rollout))
    elbow = shown[0].joint_names.index('elbow_joint')
    assert shown[0].positions[0, elbow] == READY['elbow_joint']      # is jumped to at time 0
    late = motion()
    late = dataclasses.replace(late, times=late.times + 0.5)
    run_task(Assessment(), simulator, simulator.checker(), look(robot), late,
             PredictionTask(start=live), silent, lambda rollout, _: shown.append(rollout))
    assert shown[-1].positions[0, elbow] == 1.5


def test_a_robot_that_moved_before_the_look_is_not_where_the_trajectory_starts(simulator, robot):
    moved = dataclasses.replace(look(robot), joint_positions={**READY, 'elbow_joint': 1.5})
    (finding,) = checked(simulator, moved, motion(), CheckTask((0,))).findings[0]
    assert (finding.code, finding.severity) == (FindingCode.START_STATE, Severity.FAIL)
    assert 'elbow_joint' in finding.message


def test_a_goal_is_judged_from_the_foreseen_outcome(simulator, robot):
    goal = Goal.of({'lifted': {'height': 0.1}})
    found = checked(simulator, look(robot), motion(), CheckTask((0, 1), goal))
    assert found.measured['success'] == goal.probability(
        simulator.checker().tier1(look(robot), motion()).outcome)
    assert found.findings[1][-1].code == FindingCode.GOAL


def test_candidates_share_one_look_at_the_scene(simulator, robot, monkeypatch):
    made = []
    tiles = DepthTiles.__init__
    monkeypatch.setattr(DepthTiles, '__init__', lambda self, *given: (
        made.append('points'), tiles(self, *given))[1])
    plain = Scene.__init__
    monkeypatch.setattr(Scene, '__init__', lambda self, *given, **more: (
        made.append('scene'), plain(self, *given, **more))[1])
    observation = look(robot)
    for angle in (0.1, 0.2, 0.3, -0.2):
        checked(simulator, observation, motion(angle), CheckTask((0, 1)))
    assert made == ['scene', 'points']
    checked(simulator, look(robot), motion(), CheckTask((0, 1)))      # another look
    assert made == ['scene', 'points'] * 2


def test_what_is_wrong_in_a_check_is_a_doubt_and_a_stop_is_none(simulator, robot, monkeypatch):
    checker = simulator.checker()

    def bug(*_):
        raise ZeroDivisionError('a bug')

    with monkeypatch.context() as patch:
        patch.setattr(checker, 'tier1', bug)
        patch.setattr(checker, 'tier0', bug)
        found = checked(simulator, look(robot), motion(), CheckTask((0, 1)))
    for tier in (0, 1):
        (finding,) = found.findings[tier]
        assert finding.severity == Severity.UNSURE and 'ZeroDivisionError' in finding.message

    def stop(stage, step, total):
        raise PredictionCancelled('stop')

    with pytest.raises(PredictionCancelled):
        checked(simulator, look(robot), motion(), CheckTask((0, 1)), report=stop)


def predicted(simulator, robot, task, settings=None):
    """Run a task; return what was found and the indices of the frames that were shown."""
    found, shown = Assessment(), []
    run_task(found, simulator, simulator.checker(settings), look(robot), motion(), task, silent,
             lambda rollout, frame: shown.append(frame.index))
    return found, shown


def test_a_prediction_that_is_not_judged_finds_nothing(simulator, robot):
    found, shown = predicted(simulator, robot, PredictionTask(GHOST))
    assert (found.findings, found.measured, shown) == ({}, {}, list(range(FRAMES)))


def test_tier_2_looks_at_the_very_frames_that_are_shown(simulator, robot, monkeypatch):
    asked = []
    plain = Scripted.predict
    monkeypatch.setattr(Scripted, 'predict', lambda self, *given, seed, report: (
        asked.append(seed), plain(self, *given, seed=seed, report=report))[1])
    found, shown = predicted(simulator, robot, PredictionTask(GHOST, is_judged=True),
                             PrecheckSettings())
    assert (asked, shown) == ([GHOST], list(range(FRAMES)))
    assert FindingCode.GHOST_MOTION in [f.code for f in found.findings[2]]
    assert found.measured['action_following'] == 0.0
    settings = PrecheckSettings(tier2=Tier2Settings(seeds=3, hold_still=True))
    asked.clear()
    found, shown = predicted(simulator, robot, PredictionTask(GHOST, is_judged=True), settings)
    assert asked == [GHOST, GHOST + 1, GHOST + 2, GHOST]
    assert shown == list(range(FRAMES))          # of the first only
    found, _ = predicted(simulator, robot, PredictionTask(GOOD, is_judged=True), PrecheckSettings())
    assert not [f for f in found.findings[2] if f.severity > Severity.INFO]


def test_only_cameras_with_depth_tell_how_they_see_the_robot(simulator, robot):
    """A wall where the robot should be: that is said of the camera, with its name."""
    front = look(robot)
    (name, seen), = seen_robots(simulator.checker(), front).items()
    agreement = simulator.checker().look(front).agreement
    assert name == front.view.name
    assert (seen.why_not, seen.offset) == (agreement.why_not_compared(), agreement.offset)
    assert seen_robots(simulator.checker(), front.with_view(depth=None)) == {}
