# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether shadow_sim says that it is ready, and waits for the robot; the player waits for it."""
import dataclasses
import math

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import (ahead, Asker, FakeRobot, made, parameters, Process, READY, start_shadow_sim,
                   swing, URDF)
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, Verdict
from sensor_msgs.msg import CameraInfo, Image, JointState
from shadow_bench import codes, running
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.images import rgb_image
from kinema4d_ros.bridge.motion import trajectory_from_message
from kinema4d_ros.episodes import Episode
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.late_start import first_point, refuse_moved_on
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import Robot

pytestmark = pytest.mark.timeout(180)
PATH = next(iter(sorted((share_dir() / 'data' / 'episodes').glob('*success*.mcap'))), None)


def reason(graph, arrays):
    """Return what shadow_sim said last of its readiness."""
    with graph.changed:
        found = [status for array in arrays for status in array.status
                 if status.name == 'shadow_sim: readiness']
    return found[-1].message if found else None


def asker_of(graph):
    """Return what asks a shadow_sim that is active: it tells nothing sooner."""
    arrays = graph.listen('/diagnostics', DiagnosticArray, 50)
    graph.wait(lambda: reason(graph, arrays), 'shadow_sim to be active')
    return Asker(graph, graph.action())


def test_the_player_waits_for_a_worker_that_starts_slowly(ros_domain, tmp_path):
    episode = Episode.open(PATH)
    with made() as graph:
        arrays = graph.listen('/diagnostics', DiagnosticArray, 50)
        verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        asked = graph.listen('joint_trajectory', JointTrajectory, qos.TRAJECTORY)
        graph.listen('joint_states', JointState, qos.JOINT_STATES)     # or it waits for a second
        graph.listen('camera/camera_info', CameraInfo, qos.PREDICTION)
        player = Process('episode_player', *parameters(
            episode=PATH.stem, lead_in=0.5, at_end='hold', subscribers=2,
            wait_for_ready='[shadow_sim]'))
        images = graph.listen('camera/image_raw', Image, qos.PREDICTED_FRAMES)
        process = start_shadow_sim(world_model='stub_models:Waiting',
                                   **{'world_model_settings.words': tmp_path / 'go'})
        graph.wait(lambda: 'a worker is starting' in (reason(graph, arrays) or ''), 'the worker')
        assert not images       # nobody but us listens to the depth image yet: it waits
        graph.listen('camera/depth/image_raw', Image, qos.PREDICTED_FRAMES)
        graph.wait(lambda: len(images) > 3, 'the first frame, again and again')
        first = episode.frames[0].image
        assert all(np.array_equal(rgb_image(image), first) for image in images[-3:])
        assert not asked and not verdicts
        (tmp_path / 'go').touch()
        graph.wait(lambda: verdicts and verdicts[-1].final, 'the verdict')
        assert reason(graph, arrays) == 'a trajectory would be judged at once'
        assert Finding.START_STATE not in codes(verdicts[-1]), verdicts[-1].summary
        assert not {Finding.MISSING_INPUT, Finding.STALE_INPUT} & set(codes(verdicts[-1]))
        for each in (player, process):
            assert each.stop() == 0, each.output()


def test_a_trajectory_that_came_too_early_does_not_fail_for_that(ros_domain, tmp_path):
    """As of a player or a policy that does not wait: the robot moves while a worker still loads."""
    with made() as graph:
        robot = FakeRobot(graph)
        process = start_shadow_sim(world_model='stub_models:Waiting',
                                   **{'world_model_settings.words': tmp_path / 'go'})
        latched = graph.listen('shadow_sim/readiness', DiagnosticStatus, qos.READINESS)
        asker = asker_of(graph)
        robot.wait_heard()
        handle = asker.send(Precheck.Goal(candidates=[swing()]))
        graph.wait(lambda: [each for each in asker.feedback if each.stage == 'tier 0'],
                   'the joints to be taken')
        assert asker.feedback[-1].provisional.status == Verdict.UNSURE
        robot.joints = ahead(0.1)
        robot.wait_shown()
        (tmp_path / 'go').touch()
        verdict, = asker.outcome(handle)[1].verdicts
        assert (verdict.status, codes(verdict)) == (Verdict.UNSURE, [Finding.STALE_INPUT])
        assert 'shadow_sim was not ready when the trajectory came (a worker was starting' \
            in verdict.summary
        graph.wait(lambda: latched and latched[-1].level == DiagnosticStatus.OK, 'the topic')
        late = asker.outcome(asker.send(Precheck.Goal(candidates=[swing()])))[1].verdicts[0]
        assert late.status == Verdict.FAIL and Finding.START_STATE in codes(late)
        assert process.stop() == 0, process.output()


@pytest.mark.parametrize('input_wait', [20.0, 0.1], ids=['heard late', 'heard too late'])
def test_a_robot_that_is_heard_when_it_has_moved_on_does_not_fail_the_trajectory(
        ros_domain, tmp_path, input_wait):
    """Where it was when the trajectory came is not known: it may be executing that already."""
    with made() as graph:
        robot = FakeRobot(graph)
        robot.joints_on, robot.joints = False, ahead(0.1)
        process = start_shadow_sim(world_model='stub_models:Waiting', input_wait=input_wait,
                                   **{'world_model_settings.words': tmp_path / 'go'})
        asker = asker_of(graph)
        robot.wait_heard()
        handle = asker.send(Precheck.Goal(candidates=[swing()]))
        if input_wait < 1.0:
            graph.wait(lambda: asker.feedback, 'the joints to be given up')
        robot.joints_on = True
        robot.wait_shown()
        (tmp_path / 'go').touch()
        verdict, = asker.outcome(handle)[1].verdicts
        assert verdict.status == Verdict.UNSURE, verdict.summary
        assert Finding.START_STATE not in codes(verdict)
        assert any('was not ready when the trajectory came' in finding.message
                   for finding in verdict.findings)
        assert process.stop() == 0, process.output()


def test_where_a_robot_went_meanwhile_is_not_held_against_a_trajectory():
    robot = Robot.from_urdf(URDF)
    motion = trajectory_from_message(swing())
    start = first_point(motion, robot)
    assert start == {name: READY[name] for name in robot.joint_names}     # a mimic joint follows
    refuse_moved_on('', start, ahead(1.0), (), 0.02)
    refuse_moved_on('no joints', start, ahead(0.01), (), 0.02)
    refuse_moved_on('no joints', start, ahead(math.tau), ('shoulder_pan_joint',), 0.02)
    with pytest.raises(InputProblem, match='came .no joints., and by now shoulder_pan_joint'):
        refuse_moved_on('no joints', start, ahead(0.1), (), 0.02)
    blended = dataclasses.replace(motion, times=motion.times + 1.0)
    assert first_point(blended, robot) == {}


def test_the_player_goes_on_after_a_while_and_says_why(ros_domain):
    with made() as graph:
        asked = graph.listen('joint_trajectory', JointTrajectory, qos.TRAJECTORY)
        graph.listen('joint_states', JointState, qos.JOINT_STATES)
        graph.listen('camera/camera_info', CameraInfo, qos.PREDICTION)
        for topic in ('camera/image_raw', 'camera/depth/image_raw'):
            graph.listen(topic, Image, qos.PREDICTED_FRAMES)
        player = Process('episode_player', *parameters(
            episode=PATH.stem, rate=50.0, lead_in=0.0,
            wait_for_ready='[shadow_sim]', ready_timeout=0.5))
        assert player.process.wait(60.0) == 0
        assert 'not ready within 0.5 s, playing on: shadow_sim: its diagnostics are not heard' \
            in player.output()
        graph.wait(lambda: asked, 'the trajectory')


def test_nothing_passes_while_the_robot_says_that_it_stands(ros_domain):
    with running(robot_state_topics="['robot_ready', '!stopped']") as bench:
        def tell(topic, value):
            publishers[topic].publish(Bool(data=value))

        publishers = {topic: bench.graph.node.create_publisher(Bool, topic, qos.ROBOT_DESCRIPTION)
                      for topic in ('robot_ready', 'stopped')}
        unheard = bench.ask()
        assert unheard.status == Verdict.UNSURE and Finding.ROBOT_STATE in codes(unheard)
        tell('robot_ready', True)
        tell('stopped', False)
        bench.graph.wait(lambda: bench.ask().status == Verdict.PASS, 'a PASS')
        for topic, stands in (('robot_ready', False), ('stopped', True)):
            tell(topic, stands)
            verdict = bench.graph.wait(
                lambda: (v := bench.ask()).status == Verdict.UNSURE and v, 'the stop')
            assert codes(verdict) == [Finding.ROBOT_STATE]
            assert f'/{topic}' in verdict.summary and 'not ready' in verdict.summary
            bench.graph.wait(lambda t=topic: f'/{t}' in bench.status('readiness')[1], 'diagnostics')
            tell(topic, not stands)
            bench.graph.wait(lambda: bench.ask().status == Verdict.PASS, 'a PASS again')
