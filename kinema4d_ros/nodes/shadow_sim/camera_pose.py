# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is: a link of the robot, a parameter, or a frame known to TF."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion

from kinema4d_ros.bridge.transforms import matrix, pose_text, same_pose, TransformTree
from kinema4d_ros.camera import LinkPose
from kinema4d_ros.errors import CameraError, ContradictionError
from kinema4d_ros.nodes.shadow_sim.camera_parameters import ONE_CAMERA
from kinema4d_ros.robot import ForwardKinematics, JointType, Robot

_POSITION, _ANGLE = 0.005, 0.01       # [m], [rad] two sources of one pose may differ by this
#: of the optical frame in the frame of a camera's body, by REP 103
_R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


class CameraPose(NamedTuple):
    """A camera pose at one moment, and how it moves."""

    T_base_camera: np.ndarray    # (4, 4) float64
    mount: LinkPose | None       # on a link that moves; None for a camera that stays

    def moved(self, T_camera_other: np.ndarray) -> CameraPose:
        """Return the pose of another camera, fixed to this one."""
        return CameraPose(self.T_base_camera @ T_camera_other,
                          None if self.mount is None else self.mount.moved(T_camera_other))


class CameraFinder:
    """
    Finds the camera of one robot: a link of it, by the parameter, or by TF.

    More than one of them may know; then they must agree.
    """

    def __init__(self, robot: Robot, extrinsics: Mapping[str, Sequence[float]],
                 tree: TransformTree, frame_prefix: str = ''):
        """
        Make the finder for a robot.

        :param extrinsics: x y z [m] qx qy qz qw of the optical frame in the root link, by the name
            of the camera; none or () where it has none.
        :param tree: the transforms of /tf and /tf_static.
        :param frame_prefix: what TF has before the names of the robot's links, as the parameter
            of that name of robot_state_publisher.
        """
        self.robot, self._tree, self._prefix = robot, tree, frame_prefix
        self._kinematics = ForwardKinematics(robot)
        self._carriers = {joint.child: joint for joint in robot.joints.values()}
        self._fixed = {camera: _pose(values) for camera, values in extrinsics.items()
                       if len(values)}

    def find(self, frame: str, joint_positions: Mapping[str, float], camera: str = ONE_CAMERA
             ) -> CameraPose:
        """
        Return the pose of the optical frame `frame`.

        :param camera: name of the camera, whose extrinsics may be given.
        :raises CameraError: it is no link of the robot, there are no extrinsics, and TF does not
            connect it with the robot, or by a transform that changes.
        :raises ContradictionError: two of these, or two sources of TF, do not agree.
        """
        link, fixed = self._link(frame), self._fixed.get(camera)
        parameter = 'extrinsics' if camera == ONE_CAMERA else f'{camera}.extrinsics'
        if link is not None:
            pose, source = self._on_link(link, np.eye(4), joint_positions), 'the robot description'
            self._refuse_other_mounting(link, joint_positions)
        elif fixed is not None:
            found = self._known_to_tf(frame, joint_positions)
            if found is None:
                return CameraPose(fixed, None)
            pose, source = found, 'TF'
        else:
            return self._by_tf(frame, joint_positions)
        if fixed is None:
            return pose
        if pose.mount is not None:
            raise ContradictionError(
                f'camera frame {frame!r} moves with link {pose.mount.link!r} by {source}, and the '
                f'parameter {parameter} says that it stays; unset the parameter')
        if not same_pose(pose.T_base_camera, fixed, position=_POSITION, angle=_ANGLE):
            raise ContradictionError(
                f'camera frame {frame!r} is at {pose_text(pose.T_base_camera)} in '
                f'{self.robot.root_link!r} by {source}, and at {pose_text(fixed)} by the '
                f'parameter {parameter}; correct one of them, or unset the parameter')
        return CameraPose(fixed, None) if source == 'TF' else pose

    def optical_sibling(self, frame: str) -> str | None:
        """
        Return the optical frame of a body, where `frame` is that body and no optical frame.

        REP 103: x of a body points ahead, z of an optical frame. Images belong to the latter.
        """
        if 'optical' in frame:
            return None
        link = self._link(frame)
        children = {child: joint.T_parent_joint[:3, :3] for child, joint in self._carriers.items()
                    if joint.type is JointType.FIXED and joint.parent == link}
        try:
            children |= {name: found[1][:3, :3] for name in self._tree.frames
                         if (found := self._tree.parent(name)) is not None
                         and found[0] == frame.lstrip('/')}
        except ContradictionError:
            pass        # said where it matters
        return next((name for name, R in sorted(children.items())
                     if 'optical' in name and np.allclose(R, _R_BODY_OPTICAL, atol=0.05)), None)

    def _link(self, frame: str) -> str | None:
        """Return the robot's link that a frame of a message or of TF is, with or without prefix."""
        name = frame.lstrip('/')
        names = self.robot.link_names
        if name in names:
            return name
        bare = name.removeprefix(self._prefix.lstrip('/'))
        return bare if bare in names else None

    def _known_to_tf(self, frame: str, joint_positions: Mapping[str, float]) -> CameraPose | None:
        """Return what TF says of a frame, None where that is nothing or only for now."""
        try:
            return self._by_tf(frame, joint_positions)
        except CameraError:
            return None

    def _by_tf(self, frame: str, joint_positions: Mapping[str, float]) -> CameraPose:
        names = {name for link in self.robot.link_names
                 for name in (link, f'{self._prefix}{link}'.lstrip('/'))}
        root = self.robot.root_link
        try:
            above = self._tree.ancestor(frame, names)
            if above is None:      # a prefix, or a camera beside the robot's root
                known = self._tree.frames
                above_root = f'{self._prefix}{root}'.lstrip('/')
                found = self._tree.lookup(above_root if above_root in known else root, frame)
            else:
                found = self._tree.lookup(above, frame)
        except CameraError as error:
            raise CameraError(
                f'the pose of camera frame {frame!r} is unknown: it is no link of the robot, the '
                f'parameter extrinsics is not set, and TF says: {error}'
                f'{self._prefix_hint() or self._frame_hint()}') from error
        link = None if above is None else self._link(above)
        if found.stamp_ns is not None:
            raise CameraError(
                f'camera frame {frame!r} moves against link {link or root!r} of '
                'the robot: TF connects them on /tf and not on /tf_static, so where it will be is '
                'unknown; add the camera to the URDF, publish its mounting on /tf_static, or set '
                'the parameter extrinsics of a camera that stays')
        if link is None:
            return CameraPose(found.T, None)
        return self._on_link(link, found.T, joint_positions)

    def _prefix_hint(self) -> str:
        """Return the cure where TF knows the robot's links by names with another prefix."""
        root, known = self.robot.root_link, self._tree.frames
        found = next((name for name in known if name != root and name.endswith(root)
                      and name != f'{self._prefix}{root}'.lstrip('/')), None)
        if found is None or root in known:
            return ''
        return (f'; {found!r} looks like link {root!r}: set frame_prefix to '
                f'{found.removesuffix(root)!r}, as for robot_state_publisher')

    def _frame_hint(self) -> str:
        """Return the cure where nobody knows a frame."""
        optical = [link for link in self.robot.link_names if link.endswith('optical_frame')]
        own = f" (the robot has {', '.join(map(repr, optical[:4]))})" if optical else ''
        return ('; publish its mounting on /tf_static, set extrinsics, or, where the driver stamps '
                f'its images with another name than the robot has for it{own}, set camera_frame')

    def _refuse_other_mounting(self, link: str, joint_positions: Mapping[str, float]) -> None:
        """Raise ContradictionError where /tf_static mounts a link other than the robot has it."""
        names = self.robot.link_names
        T_base_link = None
        while (joint := self._carriers.get(link)) is not None and joint.type is JointType.FIXED:
            for name in {link, f'{self._prefix}{link}'.lstrip('/')}:
                found = self._tree.parent(name)
                parent = None if found is None else self._link(found[0])
                if found is None or parent is None:      # of another tree, that says nothing here
                    continue
                if T_base_link is None:
                    positions = self.robot.configuration(joint_positions, strict=False)
                    T_base_link = self._kinematics(positions[None])[0]
                at, by_tf = (T_base_link[names.index(link)],
                             T_base_link[names.index(parent)] @ found[1])
                if not same_pose(at, by_tf, position=_POSITION, angle=_ANGLE):
                    raise ContradictionError(
                        f'link {link!r} is in {joint.parent!r} at '
                        f'{pose_text(joint.T_parent_joint)} by the robot description, and in '
                        f'{parent!r} at {pose_text(found[1])} by /tf_static; correct one of them')
            link = joint.parent

    def _on_link(self, link: str, T_link_camera: np.ndarray,
                 joint_positions: Mapping[str, float]) -> CameraPose:
        positions = self.robot.configuration(joint_positions, strict=False)
        T_base_link = self._kinematics(positions[None])
        mount = LinkPose(link, T_link_camera)
        return CameraPose(mount.poses(self.robot.link_names, T_base_link)[0],
                          mount if moves(self.robot, link) else None)


def _pose(extrinsics: Sequence[float]) -> np.ndarray:
    """Return the pose (4, 4) of x y z [m] qx qy qz qw."""
    x, y, z, qx, qy, qz, qw = extrinsics
    return matrix(Pose(position=Point(x=x, y=y, z=z),
                       orientation=Quaternion(x=qx, y=qy, z=qz, w=qw)))


def moves(robot: Robot, link: str) -> bool:
    """Return whether a joint between the root and `link` can move."""
    return any(joint.type != JointType.FIXED for joint in robot.path(link))
