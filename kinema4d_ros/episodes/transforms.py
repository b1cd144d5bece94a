# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses in messages and in robot descriptions, as matrices and back."""
from __future__ import annotations

from collections.abc import Collection
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from kinema4d_ros.errors import CameraError, EpisodeError
from kinema4d_ros.robot.transforms import rpy, transform_from_quaternion

_FAR_NS = 200_000_000      # [ns] a pose is not made up farther than this from where it was measured


def matrix_from_message(transform: Any) -> np.ndarray:
    """
    Return a geometry_msgs/Transform as (4, 4) float64; the quaternion is normalised.

    :raises EpisodeError: a number is not finite, or the quaternion is zero.
    """
    t, q = transform.translation, transform.rotation
    try:
        return transform_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
    except CameraError as error:
        raise EpisodeError(str(error)) from error


def with_camera(urdf: str, camera_frame: str, parent: str, T_parent_camera: np.ndarray) -> str:
    """Return the URDF with the camera's optical frame as a link on `parent`."""
    numbers = [' '.join(f'{value:.9g}' for value in row) for row in (
        T_parent_camera[:3, 3], rpy(T_parent_camera[:3, :3]))]
    frame, joint = quoteattr(camera_frame), quoteattr(f'{camera_frame}_joint')
    link = (f'  <link name={frame}/>\n'
            f'  <joint name={joint} type="fixed">\n'
            f'    <parent link={quoteattr(parent)}/>\n    <child link={frame}/>\n'
            f'    <origin xyz="{numbers[0]}" rpy="{numbers[1]}"/>\n  </joint>\n')
    head, end, tail = urdf.rpartition('</robot>')
    if not end:
        raise EpisodeError('the robot description has no closing </robot>')
    return head + link + end + tail


class TransformHistory:
    """Where frames were in their parents over time, as /tf and /tf_static had it."""

    def __init__(self) -> None:
        """Make one that knows nothing yet."""
        #: child -> parent, stamps [ns] and T_parent_child of each; no stamps for a static one
        self._known: dict[str, tuple[str, list[int], list[np.ndarray]]] = {}

    def add(self, message: Any, stamp_ns: int | None) -> None:
        """
        Take the transforms of a tf2_msgs/TFMessage.

        :param stamp_ns: for those whose header has none; None for static ones.
        :raises EpisodeError: one is not a pose.
        """
        for item in message.transforms:
            T = matrix_from_message(item.transform)
            parent, child = item.header.frame_id.lstrip('/'), item.child_frame_id.lstrip('/')
            if stamp_ns is None:
                self._known[child] = parent, [], [T]
                continue
            stamp = item.header.stamp.sec * 10**9 + item.header.stamp.nanosec or stamp_ns
            had = self._known.get(child)
            if had is None or had[0] != parent or not had[1]:
                had = self._known[child] = parent, [], []
            had[1].append(stamp)
            had[2].append(T)

    def ancestors(self, frame: str) -> list[str]:
        """Return the frames above a frame, the nearest first."""
        found: list[str] = []
        while frame in self._known and self._known[frame][0] not in found:
            frame = self._known[frame][0]
            found.append(frame)
        return found

    def up_to(self, links: Collection[str], frame: str, stamp_ns: int) -> tuple[str, np.ndarray]:
        """
        Return the first of the frame's ancestors that is one of `links`, and T_link_frame (4, 4).

        :raises EpisodeError: it has none among them, or one was not measured around that stamp.
        """
        at, T, seen = frame, np.eye(4), set()  # noqa: N806 - a transform
        while at not in links:
            if at not in self._known or at in seen:
                raise EpisodeError(f'where {frame!r} is was not recorded: transforms lead from it '
                                   f'to {at!r}, which is no link of the robot')
            seen.add(at)
            parent, stamps, poses = self._known[at]
            T = (_between(at, stamps, poses, stamp_ns) if stamps else poses[0]) @ T  # noqa: N806
            at = parent
        return at, T


def _between(frame: str, stamps: list[int], poses: list[np.ndarray], stamp_ns: int) -> np.ndarray:
    """
    Return a pose between those that were measured, (4, 4).

    :raises EpisodeError: none was measured around that stamp.
    """
    order = np.argsort(stamps, kind='stable')
    times = np.asarray(stamps, np.int64)[order]
    after = int(np.searchsorted(times, stamp_ns))
    low, high = max(0, after - 1), min(after, len(times) - 1)
    off = max(0, int(times[low]) - stamp_ns, stamp_ns - int(times[high]))
    if off > _FAR_NS:
        raise EpisodeError(f'where {frame!r} is was last told {off * 1e-9:.2f} s from the stamp of '
                           'the image')
    first, last = poses[order[low]], poses[order[high]]
    if times[low] == times[high]:
        return first
    share = float(np.clip((stamp_ns - times[low]) / (times[high] - times[low]), 0.0, 1.0))
    T = np.eye(4)
    T[:3, 3] = (1 - share) * first[:3, 3] + share * last[:3, 3]
    from scipy.spatial.transform import Rotation, Slerp
    turns = Rotation.from_matrix(np.stack([first[:3, :3], last[:3, :3]]))
    T[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    return T
