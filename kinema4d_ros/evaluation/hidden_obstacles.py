# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Motions through an obstacle that the depth camera does not show, and how many of them are PASS.

Into the first image of an episode whose motion is PASS a box of 12 cm, or one of 4 cm, is put
where the hand, the wrist or the forearm will be, and taken out of the depth again in the ways in
which real cameras do not see: no value, a value that means nothing, something in front, or not in
the picture at all. None of these motions may be PASS; some of those with a box of 4 cm are.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from kinema4d_ros.camera.pixels import to_metres
from kinema4d_ros.camera.points import project
from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.statistics import Rate
from kinema4d_ros.precheck import PrecheckSettings, RobotChecker
from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.robot import find_gripper, hand_links_of, load_meshes, Robot
from kinema4d_ros.simulator import with_finger_boxes
from kinema4d_ros.types import (CameraView, JointTrail, JointTrajectory, Observation, RobotRollout,
                                Severity)

SIDE = 0.12            # [m] of the box
SMALL_SIDE = 0.04      # [m] of a small one, which is tried in the `SMALL_KINDS`
TIMES = 2              # boxes for each link of an episode
LATTICE = 0.015       # [m] of the points that stand for a link
_IN_VIEW = 0.8         # of the box's silhouette must be in the picture and free of what is nearer
_LEFT = 0.3            # of the picture must be left after cropping
_ROOM = 0.05           # [m] that what stands in front of the box keeps from the robot's way
IN_FRONT, OUTSIDE = 'something in front', 'outside the view'
_CLAMP = 6.0           # [m] what a camera writes that stops there

_Any = TypeVar('_Any')
Hide = Callable[[CameraView, np.ndarray], CameraView]
#: frame, (H, W) float32 [m] to the front of the box, inf beside it, and its middle (3,) [m]
_Place = tuple[int, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class HiddenObstacleRow:
    """One box that the depth image does not show."""

    episode: str
    kind: str          # how it is hidden, of `KINDS`
    role: str          # hand, wrist or forearm
    link: str
    time: float        # [s] when the link is there
    passed: bool       # nothing speaks against the motion
    why: str           # what does


def hidden_obstacle_rows(paths: Iterable[str | Path],
                         settings: PrecheckSettings | None = None) -> list[HiddenObstacleRow]:
    """
    Return a row for each box that could be hidden in one of the episodes.

    :raises EpisodeError: an episode cannot be read.
    """
    checkers: dict[str, RobotChecker] = {}
    rows: list[HiddenObstacleRow] = []
    for path in paths:
        episode = Episode.open(path)
        text = episode.robot_description
        if text not in checkers:
            checkers[text] = checker_of(text, settings)
        rows += _rows_of(episode, checkers[text], Path(path).stem)
    return rows


def checker_of(robot_description: str, settings: PrecheckSettings | None = None) -> RobotChecker:
    """Return what judges motions of a robot."""
    robot = Robot.from_urdf(robot_description)
    meshes, gripper = load_meshes(robot), find_gripper(robot)
    return RobotChecker(robot, meshes,
                        None if gripper is None else with_finger_boxes(gripper, meshes),
                        settings or PrecheckSettings())


def markdown(rows: Iterable[HiddenObstacleRow]) -> str:
    """Return a table: how many motions through a hidden box are PASS, by how and for what link."""
    rows = list(rows)
    if not rows:
        return ''
    kinds = [*dict.fromkeys(row.kind for row in rows)]
    lines = ['## Hidden obstacles', '', (__doc__ or '').strip().split('\n\n')[1], '',
             '| the box is hidden by | link | PASS / motions (95 %) |', '|---|---|---|']
    for kind in kinds:
        for role in ('hand', 'wrist', 'forearm'):
            some = [row for row in rows if (row.kind, row.role) == (kind, role)]
            if some:
                rate = Rate(sum(row.passed for row in some), len(some))
                lines.append(f'| {kind} | {role} | {rate} |')
    return '\n'.join(lines) + '\n'


def _rows_of(episode: Episode, checker: RobotChecker,
             name: str) -> Iterator[HiddenObstacleRow]:
    first = episode.cameras[0].name
    observation, trajectory = episode.observation(cameras=(first,)), episode.trajectory
    if observation.view.depth is None or against(checker, observation, trajectory):
        return
    view, motion = observation.view, checker.rollout_of(observation, trajectory)
    stands = solid(checker, motion, 0)
    for role, link in roles_of(checker).items():
        places = _places(checker, motion, link, stands, view)
        small = _places(checker, motion, link, stands, view, SMALL_SIDE)
        tries = [(kind, kind, places[kind == OUTSIDE]) for kind in KINDS]
        tries += [(f'{kind}, {100 * SMALL_SIDE:.0f} cm', kind, small[0])
                  for kind in SMALL_KINDS if kind in KINDS]
        for label, kind, of_kind in tries:
            for frame, distance, _ in some_of(of_kind, kind == OUTSIDE):
                changed = KINDS[kind](view, distance)
                if kind == IN_FRONT and not _is_clear(checker, motion, changed, distance):
                    continue
                why = against(checker, dataclasses.replace(observation, views=(changed,)),
                               trajectory)
                yield HiddenObstacleRow(name, label, role, link, float(motion.times[frame]),
                                        not why, why)


def outside_rows(episode: Episode, checker: RobotChecker, cameras: Sequence[str],
                 trail: JointTrail | None = None) -> Iterator[HiddenObstacleRow]:
    """
    Yield a row for each box that is outside of the first camera's view, as some cameras see it.

    The boxes are the same for all choices of cameras; those besides the first show them.

    :param cameras: names, that of the first one first.
    :param trail: where the robot has been before: no box is there.
    """
    observation, trajectory = episode.observation(cameras=cameras), episode.trajectory
    view, motion = observation.primary, checker.rollout_of(observation, trajectory)
    stands = solid(checker, motion, 0)
    if trail is not None:
        observation = dataclasses.replace(observation, trail=trail)
        stands = np.concatenate([stands, _been(checker, trail)])
    for role, link in roles_of(checker).items():
        for frame, distance, center in some_of(
                _places(checker, motion, link, stands, view)[1], with_middle=True):
            views = (_cropped(view, distance), *(
                _with_box(other, center) for other in observation.views[1:]))
            checker.forget()
            why = against(checker, dataclasses.replace(observation, views=views), trajectory)
            yield HiddenObstacleRow(episode.path.stem, OUTSIDE, role, link,
                                    float(motion.times[frame]), not why, why)


def _been(checker: RobotChecker, trail: JointTrail) -> np.ndarray:
    """Return points that fill the robot wherever it has been, (N, 3) [m] base."""
    robot = checker.robot
    T = kinematics_of(robot)(  # noqa: N806
        trail.positions[:, [trail.joint_names.index(name) for name in robot.joint_names]])
    parts = []
    for name in checker.fields.link_names:
        there = T[:, robot.link_names.index(name)]
        placed = checker.fields.solid_points(name, LATTICE) @ there[:, :3, :3].transpose(0, 2, 1)
        parts.append((placed + there[:, None, :3, 3]).reshape(-1, 3))
    return np.concatenate(parts)


def _with_box(view: CameraView, center: np.ndarray) -> CameraView:
    """Return what a camera sees that has the box in view."""
    if view.depth is None:
        return view
    distance, _ = box_distance(view, center)
    box = distance < np.where(np.isnan(view.depth), np.inf, view.depth)
    image = view.image.copy()
    image[box] = 128
    return dataclasses.replace(view, image=image, depth=np.where(box, distance, view.depth))


def against(checker: RobotChecker, observation: Observation,
             trajectory: JointTrajectory) -> str:
    """Return what speaks against a motion, '' for nothing."""
    found = [finding for finding in checker.tier1(observation, trajectory).findings
             if finding.severity > Severity.INFO]
    return found[0].message if found else ''


def roles_of(checker: RobotChecker) -> dict[str, str]:
    """Return the links to try: hand, wrist and forearm, as far as there are such."""
    robot, gripper = checker.robot, checker.gripper
    hand = hand_links_of(robot, gripper)
    solid = set(checker.fields.link_names)
    palm = gripper.palm_link if gripper is not None else max(
        (link for link in robot.link_names if link in hand & solid),
        key=lambda link: len(robot.path(link)))
    chain = [palm] if palm in solid else []
    chain += [joint.parent for joint in reversed(robot.path(palm))
              if joint.parent in solid and joint.parent not in hand]
    return dict(zip(('hand', 'wrist', 'forearm'), chain))


def _places(checker: RobotChecker, motion: RobotRollout, link: str, stands: np.ndarray,
            view: CameraView, side: float = SIDE) -> tuple[list[_Place], list[_Place]]:
    """
    Return where a box around the link is seen whole, and where it can be cut out of the picture.

    It is not where the robot stands at first.
    """
    points = checker.fields.solid_points(link, LATTICE)
    T = motion.T_base_link[:, motion.link_names.index(link)]
    centers = T[:, :3, :3] @ ((points.min(0) + points.max(0)) / 2) + T[:, :3, 3]
    seen, cut_off = [], []
    for frame in range(1, len(centers), max(1, len(centers) // 24)):
        if (np.abs(stands - centers[frame]).max(axis=1) < side / 2 + 0.01).any():
            continue
        distance, share = box_distance(view, centers[frame], side)
        box = np.isfinite(distance)
        if _crop(view, box) is not None:
            cut_off.append((frame, distance, centers[frame]))
        if share > _IN_VIEW and (depth_of(view)[box] > distance[box]).mean() > _IN_VIEW:
            seen.append((frame, distance, centers[frame]))
    return seen, cut_off


def depth_of(view: CameraView) -> np.ndarray:
    """Return the depth of a view that has one, (H, W) float32 [m]."""
    assert view.depth is not None
    return view.depth


def some_of(places: list[_Any], with_middle: bool = False) -> list[_Any]:
    """Return a few of the places, evenly, maybe one more so that the middle is among them."""
    times = TIMES + (with_middle and TIMES % 2 == 0)
    step = max(1, len(places) // times)
    return places[step // 2::step][:times]


def box_distance(view: CameraView, center: np.ndarray,
                 side: float = SIDE) -> tuple[np.ndarray, float]:
    """
    Return how far (optical z) the front of the box is, and how much of it is in the picture, 0..1.

    The distance is (H, W) float32 [m], inf beside the box.
    """
    return distance_to(view, center - side / 2, center + side / 2)


def distance_to(view: CameraView, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the same of a box with these corners (3,) [m]."""
    camera, T = view.camera, view.T_base_camera
    distance = np.full((camera.height, camera.width), np.inf, np.float32)
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1])
                        for z in (low[2], high[2])])
    corners = (corners - T[:3, 3]) @ T[:3, :3]
    if (corners[:, 2] <= 0).any():
        return distance, 0.0
    pixels = project(corners, camera)
    first, last = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int) + 1
    window = camera.cropped(*map(int, first), *map(int, last - first))
    with np.errstate(divide='ignore', invalid='ignore'):
        rays = window.rays() @ T[:3, :3].T
        one, other = (low - T[:3, 3]) / rays, (high - T[:3, 3]) / rays
    near, far = np.minimum(one, other).max(-1), np.maximum(one, other).min(-1)
    box = np.where((near < far) & (near > 0), near, np.inf)
    size = np.array([camera.width, camera.height])
    (left, top), (right, bottom) = first.clip(0, size), last.clip(0, size)
    distance[top:bottom, left:right] = box[top - first[1]:bottom - first[1],
                                           left - first[0]:right - first[0]]
    return distance, float(np.isfinite(distance).sum() / max(1, np.isfinite(box).sum()))


def _sixteen_bits(code: int) -> Hide:
    """Return what writes a code into the box's pixels of an image in millimetres."""
    def change(view: CameraView, distance: np.ndarray) -> CameraView:
        values = np.nan_to_num(depth_of(view) * 1000.0).clip(0, 65535).astype(np.uint16)
        values[distance < depth_of(view)] = code
        return dataclasses.replace(view, depth=to_metres(values, '16UC1'))
    return change


def _metres(value: float) -> Hide:
    """Return what writes a value into the box's pixels of an image in metres."""
    def change(view: CameraView, distance: np.ndarray) -> CameraView:
        values = np.where(distance < depth_of(view), np.float32(value), depth_of(view))
        return dataclasses.replace(view, depth=to_metres(values, '32FC1'))
    return change


def _in_front(view: CameraView, distance: np.ndarray) -> CameraView:
    """Put a board that hides the box half-way between it and the camera."""
    board = cv2.dilate(np.isfinite(distance).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    near = np.float32(distance.min() * 0.5)
    return dataclasses.replace(
        view, depth=np.where(board & ~(depth_of(view) < near), near, depth_of(view)))


def _is_clear(checker: RobotChecker, motion: RobotRollout, view: CameraView,
              distance: np.ndarray) -> bool:
    """Return whether the robot keeps away from the board that hides the box."""
    board = np.isclose(depth_of(view), distance.min() * 0.5) & np.isfinite(distance)
    T = view.T_base_camera
    points = (view.camera.rays()[board] * depth_of(view)[board][:, None]) @ T[:3, :3].T + T[:3, 3]
    index = [motion.link_names.index(name) for name in checker.fields.link_names]
    nearest, _ = checker.fields.closest(points[::7], motion.T_base_link[:, index])
    return len(points) > 0 and bool((nearest > _ROOM).all())


def _cropped(view: CameraView, distance: np.ndarray) -> CameraView:
    """Cut the part of the picture off that shows the box."""
    window = _crop(view, np.isfinite(distance))
    assert window is not None
    x, y, width, height = window
    part = slice(y, y + height), slice(x, x + width)
    return dataclasses.replace(view, image=view.image[part], depth=depth_of(view)[part],
                               camera=view.camera.cropped(x, y, width, height))


def _crop(view: CameraView, box: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return the largest window x, y, width, height beside the box; None if that is too small."""
    height, width = box.shape
    if not box.any():
        return 0, 0, width, height
    rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
    windows = [(0, 0, width, int(rows[0])), (0, 0, int(columns[0]), height),
               (0, int(rows[-1]) + 1, width, height - int(rows[-1]) - 1),
               (int(columns[-1]) + 1, 0, width - int(columns[-1]) - 1, height)]
    best = max(windows, key=lambda window: window[2] * window[3])
    return best if best[2] * best[3] >= _LEFT * width * height else None


#: how the box is hidden -> what makes a view without it of a view and its distance
KINDS: Mapping[str, Hide] = {
    'zeros': _sixteen_bits(0), 'NaN': _metres(np.nan), 'saturated (65535)': _sixteen_bits(65535),
    'infinite': _metres(np.inf), '20 m': _metres(20.0), f'clamped to {_CLAMP:g} m': _metres(_CLAMP),
    IN_FRONT: _in_front, OUTSIDE: _cropped,
}
SMALL_KINDS = 'zeros', IN_FRONT        # of `KINDS`; the others differ little


def solid(checker: RobotChecker, motion: RobotRollout, frame: int) -> np.ndarray:
    """Return points that fill the robot as it stands in a frame, (N, 3) [m] base."""
    parts = []
    for name in checker.fields.link_names:
        T = motion.T_base_link[frame, motion.link_names.index(name)]
        parts.append(checker.fields.solid_points(name, LATTICE) @ T[:3, :3].T + T[:3, 3])
    return np.concatenate(parts)
