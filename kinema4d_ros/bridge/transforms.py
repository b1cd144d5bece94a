# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""geometry_msgs transforms to and from (4, 4) matrices, and the tree that /tf spans."""
from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from typing import NamedTuple, TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from kinema4d_ros.bridge.motion import stamp_ns
from kinema4d_ros.errors import CameraError
from kinema4d_ros.robot.transforms import quaternion, transform_from_quaternion

if TYPE_CHECKING:
    from tf2_msgs.msg import TFMessage     # its package is not needed to read one

#: child frame -> (parent frame, T_parent_child, stamp [ns] or None for a static one)
_Parents = dict[str, tuple[str, np.ndarray, int | None]]


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


class TransformTree:
    """
    The newest transforms of /tf and /tf_static by child frame; safe to use from any thread.

    It keeps no history: enough for a camera that stands still against a link of the robot, which
    is what it is for (how that link moves is known by forward kinematics).
    """

    def __init__(self) -> None:
        """Make a tree without frames."""
        self._lock = threading.Lock()
        self._parents: _Parents = {}

    def update(self, message: TFMessage, *, static: bool) -> None:
        """
        Take in a tf2_msgs/TFMessage.

        :raises CameraError: a transform in it is no pose; the others are kept.
        """
        bad = []
        for transform in message.transforms:
            child, parent = _name(transform.child_frame_id), _name(transform.header.frame_id)
            stamp = None if static else stamp_ns(transform.header.stamp)
            try:
                entry = (parent, matrix(transform.transform), stamp)
            except CameraError as error:
                bad.append(f'{parent} -> {child}: {error}')
                continue
            with self._lock:
                self._parents[child] = entry
        if bad:
            raise CameraError('; '.join(bad))

    def clear(self) -> None:
        """Forget moving transforms, as tf2 does when time jumps back; static ones stay."""
        with self._lock:
            self._parents = {c: e for c, e in self._parents.items() if e[2] is None}

    def ancestor(self, frame: str, names: Collection[str]) -> str | None:
        """Return the nearest frame at or above `frame` that is one of `names`."""
        with self._lock:
            path = _path(self._parents, _name(frame))
        return next((above for above in path if above in names), None)

    def lookup(self, target: str, source: str) -> Lookup:
        """
        Return T_target_source.

        :raises CameraError: a frame is unknown or the two are not connected.
        """
        with self._lock:
            parents = dict(self._parents)
        target, source = _name(target), _name(source)
        up_target, up_source = (_path(parents, frame) for frame in (target, source))
        common = next((frame for frame in up_source if frame in up_target), None)
        if common is None:
            known = sorted(set(parents) | {entry[0] for entry in parents.values()})
            raise CameraError(
                f'no transform from {source!r} to {target!r}: '
                f'known frames are {", ".join(known) or "none (nothing on /tf, /tf_static)"}')
        stamps = [entry[2] for frame, entry in parents.items()
                  if entry[2] is not None and frame != common and (
                      frame in up_target[:up_target.index(common)]
                      or frame in up_source[:up_source.index(common)])]
        T = np.linalg.inv(_chain(parents, target, common)) \
            @ _chain(parents, source, common)
        return Lookup(T, min(stamps, default=None))


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
