# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim is fed on a real graph: encodings, holes, gaps, wrong stamps and robots."""
import itertools
import re

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticStatus
from graph import CAMERA_FRAME, FRAMES, HEIGHT, swing, URDF, WIDTH
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, Verdict
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo
from shadow_bench import codes
from std_msgs.msg import Header
from stub_models import STUCK
from trajectory_msgs.msg import JointTrajectoryPoint

from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import duration_message, joint_state_message

pytestmark = pytest.mark.timeout(180)


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
    (lambda robot: setattr(robot, 'make_depth', lambda depth, header: array_to_image(
        depth, Header(frame_id=header.frame_id), '32FC1')),
     'depth images on /camera/depth/image_raw have no stamp'),
    (lambda robot: setattr(robot, 'depth_on', False),
     'the newest depth image on /camera/depth/image_raw is'),
    (lambda robot: setattr(robot, 'depth', np.full((HEIGHT, WIDTH), 1500, np.float32)),
     'are they millimetres?'),
    (lambda robot: setattr(robot, 'make_depth', lambda depth, header: array_to_image(
        np.ones(depth.shape, np.uint16), header, '16UC1')),
     'are they metres?')],
    ids=['no stamps', 'silent', 'millimetres as metres', 'metres as millimetres'])
def test_depth_that_says_nothing_of_the_scene_is_named_with_the_cure(bench, spoil, words):
    spoil(bench.robot)
    bench.robot.wait_shown(20)
    _, result = bench.outcome(bench.goal(tiers=[0, 1]))
    verdict, = result.verdicts
    assert verdict.status == Verdict.UNSURE and words in verdict.summary, verdict.summary


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

    hat = '''<visual><geometry><mesh filename="package://nowhere/hat.stl"/></geometry></visual>'''
    bench.robot.describe(URDF.replace('</robot>', f'''
        <link name="hat">{hat}</link><joint name="hat" type="fixed"><parent link="base_link"/>
        <child link="hat"/></joint></robot>'''))
    bench.graph.wait(lambda: 'hat.stl' in bench.process.output(), 'the warning')
    verdict = bench.ask()                  # the rest of it can be simulated
    assert verdict.status == Verdict.UNSURE and 'hat.stl' in verdict.summary
    bench.robot.describe(f'<robot name="hats"><link name="base_link">{hat}</link></robot>')
    bench.graph.wait(lambda: worker()[0] == DiagnosticStatus.ERROR, 'the error')
    assert 'the robot cannot be simulated' in worker()[1] and 'hat.stl' in worker()[1]
    assert re.search(r'\[ERROR\].*the robot cannot be simulated', bench.process.output())
    bench.robot.describe(URDF)
    bench.graph.wait(lambda: worker()[0] == DiagnosticStatus.OK, 'the cure')
    bench.passes()


@pytest.mark.parametrize('spoil, words', [
    (lambda m: setattr(m, 'encoding', 'nv12'), 'nv12'),
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


def test_joint_states_with_more_joints_in_another_order_one_of_them_nan(bench):
    def make(positions, header):
        shuffled = dict(sorted({**positions, 'wheel': float('nan'), 'a_light': 0.0}.items()))
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
    assert any('lack elbow_joint (its position is nan)' in finding.message
               for finding in verdict.findings)
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


def test_messages_that_come_out_of_order_are_taken_by_their_stamps(bench):
    late = itertools.cycle((0, 120, 40, 80))        # [ms]

    def shuffled(make):
        def made(value, header):
            stamp = Time.from_msg(header.stamp).nanoseconds - next(late) * 1_000_000
            return make(value, Header(stamp=Time(nanoseconds=stamp).to_msg(),
                                      frame_id=header.frame_id))
        return made

    jumps = bench.process.output().count('jumped back')
    robot = bench.robot
    robot.make_joints, robot.make_image, robot.make_depth = map(shuffled, (
        robot.make_joints, robot.make_image, robot.make_depth))
    robot.wait_shown(20)
    for _ in range(3):
        bench.passes()
    assert bench.process.output().count('jumped back') == jumps


@pytest.mark.parametrize('spoil', [
    lambda robot: setattr(robot, 'image', np.zeros((2400, 3200, 3), np.uint8)),
    lambda robot: setattr(robot, 'depth', np.ones((2400, 3200), np.float32)),
    lambda robot: setattr(robot, 'make_joints', lambda positions, header: joint_state_message(
        {**{f'wheel_{number}': 0.0 for number in range(5000)}, **positions}, header))],
    ids=['image', 'depth', 'joints'])
def test_huge_messages_do_not_stop_the_node(bench, spoil):
    spoil(bench.robot)
    bench.robot.wait_shown(5)
    verdict = bench.ask()
    assert verdict.status in (Verdict.PASS, Verdict.UNSURE)
    bench.reset()
    bench.graph.wait(lambda: bench.ask().status == Verdict.PASS, 'the cure')


def test_a_huge_trajectory_is_answered(bench):
    points = 20_000
    message = swing()
    end = message.points[-1]
    message.points = [JointTrajectoryPoint(
        positions=end.positions, time_from_start=duration_message(0.1 * (number + 1)))
        for number in range(points)]
    verdict = bench.ask(message)
    assert verdict.final and verdict.summary
    bench.passes()
