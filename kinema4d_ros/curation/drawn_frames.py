# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The robot of a recording, drawn frame by frame as one of its cameras sees it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kinema4d_ros.camera import Appearance, RobotRenderer
from kinema4d_ros.datasets import KnownCamera
from kinema4d_ros.episodes import Episode, EpisodeCamera
from kinema4d_ros.episodes.transforms import with_camera
from kinema4d_ros.errors import DatasetError
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot

CAMERA_FRAME = 'curated_camera_optical_frame'
_STILL = 1e-5      # by how much the pose of a camera that stands may seem to change


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """One frame of a recording: what the camera saw, and the robot drawn into it."""

    index: int
    time: float                   # [s] from the start of the trajectory
    stamp_ns: int
    picture: np.ndarray           # (H, W, 3) uint8 RGB, rectified
    depth: np.ndarray | None      # (H, W) float32 [m] measured, NaN unknown
    pointmap: np.ndarray          # (H, W, 3) float32 [m] of the robot, NaN elsewhere
    link_id: np.ndarray           # (H, W) int16, -1 where no robot
    image: np.ndarray             # (H, W, 3) uint8 of the robot, black elsewhere
    joint_positions: Mapping[str, float]      # [rad or m]

    @property
    def mask(self) -> np.ndarray:
        """Where the robot is, (H, W) bool."""
        found: np.ndarray = self.link_id >= 0
        return found


class DrawnRobot:
    """What drawing a robot needs, made once for all episodes of it."""

    def __init__(self, urdf: str, package_paths: tuple[str, ...]) -> None:
        """Load the meshes."""
        self.robot = Robot.from_urdf(urdf, package_paths=package_paths)
        self.kinematics = ForwardKinematics(self.robot)
        self.renderer = RobotRenderer(load_meshes(self.robot), self.robot.link_names)


drawn_robot = lru_cache(maxsize=2)(DrawnRobot)


class DrawnFrames:
    """The frames of one camera of an episode with the robot in them; each made when asked for."""

    def __init__(self, episode: Episode, camera: EpisodeCamera, package_paths: tuple[str, ...],
                 given: KnownCamera | None = None):
        """
        Find out where the camera is.

        :param given: K and T in place of what the episode says.
        :raises DatasetError: it moves, and is on no link of the robot.
        """
        self._episode, self._camera = episode, camera
        self._drawn = drawn_robot(episode.robot_description, package_paths)
        self.robot = self._drawn.robot
        self.pinhole = camera.calibration.pinhole
        links, T = self.robot.link_names, camera.calibration.T_optical_camera  # noqa: N806
        if given is not None:
            self.pinhole = given.calibration.pinhole.resized(self.pinhole.width,
                                                             self.pinhole.height)
            self.link, self._T_link_camera = self._given_pose(given)
        elif camera.frame in links:
            self.link, self._T_link_camera = camera.frame, T
        else:
            self.link, self._T_link_camera = self.robot.root_link, self._still_pose()
        self._look: Appearance | None = None

    def __len__(self) -> int:
        """Count the frames."""
        return len(self._camera.frames)

    @property
    def urdf(self) -> str:
        """The URDF, with a link for the camera as the pictures are after rectification."""
        urdf = self._episode.robot_description
        if self.camera_frame == self.link:
            return urdf
        return with_camera(urdf, CAMERA_FRAME, self.link, self._T_link_camera)

    @property
    def camera_frame(self) -> str:
        """The link of the camera in `urdf`."""
        return self.link if np.array_equal(self._T_link_camera, np.eye(4)) else CAMERA_FRAME

    def time(self, index: int) -> float:
        """Return when a frame was taken [s], from the start of the trajectory."""
        return float(self._camera.frames.times[index])

    def look_like(self, index: int) -> None:
        """Draw the robot from now on in the colours that it has in a frame."""
        self._look = None
        frame = self[index]
        T_base_link, T_base_camera = self._poses(frame.joint_positions)
        self._look = self._drawn.renderer.appearance(
            frame.picture, frame.link_id, frame.pointmap, T_base_link[0], self.pinhole,
            T_base_camera[0], frame.depth)

    def __getitem__(self, index: int) -> SeenFrame:
        """
        Return a frame; its arrays are the caller's.

        :raises EpisodeError: an image is damaged.
        """
        frame, calibration = self._camera.frames[index], self._camera.calibration
        T_base_link, T_base_camera = self._poses(frame.joint_positions)
        drawn = self._drawn.renderer.render(T_base_link, self.pinhole, T_base_camera, self._look)
        return SeenFrame(
            index, frame.time, frame.stamp_ns, calibration.rectify(frame.image),
            None if frame.depth is None else calibration.rectify_depth(frame.depth),
            drawn.pointmap[0], drawn.link_id[0], drawn.image[0], frame.joint_positions)

    def _poses(self, joints: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return T_base_link (1, L, 4, 4) and T_base_camera (1, 4, 4) at joint positions."""
        row = self.robot.configuration(joints, strict=False)
        T_base_link = self._drawn.kinematics(row[None])
        at = self.robot.link_names.index(self.link)
        return T_base_link, T_base_link[:, at] @ self._T_link_camera

    def _given_pose(self, given: KnownCamera) -> tuple[str, np.ndarray]:
        """Return link and T_link_camera of a camera that the user knows."""
        link = given.parent or self.robot.root_link
        if link not in self.robot.link_names or given.T_base_camera is None:
            raise DatasetError(f'{given.origin} tells the camera in the link {link!r}, which the '
                               f'robot lacks; it has {", ".join(self.robot.link_names)}')
        return link, given.T_base_camera

    def _still_pose(self) -> np.ndarray:
        """Return T_base_camera of a camera that stands where transforms say."""
        episode, name = self._episode, self._camera.name
        first = int(np.searchsorted(self._camera.frames.stamps_ns, episode.trajectory_stamp_ns,
                                    'right')) - 1
        first = max(0, first)
        ends = [episode.observation(index - first, [name]).view.T_base_camera
                for index in (0, len(self) - 1)]
        if np.abs(ends[0] - ends[1]).max() > _STILL:
            raise DatasetError('the camera moves by /tf and is on no link of the robot; give its '
                               'optical frame to the URDF')
        found: np.ndarray = ends[0]
        return found
