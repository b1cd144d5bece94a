# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""geometry_msgs transforms to and from (4, 4) matrices, and the tree that /tf spans."""
from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.bridge.sources import RECENT
from kinema4d_ros.errors import CameraError, ContradictionError
from kinema4d_ros.robot.transforms import quaternion, rpy, transform_from_quaternion

if TYPE_CHECKING:
    from tf2_msgs.msg import TFMessage     # its package is not needed to read one

#: child frame -> (parent frame, T_parent_child, stamp [ns] or None for a static one)
_Parents = dict[str, tuple[str, np.ndarray, int | None]]
_MOST_STATIC = 500     # publishers on /tf_static


def matrix(message: Transform | Pose) -> np.ndarray:
    """
    Return a Transform or Pose as (4, 4) float64; the quaternion is normalised.

    :raises CameraError: values are not finite, or the quaternion is all zero (never filled in).
    """
    if isinstance(message, Pose):
        position, rotation = message.position, message.orientation
    else:
        position, rotation = message.translation, message.rotation
    return transform_from_quaternion((position.x, position.y, position.z),
                                     (rotation.x, rotation.y, rotation.z, rotation.w))


def transform_message(T: np.ndarray, header: Header, child_frame: str) -> TransformStamped:
    """Return T_parent_child as the message that tf2 broadcasts; header names the parent."""
    x, y, z = (float(value) for value in T[:3, 3])
    qx, qy, qz, qw = quaternion(T[:3, :3])
    return TransformStamped(header=header, child_frame_id=child_frame, transform=Transform(
        translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)))


def point_message(point: Iterable[float]) -> Point:
    """Return three numbers [m] as a Point."""
    x, y, z = (float(value) for value in point)
    return Point(x=x, y=y, z=z)


class Lookup(NamedTuple):
    """A found transform; `stamp_ns` is the oldest moving part's, None when all are static."""

    T: np.ndarray
    stamp_ns: int | None


@dataclass(eq=False)
class _StaticSource:
    """What one publisher of /tf_static says."""

    sequence: int | None                            # of its newest message
    held: dict[str, tuple[str, np.ndarray]]         # child -> parent, T_parent_child

    def says(self, read: Mapping[str, tuple[str, np.ndarray]]) -> bool:
        """Return whether it said just that."""
        return self.held.keys() == read.keys() and all(
            parent == self.held[child][0] and np.array_equal(T, self.held[child][1])
            for child, (parent, T) in read.items())


class TransformTree:
    """
    The newest transforms of /tf and /tf_static by child frame; safe to use from any thread.

    It keeps no history: enough for a camera that stands still against a link of the robot, which
    is what it is for (how that link moves is known by forward kinematics). A frame that two
    sources put in two places is in neither: whoever asks for it hears of both.
    """

    def __init__(self) -> None:
        """Make a tree without frames."""
        self._lock = threading.Lock()
        self._parents: _Parents = {}
        self._static: list[_StaticSource] = []
        self._moving: dict[str, dict[str, float]] = {}      # child -> parent -> last arrival [s]

    def update(self, message: TFMessage, *, static: bool, sequence: int | None = None,
               only_source: bool = False) -> None:
        """
        Take in a tf2_msgs/TFMessage.

        :param sequence: the number that its publisher gave it, None where that is not known.
        :param only_source: nobody else publishes on the topic, so what it says now holds.
        :raises CameraError: a transform in it is no pose; the others are kept.
        """
        bad, read = [], {}
        for transform in message.transforms:
            child, parent = _name(transform.child_frame_id), _name(transform.header.frame_id)
            stamp = None if static else stamp_ns(transform.header.stamp)
            try:
                read[child] = (parent, matrix(transform.transform), stamp)
            except CameraError as error:
                bad.append(f'{parent} -> {child}: {error}')
        with self._lock:
            if static:
                self._take_static({child: entry[:2] for child, entry in read.items()},
                                  sequence, only_source)
            else:
                arrival = time.monotonic()
                for child, (parent, *_) in read.items():
                    self._moving.setdefault(child, {})[parent] = arrival
            self._parents.update(read)
        if bad:
            raise CameraError('; '.join(bad))

    def _take_static(self, read: dict[str, tuple[str, np.ndarray]], sequence: int | None,
                     only_source: bool) -> None:
        """
        Keep what each publisher says that stays.

        A broadcaster that changes its mind sends all that it sent before again, with the next
        number; so two of them are told apart from one that was calibrated anew.
        """
        if only_source:
            self._static = []
        again = [source for source in self._static if source.says(read)]
        again += [source for source in self._static if None not in (sequence, source.sequence)
                  and source.sequence == (sequence or 0) - 1
                  and source.held.keys() <= read.keys()]
        if again:
            again[0].sequence = sequence
            again[0].held.update(read)
        else:
            self._static = [*self._static[1 - _MOST_STATIC:], _StaticSource(sequence, dict(read))]

    def clear(self) -> None:
        """Forget moving transforms, as tf2 does when time jumps back; static ones stay."""
        with self._lock:
            self._parents = {c: e for c, e in self._parents.items() if e[2] is None}
            self._moving.clear()

    def clear_static(self) -> None:
        """Forget what stays: it will be sent again to a new subscription."""
        with self._lock:
            self._parents = {c: e for c, e in self._parents.items() if e[2] is not None}
            self._static = []

    @property
    def frames(self) -> list[str]:
        """All frames that are known, sorted."""
        with self._lock:
            return sorted(set(self._parents) | {entry[0] for entry in self._parents.values()})

    def parent(self, frame: str) -> tuple[str, np.ndarray] | None:
        """
        Return the parent of a frame that stays in it, and T_parent_frame; None where it has none.

        :raises ContradictionError: two sources differ on that.
        """
        with self._lock:
            self._refuse_contradiction(_name(frame))
            entry = self._parents.get(_name(frame))
        return None if entry is None or entry[2] is not None else entry[:2]

    def contradicted(self) -> list[str]:
        """Return the frames that two sources of /tf_static put in two places."""
        with self._lock:
            return [child for child in self._parents if self._static_contradiction(child)]

    def ancestor(self, frame: str, names: Collection[str]) -> str | None:
        """
        Return the nearest frame at or above `frame` that is one of `names`.

        :raises ContradictionError: two sources differ on a frame on the way to it.
        """
        with self._lock:
            for above in _path(self._parents, _name(frame)):
                if above in names:
                    return above
                self._refuse_contradiction(above)
        return None

    def highest(self, frame: str) -> tuple[str, np.ndarray]:
        """
        Return the highest frame above one, itself where there is none, and T_highest_frame.

        :raises ContradictionError: two sources differ on a frame on the way to it.
        """
        with self._lock:
            path = _path(self._parents, _name(frame))
            for below in path:
                self._refuse_contradiction(below)
            return path[-1], _chain(self._parents, path[0], path[-1])

    def lookup(self, target: str, source: str) -> Lookup:
        """
        Return T_target_source.

        :raises CameraError: a frame is unknown or the two are not connected.
        :raises ContradictionError: two sources differ on a frame on the way.
        """
        target, source = _name(target), _name(source)
        with self._lock:
            parents = dict(self._parents)
            up_target, up_source = (_path(parents, frame) for frame in (target, source))
            common = next((frame for frame in up_source if frame in up_target), None)
            way = up_source if common is None else [
                *up_target[:up_target.index(common)], *up_source[:up_source.index(common)]]
            for frame in way:
                self._refuse_contradiction(frame)
        if common is None:
            known = sorted(set(parents) | {entry[0] for entry in parents.values()})
            raise CameraError(
                f'no transform from {source!r} to {target!r}: '
                f'known frames are {", ".join(known) or "none (nothing on /tf, /tf_static)"}')
        stamps = [stamp for frame in way if frame in parents
                  and (stamp := parents[frame][2]) is not None]
        T = np.linalg.inv(_chain(parents, target, common)) \
            @ _chain(parents, source, common)
        return Lookup(T, min(stamps, default=None))

    def _refuse_contradiction(self, child: str) -> None:
        """Raise ContradictionError where two sources put a frame in two places."""
        if reason := self._static_contradiction(child):
            raise ContradictionError(reason)
        now = time.monotonic()
        moving = [parent for parent, arrival in self._moving.get(child, {}).items()
                  if now - arrival < RECENT]
        static = [source.held[child][0] for source in self._static if child in source.held]
        if len(moving) > 1 or (moving and static):
            on = [*(f'in {parent!r} on /tf' for parent in moving),
                  *(f'in {parent!r} on /tf_static' for parent in static[:1])]
            raise ContradictionError(
                f'two sources of TF contradict each other: frame {child!r} is {" and ".join(on)}')

    def _static_contradiction(self, child: str) -> str | None:
        said = [source.held[child] for source in self._static if child in source.held]
        for parent, T in said[1:]:
            if parent != said[0][0] or not same_pose(T, said[0][1]):
                places = ' and '.join(f'in {name!r} at {pose_text(pose)}'
                                      for name, pose in (said[0], (parent, T)))
                return (f'two sources of /tf_static contradict each other: frame {child!r} is '
                        f'{places}')
        return None


def same_pose(T: np.ndarray, other: np.ndarray, *, position: float = 1e-3, angle: float = 2e-3
              ) -> bool:
    """Return whether two (4, 4) poses differ by at most `position` [m] and `angle` [rad]."""
    cosine = (np.trace(T[:3, :3].T @ other[:3, :3]) - 1) / 2
    return bool(np.linalg.norm(T[:3, 3] - other[:3, 3]) <= position
                and np.arccos(np.clip(cosine, -1.0, 1.0)) <= angle)


def pose_text(T: np.ndarray) -> str:
    """Return a (4, 4) pose as people read it: position [m], and roll, pitch, yaw [rad]."""
    return 'xyz ' + ' '.join(f'{value:.3f}' for value in T[:3, 3]) \
        + ' rpy ' + ' '.join(f'{value:.3f}' for value in rpy(T[:3, :3]))


def _name(frame: str) -> str:
    """Return a frame name without the leading slash of ROS 1 days."""
    return frame.lstrip('/')


def _path(parents: _Parents, frame: str) -> list[str]:
    """Return `frame` and its ancestors; a loop in the tree ends the path."""
    path = [frame]
    while path[-1] in parents and parents[path[-1]][0] not in path:
        path.append(parents[path[-1]][0])
    return path


def _chain(parents: _Parents, frame: str, ancestor: str) -> np.ndarray:
    """Return T_ancestor_frame, (4, 4) float64."""
    T = np.eye(4)
    while frame != ancestor:
        frame, T_parent_frame, _ = parents[frame]
        T = T_parent_frame @ T
    return T
