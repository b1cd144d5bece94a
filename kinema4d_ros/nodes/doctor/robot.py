# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The checks of robot and camera: whether description, joints, calibration and image agree."""
from __future__ import annotations

from collections.abc import Iterator

from kinema4d_ros.bridge.cameras import calibration_from_message
from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.doctor.probe import GraphProbe
from kinema4d_ros.nodes.shadow_sim.camera_parameters import extrinsics_of
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.precheck import RobotChecker
from kinema4d_ros.precheck.tier1.camera_pose import CURE, offset_of
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.types import Observation


def check_robot(node: GraphProbe) -> Iterator[Diagnosis]:
    """Compare the robot description with the joint states."""
    if not node.robot_text:
        return
    try:
        robot = Robot.from_urdf(node.robot_text)
    except Kinema4DError as error:
        yield Diagnosis('robot description', Level.ERROR, str(error))
        return
    yield Diagnosis('robot description', Level.WARNING if robot.warnings else Level.OK,
                    f'{robot.name}: {len(robot.link_names)} links, {len(robot.joint_names)} joints'
                    + ''.join(f'; {warning}' for warning in robot.warnings))
    try:
        meshes = load_meshes(robot)
    except Kinema4DError as error:
        yield Diagnosis('meshes', Level.ERROR, str(error))
    else:
        level = Level.ERROR if meshes.unreadable else Level.WARNING if meshes.warnings else Level.OK
        yield Diagnosis('meshes', level,
                        '; '.join(meshes.warnings) or f'{len(meshes)} links have a shape')
    if not node.joint_names:
        return
    lacking = sorted(set(robot.joint_names) - node.joint_names)
    strange = sorted(node.joint_names - set(robot.joints))
    if lacking:
        yield Diagnosis('joint names', Level.ERROR,
                        f'joint_states lack {", ".join(lacking)}'
                        + (f'; they have {", ".join(strange)}, which the robot has not'
                           if strange else ''),
                        'name the joints in the driver (or joint_state_broadcaster) as in the URDF')
    else:
        yield Diagnosis('joint names', Level.INFO if strange else Level.OK,
                        f'all {len(robot.joint_names)} of the URDF are published'
                        + (f'; further: {", ".join(strange)}' if strange else ''))


def check_camera(node: GraphProbe) -> Iterator[Diagnosis]:
    """Check calibration and place of each camera, and whether it sees the robot there."""
    for camera, heard in node.infos.items():
        try:
            calibration = calibration_from_message(heard.message)
        except Kinema4DError as error:
            yield Diagnosis(node.named('camera calibration', camera), Level.ERROR, str(error),
                            'calibrate it (camera_calibration), or give the driver its camera_info '
                            'file')
            continue
        yield Diagnosis(node.named('camera calibration', camera), Level.OK,
                        f'{calibration.width} x {calibration.height}, '
                        f'{calibration.distortion_model}, fx {calibration.K[0]:.0f} px')
        yield from _place(node, camera)


def _place(node: GraphProbe, camera: str) -> Iterator[Diagnosis]:
    try:
        robot = Robot.from_urdf(node.robot_text)
    except Kinema4DError:      # reported above
        return
    finder = CameraFinder(robot, extrinsics_of(node.values), node.tree)
    now = node.get_clock().now().nanoseconds
    own = next(each for each in node.inputs.cameras if each.name == camera)
    try:       # of any age: stale stamps are reported by the check of the clock
        seen = own.look(finder, now, {
            **node.values, 'max_input_age': 0.0, f'{camera}.max_input_age': 0.0})
    except Kinema4DError as error:
        yield Diagnosis(node.named('look at the world', camera), Level.ERROR, str(error))
        return
    x, y, z = seen.view.T_base_camera[:3, 3]
    yield Diagnosis(node.named('camera place', camera), Level.OK,
                    f'{seen.frame} at ({x:.2f}, {y:.2f}, {z:.2f}) m in {robot.root_link}'
                    + ('' if seen.stays else ', moves with the robot'))
    yield _in_image(robot, node.named('robot in the image', camera), Observation(
        seen.view.stamp_ns, (seen.view,), seen.joints.positions))


def _in_image(robot: Robot, name: str, seen: Observation) -> Diagnosis:
    """Look for the robot in the live depth image, as every verdict does."""
    if seen.view.depth is None:
        return Diagnosis(name, Level.INFO, 'not compared: there is no depth image with the image')
    try:
        checker = RobotChecker(robot, load_meshes(robot), None)
    except Kinema4DError:      # reported above
        return Diagnosis(name, Level.INFO, 'not compared: a mesh is missing')
    robot_seen = checker.look(seen)
    found, camera = robot_seen.agreement, robot_seen.camera
    if (why := found.why_not_compared()) is not None:
        return Diagnosis(name, Level.WARNING, f'not compared: {why}',
                         'move the robot into view and look again')
    text = (f'{100 * found.share:.0f} % of it is where it should be, after moving it by '
            f'{offset_of(found)}')
    if camera.is_believed:
        return Diagnosis(name, Level.OK, text)
    return Diagnosis(name, Level.ERROR, text + '; ' + camera.findings[0].message, CURE)
