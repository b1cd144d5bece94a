# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two cameras before shadow_sim; behind a board only the second one sees, and that may stop."""
import time

import numpy as np
import pytest
from cameras import arm, FRONT, joints, SIDE, UP, view
from diagnostic_msgs.msg import DiagnosticArray
from gantry import URDF
from graph import Asker, LIMIT, made, parameters, Process
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, Verdict
from scenes import BLUE, box, World
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2
from std_msgs.msg import Header, String

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.bridge.images import array_to_image, image_to_array
from kinema4d_ros.bridge.motion import joint_state_message, trajectory_message
from kinema4d_ros.robot.transforms import quaternion, rpy
from kinema4d_ros.scene.solids import surface_points
from kinema4d_ros.types import Solid

pytestmark = pytest.mark.timeout(180)
BOARD = World().add(BLUE, box((0.02, 0.5, 0.2), (0.1, 0.0, 0.0)))
DOWN = trajectory_message(arm(UP, (0.0, 0.0, 0.02)))
EYE = 'side_optical_frame'
#: the second camera is on a link that moves, which is where the robot description says
CARRIED = URDF.replace('lower="-1" upper="1"', 'lower="-0.6" upper="0.6"').replace('</robot>', (
    f'<link name="{EYE}"/><joint name="eye" type="fixed"><parent link="bridge"/>'
    f'<child link="{EYE}"/><origin xyz="{" ".join(map(str, SIDE[:3, 3]))}" '
    f'rpy="{" ".join(map(str, rpy(SIDE[:3, :3])))}"/></joint></robot>'))


class Cell:
    """The gantry before a board, two cameras that look at it, and shadow_sim."""

    def __init__(self, graph):
        self.graph, node, self._asker = graph, graph.node, None
        self.views = {'front': (view(BOARD, 'front', FRONT), 'front_optical_frame'),
                      'side': (view(BOARD, 'side', SIDE), EYE)}
        self.on, self.shown = set(self.views), 0
        self.diagnostics = graph.listen('/diagnostics', DiagnosticArray, 10)
        self._describe = node.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION)
        self._describe.publish(String(data=CARRIED))
        self._joints = node.create_publisher(JointState, 'joint_states', qos.PREDICTION)
        self._publishers = {name: [
            node.create_publisher(kind, f'{name}/{topic}', qos.PREDICTION) for topic, kind in (
                ('camera_info', CameraInfo), ('depth/image_raw', Image), ('image_raw', Image))]
            for name in self.views}
        self._timer = node.create_timer(0.1, self._show)

    def _show(self):
        stamp = self.graph.node.get_clock().now().to_msg()
        self._joints.publish(joint_state_message(joints(UP), Header(stamp=stamp)))
        for name in self.on:
            (seen, frame), (info, depth, image) = self.views[name], self._publishers[name]
            header = Header(stamp=stamp, frame_id=frame)
            info.publish(camera_info_message(seen.camera, header))
            depth.publish(array_to_image(seen.depth, header, '32FC1'))
            image.publish(array_to_image(seen.image, header))
        self.shown += 1

    def ask(self):
        """Return the verdict on a motion behind the board, once shadow_sim can tell one."""
        asker = self._asker = self._asker or Asker(self.graph, self.graph.action())
        return asker.verdict(Precheck.Goal(candidates=[DOWN]))

    def until(self, condition, what):
        """Ask until a verdict is as it should be, and return it."""
        end = time.monotonic() + LIMIT
        while not condition(verdict := self.ask()):
            after = self.shown + 2
            self.graph.wait(lambda after=after: self.shown > after, 'the next looks')
            assert time.monotonic() < end, f'waited for {what}; the last: {verdict.summary}'
        return verdict


@pytest.fixture(scope='module')
def cell(module_ros_domain):
    with made() as graph:
        cell = Cell(graph)
        pose = [*FRONT[:3, 3].tolist(), *map(float, quaternion(FRONT[:3, :3]))]
        process = Process('shadow_sim', *parameters(
            cameras=['front', 'side'], world_model='frozen', frames=2, separate_checks='false',
            memory_rate=0.0, diagnostics_rate=5.0, verdict_lifetime=60.0, input_wait=0.3, **{
                'front.extrinsics': pose, 'side.max_input_age': 0.5, 'front.required': 'true',
                'tier1.memory_age': 2.5, 'scene.lidar.kind': 'points',
                'scene.lidar.required': 'false', 'scene.lidar.sigma': 0.003}))
        yield cell
        assert process.stop() == 0, process.output()
        assert 'Traceback' not in process.output(), process.output()


def about(verdict, name):
    """Return what a verdict says of a camera or source that is left out."""
    return [finding.message for finding in verdict.findings
            if finding.other == name and finding.code == Finding.MISSING_INPUT]


def told(cell):
    """Return what the newest diagnostics say of the inputs."""
    return next(status.message for status in cell.diagnostics[-1].status
                if status.name.endswith(': inputs'))


def test_a_camera_that_stops_is_named_then_unknown_and_comes_back(cell):
    passed = cell.until(lambda verdict: verdict.status == Verdict.PASS, 'a PASS by two cameras')
    assert {0, 1} <= set(passed.tiers_passed) and not about(passed, 'side')
    assert 'nothing usable has been received on /scene/lidar' in about(passed, 'lidar')[0]

    cell.on.discard('side')
    named = cell.until(lambda verdict: about(verdict, 'side'), 'the camera to be named')
    assert 'is late: the newest camera image on /side/image_raw is' in about(named, 'side')[0]
    cell.graph.wait(lambda: 'side, lidar left out' in told(cell), 'the diagnostics to name it')
    unknown = cell.until(lambda verdict: verdict.status == Verdict.UNSURE, 'the doubt')
    assert about(unknown, 'side')
    assert Finding.UNSEEN_SPACE in [finding.code for finding in unknown.findings]

    cell.on.add('side')
    back = cell.until(lambda verdict: verdict.status == Verdict.PASS, 'a PASS again')
    assert not about(back, 'side')

    cell.on.discard('front')
    required = cell.until(lambda verdict: verdict.status == Verdict.UNSURE, 'the doubt')
    assert 'camera front is late' in required.summary
    cell.on.add('front')
    cell.graph.wait(lambda: told(cell).startswith('lidar left out'), 'both cameras')


def test_what_another_sensor_publishes_is_in_the_way_while_it_does(cell):
    thing = Solid('box', (0.04, 0.03, 0.1), np.block([
        [np.eye(3), np.array([[0.0], [0.07], [0.05]])], [np.zeros(3), 1.0]]))
    points = surface_points(thing, 0.01, 3.0)[None].astype(np.float32)
    lidar = cell.graph.node.create_publisher(PointCloud2, 'scene/lidar', qos.PREDICTION)
    timer = cell.graph.node.create_timer(0.1, lambda: lidar.publish(cloud_message(
        points, None, Header(stamp=cell.graph.node.get_clock().now().to_msg(), frame_id='base'))))
    hit = cell.until(lambda verdict: verdict.status == Verdict.FAIL, 'the contact')
    assert not about(hit, 'lidar')
    assert 'palm' in {each.link for each in hit.findings if each.code == Finding.CONTACT}
    cell.graph.node.destroy_timer(timer)
    gone = cell.until(lambda verdict: verdict.status == Verdict.PASS, 'the cloud to be too old')
    assert 'is late' in about(gone, 'lidar')[0]


def test_each_camera_has_its_prediction_and_that_of_the_moving_one_is_in_the_base_frame(cell):
    images = {name: cell.graph.listen(f'predicted/{name}/image', Image, qos.PREDICTED_FRAMES)
              for name in cell.views}
    clouds = cell.graph.listen('predicted/side/points', PointCloud2, qos.PREDICTED_FRAMES)
    first = cell.graph.listen('predicted/image', Image, qos.PREDICTED_FRAMES)
    cell.until(lambda verdict: clouds and first and all(images.values()), 'frames')
    shapes = {name: image_to_array(heard[0]).shape for name, heard in images.items()}
    assert shapes == {name: seen.image.shape for name, (seen, _) in cell.views.items()}
    assert {name: heard[0].header.frame_id for name, heard in images.items()} == {
        name: frame for name, (_, frame) in cell.views.items()}
    assert first[0].header.frame_id == 'front_optical_frame'
    assert clouds[0].header.frame_id == 'base'
