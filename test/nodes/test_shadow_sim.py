# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""shadow_sim as a process on a real graph: what goes in, what comes out, what goes wrong."""
import os
import re
import signal

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import (CAMERA_FRAME, FakeRobot, FRAMES, HEIGHT, made, READY, start_shadow_sim, swing,
                   URDF, WIDTH)
from stub_models import DEAF, GOOD, RAISE, SHOW, STUCK
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from kinema4d_ros.action import Precheck
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import array_to_image, image_to_array
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.msg import Finding, Verdict
from kinema4d_ros.nodes.outputs import TOPICS

pytestmark = pytest.mark.timeout(180)


class Bench:
    """shadow_sim with a robot in front of it, and what it says."""

    def __init__(self, graph, process):
        self.graph, self.process = graph, process
        self.heard = {topic: graph.listen(topic, kind, profile)
                      for topic, (kind, profile) in TOPICS.items()}
        self.verdicts, self.frames = self.heard['verdict'], self.heard['predicted/frame']
        self.diagnostics = graph.listen('/diagnostics', DiagnosticArray, 10)
        self.robot = FakeRobot(graph)
        self.client = graph.action()
        self.feedback = []
        graph.wait(lambda: self.robot.trajectory.get_subscription_count(), 'shadow_sim')
        self.reset()

    def reset(self):
        """Bring robot and settings back to what is good."""
        robot = self.robot
        robot.joints, robot.stamp_offset = dict(READY), 0.0
        robot.image = np.full((HEIGHT, WIDTH, 3), (10, 120, 240), np.uint8)
        robot.depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        robot.make_image = lambda image, header: array_to_image(image, header, 'rgb8')
        robot.make_depth = lambda depth, header: array_to_image(depth, header, '32FC1')
        robot.make_joints, robot.make_info = joint_state_message, camera_info_message
        robot.frame = robot.depth_frame = CAMERA_FRAME
        robot.camera_on = robot.joints_on = robot.depth_on = robot.info_on = True
        self.set(seed=GOOD, deadline=60.0, input_wait=0.2)

    def set(self, **values):
        """Set parameters of the node."""
        assert self.graph.set_parameter('shadow_sim', **values) == ''

    def ask(self, trajectory=None) -> Verdict:
        """Publish a trajectory and return the verdict on it."""
        before = len(self.verdicts)
        self.robot.trajectory.publish(trajectory or swing())
        self.graph.wait(lambda: [v for v in self.verdicts[before:] if v.final], 'a final verdict')
        return self.verdicts[-1]

    def passes(self, trajectory=None) -> Verdict:
        """Ask, and insist on a PASS."""
        verdict = self.ask(trajectory)
        assert verdict.status == Verdict.PASS, verdict.summary
        return verdict

    def shown(self):
        """Return image (H, W, 3) and points (H, W, 3) of a prediction that shows what was seen."""
        self.set(seed=SHOW)
        before = len(self.frames)
        verdict = self.passes()
        self.graph.wait(lambda: len(self.frames) >= before + FRAMES, 'the frames')
        frame = self.frames[-1]
        assert frame.rollout_id == verdict.rollout_id
        return image_to_array(frame.image), cloud_to_arrays(frame.points)[0]

    def goal(self, *candidates, **fields):
        """Send a goal and return its accepted handle."""
        goal = Precheck.Goal(candidates=candidates or [swing()], **fields)
        handle = self.graph.ask(lambda: self.client.send_goal_async(
            goal, feedback_callback=lambda message: self.feedback.append(message.feedback)))
        assert handle.accepted
        return handle

    def outcome(self, handle):
        """Return status and result of a goal."""
        reply = self.graph.ask(handle.get_result_async)
        return reply.status, reply.result

    def in_trouble(self, seed):
        """Start a goal that gets stuck, and return its handle once frames have come."""
        self.set(seed=seed)
        before = len(self.frames)
        handle = self.goal(tiers=[2])
        self.graph.wait(lambda: len(self.frames) >= before + 2, 'the first frames')
        self.set(seed=GOOD)
        return handle

    def status(self, name):
        """Return the newest diagnostic status of that name, as level, message and values."""
        for array in reversed(self.diagnostics):
            for status in array.status:
                if status.name.endswith(name):
                    return status.level, status.message, {v.key: v.value for v in status.values}
        return None


@pytest.fixture(scope='module')
def shared(module_ros_domain):
    """Start one node for the module."""
    process = start_shadow_sim()
    with made() as graph:
        try:
            yield Bench(graph, process)
        finally:
            code = process.stop()
    assert code == 0, process.output()
    assert 'Traceback' not in process.output()


@pytest.fixture
def bench(shared):
    """Return the module's bench, brought back to a good state."""
    yield shared
    shared.reset()
    shared.robot.wait_shown()


def codes(verdict):
    """Return the codes of a verdict's findings."""
    return [finding.code for finding in verdict.findings]


def test_a_good_trajectory_passes_and_every_topic_tells_the_prediction(bench):
    before = {topic: len(messages) for topic, messages in bench.heard.items()}
    verdict = bench.passes()
    del before['candidates']      # told of goals only
    for topic in before:      # the display topics keep the newest only, the frames must be whole
        count = FRAMES if topic == 'predicted/frame' else 1
        bench.graph.wait(lambda t=topic, c=count: len(bench.heard[t]) >= before[t] + c, topic)
    got = {topic: bench.heard[topic][count:] for topic, count in before.items()}
    stamp = verdict.header.stamp
    for index, frame in enumerate(got['predicted/frame']):
        assert (frame.index, frame.count, frame.rollout_id) == (index, FRAMES, verdict.rollout_id)
        assert frame.time_from_start == pytest.approx(index / (FRAMES - 1))
        assert frame.header.stamp == frame.image.header.stamp == frame.points.header.stamp == stamp
        assert frame.header.frame_id == frame.points.header.frame_id == CAMERA_FRAME
        assert (image_to_array(frame.image) == index).all()
        joints = dict(zip(frame.joints.name, frame.joints.position))
        assert joints['shoulder_pan_joint'] == pytest.approx(0.3 * index / (FRAMES - 1))
        points, colors = cloud_to_arrays(frame.points)
        assert points.shape == colors.shape == (HEIGHT, WIDTH, 3)
        mask = image_to_array(frame.mask) == 255
        assert mask.any() and np.isfinite(points[mask]).all() and np.isnan(points[~mask]).all()
    assert got['predicted/camera_info'][0].k[0] == 90.0
    for topic in ('predicted/image', 'predicted/points', 'robot/points', 'robot/mask'):
        assert {message.header.frame_id for message in got[topic]} == {CAMERA_FRAME}
        assert all(message.header.stamp == stamp for message in got[topic])
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in got['predicted/joint_states']]
    assert stamps == sorted(set(stamps))      # tf2 ignores a stamp that comes again
    assert verdict.header.frame_id == 'base_link'
    assert verdict.world_model == 'scripted'
    assert {'tier 0', 'robot', 'first frame', 'total'} <= set(verdict.latency_stages)
    assert verdict.valid_until.sec > stamp.sec


def test_a_bad_trajectory_fails_with_the_reason(bench):
    verdict = bench.ask(swing(angle=9.0))
    assert verdict.status == Verdict.FAIL
    assert Finding.POSITION_LIMIT in codes(verdict)
    assert 'shoulder_pan_joint' in verdict.summary


def test_a_trajectory_that_is_no_motion_fails_without_prediction(bench):
    before, trajectory = len(bench.frames), swing()
    trajectory.points[1].positions[0] = float('nan')
    verdict = bench.ask(trajectory)
    assert verdict.status == Verdict.FAIL
    assert codes(verdict) == [Finding.NOT_FINITE]
    assert len(bench.frames) == before


def test_a_malformed_trajectory_is_unsure(bench):
    trajectory = swing()
    trajectory.points[1].positions.pop()
    verdict = bench.ask(trajectory)
    assert verdict.status == Verdict.UNSURE
    assert 'has 7 positions for 8 joints' in verdict.summary


def test_goal_with_candidates_is_ranked_with_feedback(bench):
    handle = bench.goal(swing(angle=9.0), swing(0.2), swing(0.1))
    status, result = bench.outcome(handle)
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert (result.error_code, result.error_msg) == (Precheck.Result.NONE, '')
    assert [verdict.status for verdict in result.verdicts] == [
        Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    assert list(result.ranking) == [1, 2, 0]
    assert len({verdict.header.stamp.nanosec for verdict in result.verdicts}) == 1
    # rclpy's client drops feedback that comes before it has seen that its goal was accepted, which
    # a quick judge can do, so one goal may not show every stage.
    for _ in range(20):
        if {'tier0', 'predict'} <= {f.stage for f in bench.feedback}:
            break
        bench.outcome(bench.goal(swing(0.2), swing(0.1), tiers=[2]))
    assert {'tier0', 'predict'} <= {f.stage for f in bench.feedback}
    assert {feedback.provisional.status for feedback in bench.feedback} <= {
        Verdict.UNSURE, Verdict.FAIL}


@pytest.mark.parametrize('fields, words', [
    ({'deadline': -1.0}, 'deadline'), ({'deadline': float('inf')}, 'deadline'),
    ({'deadline': float('nan')}, 'deadline'), ({'deadline': 3e6}, '0 .* to 86400.0 s'),
    ({'tiers': [3]}, 'not available'),
    ({'goal_rubric': 'tidy'}, 'unknown goal rubric .*known: into_basket, lift, onto_plate')])
def test_a_goal_that_cannot_be_served_says_why(bench, fields, words):
    status, result = bench.outcome(bench.goal(**fields))
    assert status == GoalStatus.STATUS_ABORTED
    assert result.error_code == Precheck.Result.INVALID_GOAL
    assert re.search(words, result.error_msg)


def test_cancel_in_the_middle_of_a_prediction(bench):
    handle = bench.in_trouble(STUCK)
    reply = bench.graph.ask(handle.cancel_goal_async)
    assert len(reply.goals_canceling) == 1
    status, result = bench.outcome(handle)
    assert status == GoalStatus.STATUS_CANCELED
    assert result.error_code == Precheck.Result.CANCELLED
    assert result.verdicts[0].status == Verdict.UNSURE
    assert codes(result.verdicts[0]) == [Finding.CANCELLED]
    bench.passes()


def test_cancel_of_a_model_that_does_not_listen_kills_it(bench):
    handle = bench.in_trouble(DEAF)
    bench.graph.ask(handle.cancel_goal_async)
    assert bench.outcome(handle)[0] == GoalStatus.STATUS_CANCELED
    bench.passes()


def test_the_newest_request_wins(bench):
    handle = bench.in_trouble(STUCK)
    newer = bench.goal()
    status, result = bench.outcome(handle)
    assert status == GoalStatus.STATUS_ABORTED
    assert result.error_code == Precheck.Result.PREEMPTED
    assert 'newer request' in result.error_msg
    assert bench.outcome(newer)[0] == GoalStatus.STATUS_SUCCEEDED


def test_a_trajectory_message_replaces_a_goal(bench):
    handle = bench.in_trouble(STUCK)
    before = len(bench.verdicts)
    bench.robot.trajectory.publish(swing())
    assert bench.outcome(handle)[1].error_code == Precheck.Result.PREEMPTED
    bench.graph.wait(lambda: len(bench.verdicts) == before + 3, 'all verdicts')
    assert [(verdict.status, verdict.final) for verdict in bench.verdicts[before:]] == [
        (Verdict.UNSURE, True), (Verdict.PASS, False), (Verdict.PASS, True)]


def test_deadline(bench):
    bench.set(seed=STUCK)
    status, result = bench.outcome(bench.goal(deadline=0.5, tiers=[2]))
    assert status == GoalStatus.STATUS_ABORTED
    assert result.error_code == Precheck.Result.DEADLINE_EXCEEDED
    assert codes(result.verdicts[0]) == [Finding.DEADLINE]
    assert result.verdicts[0].status == Verdict.UNSURE


def test_a_model_that_fails_is_unsure(bench):
    bench.set(seed=RAISE)
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    assert codes(verdict) == [Finding.MODEL_FAILED]
    assert 'nothing can be predicted from this' in verdict.summary


def test_a_model_that_fails_does_not_save_a_bad_trajectory(bench):
    bench.set(seed=RAISE)
    assert bench.ask(swing(angle=9.0)).status == Verdict.FAIL


def test_worker_killed_in_the_middle_of_a_prediction(bench):
    bench.graph.wait(lambda: bench.status('world model'), 'diagnostics')
    pid = int(bench.status('world model')[2]['pid'])
    restarts = int(bench.status('world model')[2]['restarts'])
    bench.graph.wait(lambda: bench.status('world model')[2]['pid'].isdigit(), 'a worker')
    pid = int(bench.status('world model')[2]['pid'])
    handle = bench.in_trouble(STUCK)
    os.kill(pid, signal.SIGKILL)
    status, result = bench.outcome(handle)
    assert status == GoalStatus.STATUS_ABORTED
    assert result.error_code == Precheck.Result.MODEL_FAILED
    assert result.verdicts[0].status == Verdict.UNSURE
    assert 'signal 9' in result.error_msg
    bench.passes()
    bench.graph.wait(lambda: int(bench.status('world model')[2]['restarts']) > restarts,
                     'diagnostics to tell the restart')


def padded(image, header):
    """Return an rgb8 image with 5 bytes of padding after each row."""
    message = array_to_image(image, header, 'rgb8')
    rows = np.full((HEIGHT, WIDTH * 3 + 5), 99, np.uint8)
    rows[:, :WIDTH * 3] = image.reshape(HEIGHT, -1)
    message.step = WIDTH * 3 + 5
    message.data = rows.tobytes()
    return message


@pytest.mark.parametrize('make', [
    lambda image, header: array_to_image(image[..., ::-1].copy(), header, 'bgr8'),
    lambda image, header: array_to_image(np.dstack([image, image[..., :1]]), header, 'rgba8'),
    lambda image, header: array_to_image(image[..., 0].copy(), header, 'mono8'), padded],
    ids=['bgr8', 'rgba8', 'mono8', 'padded rows'])
def test_image_encodings(bench, make):
    bench.robot.image[:, :WIDTH // 3] = (200, 30, 60)
    bench.robot.image[:HEIGHT // 3] = (90, 250, 0)
    bench.robot.make_image = make
    bench.robot.wait_shown()
    expected = bench.robot.image
    if make(bench.robot.image, Header()).encoding == 'mono8':
        expected = np.repeat(expected[..., :1], 3, axis=2)
    np.testing.assert_array_equal(bench.shown()[0], expected)


#: [m] a different one for each column, and nothing in the upper rows
SLOPE = np.broadcast_to(np.float32(1.0) + np.float32(0.01) * np.arange(WIDTH, dtype=np.float32),
                        (HEIGHT, WIDTH)).copy()
SLOPE[:10] = np.nan


@pytest.mark.parametrize('make', [
    lambda depth, header: array_to_image(depth, header, '32FC1'),
    lambda depth, header: array_to_image(
        np.rint(np.nan_to_num(depth) * 1000).astype(np.uint16), header, '16UC1'),
    ], ids=['32FC1', '16UC1'])
def test_depth_encodings_with_holes(bench, make):
    bench.robot.depth, bench.robot.make_depth = SLOPE, make
    bench.robot.wait_shown()
    _, points = bench.shown()
    np.testing.assert_allclose(points[..., 2], SLOPE, atol=1e-5)     # NaN where there is none
    column, row = WIDTH - 1, HEIGHT - 1
    camera = bench.robot.camera
    np.testing.assert_allclose(points[row, column, :2] / SLOPE[row, column], (
        (column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy), atol=1e-5)


def test_no_depth_at_all(bench):
    bench.robot.depth_on = False
    bench.robot.wait_shown(20)
    assert np.isnan(bench.shown()[1]).all()


@pytest.mark.parametrize('spoil, words', [
    (lambda robot: setattr(robot, 'depth_frame', 'infra_optical_frame'), 'infra_optical_frame'),
    (lambda robot: setattr(robot, 'depth', np.ones((HEIGHT // 2, WIDTH), np.float32)),
     f'depth image has {WIDTH} x {HEIGHT // 2} pixels'),
    (lambda robot: setattr(robot, 'make_info', lambda camera, header: CameraInfo(
        header=header, width=WIDTH, height=HEIGHT)), 'not calibrated')],
    ids=['depth of another frame', 'depth of another size', 'uncalibrated'])
def test_inputs_that_do_not_fit_are_unsure_and_no_goal_is_ready(bench, spoil, words):
    spoil(bench.robot)
    bench.robot.wait_shown(12)
    status, result = bench.outcome(bench.goal())
    assert status == GoalStatus.STATUS_ABORTED
    assert result.error_code == Precheck.Result.NOT_READY
    assert words in result.error_msg
    assert [verdict.status for verdict in result.verdicts] == [Verdict.UNSURE]
    assert words in result.verdicts[0].summary


def test_a_robot_that_cannot_be_simulated_is_an_error_that_a_good_one_cures(bench):
    def worker():
        return bench.status('world model') or (None, '', {})

    bench.robot.describe(URDF.replace('</robot>', '''
        <link name="hat"><visual><geometry><mesh filename="package://nowhere/hat.stl"/></geometry>
        </visual></link><joint name="hat" type="fixed"><parent link="base_link"/>
        <child link="hat"/></joint></robot>'''))
    bench.graph.wait(lambda: worker()[0] == DiagnosticStatus.ERROR, 'the error')
    assert 'the robot cannot be simulated' in worker()[1] and 'hat.stl' in worker()[1]
    assert re.search(r'\[ERROR\].*the robot cannot be simulated', bench.process.output())
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    assert 'hat.stl' in verdict.summary
    bench.robot.describe(URDF)
    bench.graph.wait(lambda: worker()[0] == DiagnosticStatus.OK, 'the cure')
    bench.passes()


@pytest.mark.parametrize('spoil, words', [
    (lambda m: setattr(m, 'encoding', 'bayer_rggb8'), 'bayer_rggb8'),
    (lambda m: setattr(m, 'encoding', '32FC1'), 'step'),
    (lambda m: setattr(m, 'height', HEIGHT - 1), 'bytes of data')],
    ids=['unknown encoding', 'wrong encoding', 'wrong size'])
def test_an_image_that_cannot_be_read_is_named_and_the_next_good_one_cures_it(bench, spoil, words):
    def make(image, header):
        message = array_to_image(image, header, 'rgb8')
        spoil(message)
        return message

    bench.robot.make_image = make
    bench.robot.wait_shown(12)
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    assert words in verdict.summary
    bench.reset()
    bench.robot.wait_shown(12)
    bench.passes()


def test_a_camera_of_another_size_than_its_calibration(bench):
    bench.robot.image = np.zeros((HEIGHT // 2, WIDTH, 3), np.uint8)
    bench.robot.wait_shown(12)
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    assert f'its calibration is for {WIDTH} x {HEIGHT}' in verdict.summary


def test_camera_that_stops_and_comes_back(bench):
    bench.set(max_input_age=0.3)
    bench.robot.camera_on = False
    bench.robot.wait_shown(10)
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    assert codes(verdict) == [Finding.STALE_INPUT]
    bench.robot.camera_on = True
    bench.robot.wait_shown()
    bench.passes()
    bench.set(max_input_age=1.0)


def test_old_and_future_stamps_are_stale(bench):
    for offset, words in ((5.0, 'in the future'), (-5.0, '5.'), (-1e6, 'use_sim_time')):
        bench.robot.stamp_offset = offset
        bench.robot.wait_shown(6)
        verdict = bench.ask()
        assert verdict.status == Verdict.UNSURE
        assert set(codes(verdict)) & {Finding.STALE_INPUT}
        assert any(words in finding.message for finding in verdict.findings)
    bench.reset()
    bench.robot.wait_shown()
    bench.passes()


def test_joint_states_with_more_joints_in_another_order(bench):
    def make(positions, header):
        shuffled = dict(sorted({**positions, 'wheel': 3.0, 'a_light': 0.0}.items()))
        return joint_state_message(shuffled, header)

    bench.robot.make_joints = make
    bench.robot.wait_shown()
    bench.passes()


def test_joint_states_that_lack_a_joint_or_are_not_finite(bench):
    bench.robot.make_joints = lambda positions, header: joint_state_message(
        {**positions, 'elbow_joint': float('nan')}, header)
    bench.set(max_input_age=0.3)
    bench.robot.wait_shown(10)
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    _, _, values = bench.graph.wait(lambda: bench.status('inputs'), 'diagnostics')
    bench.graph.wait(lambda: int(bench.status('inputs')[2]['joint_states refused']) > 0, 'refusal')
    bench.robot.make_joints = lambda positions, header: joint_state_message(
        {name: value for name, value in positions.items() if name != 'elbow_joint'}, header)
    bench.robot.wait_shown(25)
    verdict = bench.ask()
    assert verdict.status == Verdict.UNSURE
    assert any('lack elbow_joint' in finding.message for finding in verdict.findings)
    bench.set(max_input_age=1.0)


def test_start_state_must_be_the_live_one(bench):
    bench.robot.joints['elbow_joint'] += 0.2
    bench.robot.wait_shown(15)
    verdict = bench.ask()
    assert verdict.status == Verdict.FAIL
    assert Finding.START_STATE in codes(verdict)


def test_a_trajectory_of_another_time_is_unsure(bench):
    """The controller would skip what lies in the past, so another motion would be executed."""
    trajectory = swing()
    trajectory.header.stamp.sec = 1
    verdict = bench.ask(trajectory)
    assert verdict.status == Verdict.UNSURE and Finding.STALE_INPUT in codes(verdict)
    assert 'send it with stamp 0' in verdict.summary


def test_a_verdict_lives_from_the_look_it_rests_on(bench):
    verdict = bench.passes()
    look, end = verdict.header.stamp, verdict.valid_until
    assert (end.sec - look.sec) + (end.nanosec - look.nanosec) * 1e-9 == pytest.approx(5.0)


def test_changing_the_robot_description(bench):
    bench.robot.describe(URDF)                       # the same again changes nothing
    bench.passes()
    hash_before = bench.verdicts[-1].robot_hash
    handle = bench.in_trouble(STUCK)
    bench.robot.describe(URDF.replace('name="demo_arm"', 'name="other_arm"'))
    status, result = bench.outcome(handle)
    assert status == GoalStatus.STATUS_ABORTED
    assert 'robot description changed' in result.error_msg
    verdict = bench.passes()
    assert verdict.robot_hash != hash_before
    bench.robot.describe('<robot/>')                 # refused, and the robot before is no more
    bench.graph.wait(lambda: 'description is refused' in bench.process.output(), 'the refusal')
    refused = bench.ask()
    assert refused.status == Verdict.UNSURE and refused.robot_hash == ''
    assert 'the robot description is refused' in refused.summary
    bench.robot.describe(URDF)
    bench.graph.wait(lambda: bench.ask().robot_hash == hash_before, 'the first robot')


def test_points_of_a_camera_on_the_arm_are_in_the_root_link(bench):
    """The camera turns with the shoulder, so it always sees the same of the arm."""
    before, robots = len(bench.frames), bench.process.output().count("robot 'demo_arm'")

    def described(count):
        bench.graph.wait(lambda: bench.process.output().count("robot 'demo_arm'")
                         == robots + count, 'the robot')

    bench.robot.describe(URDF.replace(
        '<parent link="base_link"/>\n    <child link="camera_link"/>',
        '<parent link="shoulder_link"/>\n    <child link="camera_link"/>'))
    described(1)
    verdict = bench.passes(swing(0.5))
    bench.graph.wait(lambda: len(bench.frames) >= before + FRAMES, 'the frames')
    first, last = bench.frames[before], bench.frames[before + FRAMES - 1]
    assert first.rollout_id == verdict.rollout_id
    assert {first.points.header.frame_id, last.points.header.frame_id} == {'base_link'}
    assert first.image.header.frame_id == CAMERA_FRAME
    there, here = (cloud_to_arrays(frame.points)[0].reshape(-1, 3) for frame in (last, first))
    seen = np.isfinite(here[:, 0]) & np.isfinite(there[:, 0])
    assert seen.sum() > 50
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    moved = here[seen, :2] @ turn.T
    on_arm = np.linalg.norm(moved - there[seen, :2], axis=1) < 0.01
    assert on_arm.mean() > 0.7          # all but the base, which stays
    bench.robot.describe(URDF)
    described(2)


def test_parameters_are_checked_and_hold_from_the_next_request_on(bench):
    refused = bench.graph.set_parameter('shadow_sim', deadline=-1.0)
    assert 'deadline' in refused
    assert 'joint.kind' in bench.graph.set_parameter('shadow_sim', joint_limits=['x=1'])
    assert bench.graph.set_parameter('shadow_sim', frames=7) != ''        # fixed at start
    bench.set(cloud_stride=2, joint_limits=['shoulder_pan_joint.velocity=0.1'])
    before = len(bench.frames)
    verdict = bench.ask()
    assert Finding.VELOCITY_LIMIT in codes(verdict)
    bench.graph.wait(lambda: len(bench.frames) > before, 'a frame')
    assert (bench.frames[-1].points.height, bench.frames[-1].points.width) == (
        HEIGHT // 2, WIDTH // 2)
    bench.set(cloud_stride=1, joint_limits=['shoulder_pan_joint.velocity=9.0'])


def test_diagnostics_tell_rates_worker_and_last_verdict(bench):
    verdict = bench.ask()
    bench.graph.wait(lambda: (bench.status('verdict') or ('', '', {}))[2].get('rollout_id')
                     == verdict.rollout_id, 'the verdict in the diagnostics')
    level, message, values = bench.status('inputs')
    assert float(values['camera/image_raw rate [Hz]']) > 5.0
    assert float(values['joint_states age [s]']) < 2.0
    assert bench.status('world model')[2]['model'] == 'scripted'
    assert 'latency total [s]' in bench.status('verdict')[2]


def test_a_late_reader_gets_the_last_verdict(bench):
    verdict = bench.ask()
    with made() as other:
        late = other.listen('verdict', Verdict, qos.VERDICT)
        other.wait(lambda: late, 'the latched verdict')
        assert late[0].rollout_id == verdict.rollout_id


def test_no_command_can_leave_the_process(bench):
    names = bench.graph.node.get_publisher_names_and_types_by_node('shadow_sim', '/')
    kinds = {kind for _, kinds in names for kind in kinds}
    assert not {kind for kind in kinds if kind.startswith(('trajectory_msgs', 'control_msgs'))}
    clients = bench.graph.node.get_client_names_and_types_by_node('shadow_sim', '/')
    assert clients == []
