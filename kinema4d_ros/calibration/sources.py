# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a calibration is made from: an episode, a bag of a live robot, or a folder of pictures."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from kinema4d_ros.calibration.arm_frames import ArmFrames
from kinema4d_ros.camera import CameraCalibration
from kinema4d_ros.episodes import CameraTopics, EpisodeFrames, find_episode, Topic
from kinema4d_ros.episodes.topics import CAMERA
from kinema4d_ros.episodes.storage import Messages
from kinema4d_ros.errors import CalibrationError
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.types import JointTrajectory, PinholeCamera

#: the file of a folder of pictures
FRAMES_FILE = 'frames.json'
_MOST = 150            # frames that are held in memory
_FORM = ('{"urdf": "robot.urdf", "joint_names": [...], "camera": {"fx", "fy", "cx", "cy"}, '
         '"frames": [{"image": "0.png", "depth": "0_depth.png" (optional, mm), "joints": [...]}]}')


@dataclass(frozen=True, eq=False)
class CalibrationSource:
    """Frames, their robot, and where its camera is said to be."""

    frames: ArmFrames
    robot: Robot
    frame: str                           # of the camera, '' where it has no name
    T_base_camera: np.ndarray | None     # (4, 4), rectified, at the first frame; None: not said
    #: link that moves and that the camera is said to be on; '' for one that stays
    mount: str = ''
    T_optical_camera: np.ndarray = field(default_factory=lambda: np.eye(4))   # of P, in `frame`
    camera_name: str = ''    # where it is one of several, or not called as the only one mostly is


def read_source(path: str | Path, *, camera: str = '',
                topics: Mapping[str, str] = MappingProxyType({}),
                package_paths: Sequence[str | Path] = (),
                report: Callable[[str, int, int], None] = lambda *_: None) -> CalibrationSource:
    """
    Read an episode or a bag, or a folder with the file frames.json.

    Of a long one frames evenly over time are taken. Joints are those at the time of the image,
    between two joint states;
    images before the first or after the last of these are left out.

    :param camera: name of the camera; '' for the first. What is of one camera only is taken for it.
    :param topics: as `Episode.open`.
    :raises CalibrationError: a folder is not of the form, or there is no such camera; :raises
        EpisodeError: a bag cannot be read, or nothing can have this name.
    """
    path = Path(path).expanduser()
    CameraTopics(camera or CAMERA)      # which refuses what is no name
    if path.name == FRAMES_FILE or (path.is_dir() and (path / FRAMES_FILE).is_file()):
        return _read_folder(path.parent if path.name == FRAMES_FILE else path, package_paths,
                            report, camera)
    anything = JointTrajectory(('none',), np.array([0.0]), np.zeros((1, 1)))
    messages = Messages(find_episode(path), topics, anything, placed=False)
    robot = Robot.from_urdf(messages.only(Topic.ROBOT_DESCRIPTION).data,
                            package_paths=package_paths)
    names = messages.cameras
    if len(names) > 1 and camera and camera not in names:
        raise CalibrationError(f'{path} has no camera {camera!r}; it has: {", ".join(names)}')
    # the first has the topics of the only one
    of = CameraTopics(camera) if camera in names[1:] else CameraTopics()
    if not len(messages.stamps(of.camera_info)) or not len(messages.stamps(of.image)):
        raise CalibrationError(f'{path} lacks images or camera_info of the camera {of.name!r}')
    info = messages.get(of.camera_info, 0)
    roi = info.roi
    calibration = CameraCalibration(
        width=info.width, height=info.height, distortion_model=info.distortion_model,
        D=tuple(info.d), K=tuple(info.k), R=tuple(info.r), P=tuple(info.p),
        binning_x=info.binning_x, binning_y=info.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height))
    frames = EpisodeFrames(messages, 0, (info.height, info.width), of)
    times, states = _joint_states(messages, robot)
    positions, known = joints_between(times, states, frames.stamps_ns)
    if not len(known):
        raise CalibrationError(f'no image of {path} is between two joint states: where the robot '
                               'was is unknown; record both together, with clocks that agree')
    pick = known[np.unique(np.linspace(0, len(known) - 1, _MOST).round().astype(int))]
    images, depths = [], []
    for number, index in enumerate(pick):
        report('reading', number, len(pick))
        frame = frames[int(index)]
        images.append(calibration.rectify(frame.image))
        depths.append(None if frame.depth is None else calibration.rectify_depth(frame.depth))
    arm = ArmFrames(np.stack(images), _stacked(depths), positions[pick], calibration.pinhole)
    name = info.header.frame_id
    T_base_camera, mount = _said(robot, name, arm.joint_positions[0])
    if T_base_camera is not None:
        T_base_camera = T_base_camera @ calibration.T_optical_camera
    named = camera or (names[0] if len(names) > 1 or names[0] != CAMERA else '')
    return CalibrationSource(arm, robot, name, T_base_camera, mount,
                             calibration.T_optical_camera, named)


def _stacked(depths: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return depths (N, H, W), NaN for images without; None where no image has one."""
    some = next((depth for depth in depths if depth is not None), None)
    if some is None:
        return None
    return np.stack([np.full_like(some, np.nan) if depth is None else depth for depth in depths])


def _joint_states(messages: Messages, robot: Robot) -> tuple[np.ndarray, np.ndarray]:
    """Return stamps (M,) [ns] and the robot's joints (M, J)."""
    times = messages.stamps(Topic.JOINT_STATES)
    rows = []
    for index in range(len(times)):
        state = messages.get(Topic.JOINT_STATES, index)
        rows.append(robot.configuration(dict(zip(state.name, map(float, state.position))),
                                        strict=False))
    return times, np.array(rows)


def joints_between(times_ns: np.ndarray, states: np.ndarray, stamps_ns: np.ndarray
                   ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return joints (N, J) at N stamps, and the indices of the stamps where they are known.

    :param times_ns: (M,) of the joint states, rising.
    :param states: (M, J).
    """
    seconds = (times_ns - times_ns[0]) * 1e-9
    at = (stamps_ns - times_ns[0]) * 1e-9
    joints = np.stack([np.interp(at, seconds, column) for column in states.T], axis=1)
    return joints, np.flatnonzero((stamps_ns >= times_ns[0]) & (stamps_ns <= times_ns[-1]))


def _said(robot: Robot, frame: str, positions: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Return where the description has the camera, and the link that moves it, if one does."""
    if frame not in robot.link_names:
        return None, ''
    T_base_link = ForwardKinematics(robot)(positions[None])[0]
    moving = [joint for joint in robot.path(frame) if joint.name in robot.joint_names]
    mount = moving[-1].child if moving else ''
    return T_base_link[robot.link_names.index(frame)], mount


def _read_folder(folder: Path, package_paths: Sequence[str | Path],
                 report: Callable[[str, int, int], None], camera_name: str) -> CalibrationSource:
    try:
        document: Any = json.loads((folder / FRAMES_FILE).read_text())
        rows, names = document['frames'], [str(name) for name in document['joint_names']]
        if not rows:
            raise ValueError('it names no frames')
        K = {key: float(document['camera'][key]) for key in ('fx', 'fy', 'cx', 'cy')}
        robot = Robot.from_file(folder / document['urdf'], package_paths=package_paths)
        pick = np.unique(np.linspace(0, len(rows) - 1, _MOST).round().astype(int))
        positions, images = [], []
        depths: list[np.ndarray | None] = []
        for number, index in enumerate(pick):
            report('reading', number, len(pick))
            row = rows[index]
            images.append(_picture(folder / row['image'], cv2.IMREAD_COLOR)[:, :, ::-1])
            depths.append(_depth(folder / row['depth']) if row.get('depth') else None)
            positions.append(robot.configuration(dict(zip(names, map(float, row['joints'])))))
        said = document.get('T_base_camera')
        T_base_camera = None if said is None else np.array(said, np.float64).reshape(4, 4)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CalibrationError(f'{folder / FRAMES_FILE} cannot be read '
                               f'({type(error).__name__}: {error}); its form is {_FORM}') from error
    height, width = images[0].shape[:2]
    if any(image.shape != images[0].shape for image in images):
        raise CalibrationError(f'the pictures of {folder} do not all have {width} x {height} '
                               'pixels')
    camera = PinholeCamera(width, height, **K)
    arm = ArmFrames(np.stack(images), _stacked(depths), np.stack(positions), camera)
    return CalibrationSource(arm, robot, str(document.get('frame', '')), T_base_camera,
                             camera_name=camera_name)


def _picture(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise CalibrationError(f'{path} is no picture that can be read')
    return image


def _depth(path: Path) -> np.ndarray:
    picture = _picture(path, cv2.IMREAD_UNCHANGED)
    if picture.dtype == np.uint8 or picture.ndim != 2:
        raise CalibrationError(
            f'{path} is no depth image: it has {8 * picture.itemsize} bits and '
            f'{1 if picture.ndim == 2 else picture.shape[2]} channels, millimetres need one '
            'channel of 16 bits')
    millimetres = picture.astype(np.float32)
    return np.where(millimetres > 0, millimetres / 1000, np.nan).astype(np.float32)
