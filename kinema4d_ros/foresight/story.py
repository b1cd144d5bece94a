# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the fingers do to the world: grasp, carry, release, rest; geometry only, no pictures."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema4d_ros.camera.compose import inside_box
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.fingers import Fingers, GapMotion
from kinema4d_ros.scene.segment import find_object
from kinema4d_ros.scene.still import grow, in_paint, StillScene
from kinema4d_ros.scene.support import HeightMap
from kinema4d_ros.types import EventKind, RobotRollout, WorldEvent

_GRAVITY = 9.81
_FREE = 0.002       # [m] the fingers let go when they are this much wider than when they closed
_HIDDEN = 0.01      # [m] a place this far behind what the camera saw was not seen


class Story:
    """
    What happens to the scene during one rollout, foreseen from one observation.

    Gravity acts along -z of the base frame (REP-103: z up). Attributes:

    * ``events``: (frame, event) in order of time.
    * ``bodies``: (body, first frame at which it is drawn apart, poses (T, 4, 4)) per moved object;
      before that frame it is part of the background.
    * ``backgrounds``: (first frame, image, depth), the scene without robot and moved objects.
    """

    def __init__(self, scene: StillScene, robot: RobotRollout, setting: Mapping[str, Any], *,
                 pictures: bool = True):
        """
        Foresee.

        :param setting: that of the kinematic model.
        :param pictures: whether bodies and backgrounds are to be drawn; otherwise bodies are
            black, and the images of `backgrounds` None.
        """
        self._scene, self._robot, self._setting = scene, robot, setting
        self._camera = robot.camera
        self._T_base_camera = scene.observation.view.T_base_camera
        self._fingers = Fingers(robot)
        self._points = scene.points_base
        self.events: list[tuple[int, WorldEvent]] = []
        self.bodies: list[tuple[Body, int, np.ndarray]] = []
        self.backgrounds = [(0, scene.image if pictures else None, scene.depth)]
        held: tuple[int, float] | None = None            # (number of the body, gap at the grasp)
        for motion in self._fingers.motions():
            if motion.closing and held is None:
                held = self._close(motion)
            elif not motion.closing and held is not None:
                frames = np.arange(motion.first, motion.last + 1)
                free = self._fingers.gap[frames] > held[1] + _FREE
                if free.any():
                    self._release(held[0], int(frames[free.argmax()]))
                    held = None

    def carried_point(self, frame: int) -> np.ndarray | None:
        """
        Return the centre (3,) [m] base of the object that moved last, or None if none ever moves.

        Before anything has moved it is that of the object that will move first, where it stands.
        """
        begun = [entry for entry in self.bodies if entry[1] <= frame] or self.bodies[:1]
        if not begun:
            return None
        body, _, poses = begun[-1]
        return body.moved(body.center, poses[frame])

    def _close(self, motion: GapMotion) -> tuple[int, float] | None:
        """Tell what the fingers close on, and let it follow the hand."""
        for number, (body, _, poses) in enumerate(self.bodies):
            at = poses[motion.first]
            now = body.vertices @ at[:3, :3].T + at[:3, 3]
            touched = self._touched(now, motion)
            if touched.sum() >= self._setting['least_contact_points']:
                return self._grasp(number, motion, now[touched])
        touched = self._touched(self._points, motion)
        segment = None
        if touched.sum() >= self._setting['least_contact_points']:
            segment = find_object(self._points, touched, self._setting['largest_object'])
        if segment is None:
            self._closed_on_nothing(motion)
            return None
        touched &= segment.mask
        body = Body(self.backgrounds[0][1], self._scene.depth, segment.mask, self._camera,
                    self._T_base_camera, segment.support_height)
        poses = np.repeat(np.eye(4)[None], len(self._robot.times), axis=0)
        self.bodies.append((body, motion.first, poses))
        held = self._grasp(len(self.bodies) - 1, motion, self._points[touched])
        self._uncover(body, segment.mask, motion.first)
        self._points = self._points.copy()      # the scene keeps its own
        self._points[segment.mask] = np.nan
        return held

    def _touched(self, points: np.ndarray, motion: GapMotion) -> np.ndarray:
        """Tell which points (..., 3) are between the fingers at any time of their closing."""
        fingers, frames = self._fingers, range(motion.first, motion.last + 1)
        widest = float(fingers.gap[motion.first])
        reach = np.concatenate([fingers.samples(frame, widest) for frame in frames])
        margin = 0.2 * np.ptp(reach, axis=0).max() + 0.01     # samples stop short of the ends
        near = inside_box(points.reshape(-1, 3), reach.min(0) - margin, reach.max(0) + margin)
        close = points.reshape(-1, 3)[near]
        found = np.zeros(len(close), bool)
        for frame in frames:
            found |= fingers.between(close, frame, margin=0.003)
        touched = np.zeros(points.shape[:-1], bool)
        touched.reshape(-1)[near[found]] = True
        return touched

    def _grasp(self, number: int, motion: GapMotion, contact: np.ndarray) -> tuple[int, float]:
        """Let body `number` follow the hand from when the fingers have reached the contact."""
        fingers = self._fingers
        body, first, poses = self.bodies[number]
        axis = fingers.axis_base(motion.first)
        along = contact @ axis
        gap = fingers.gap[motion.first:motion.last + 1]
        reached = gap <= np.ptp(along)
        frame = motion.first + int(reached.argmax() if reached.any() else len(gap) - 1)
        # Fingers push what they close on to the middle between them.
        shift = fingers.middle_base(frame) @ axis - 0.5 * (along.min() + along.max())
        start = poses[frame].copy()
        start[:3, 3] += shift * axis
        follow = fingers.T_base_palm[frame:] @ np.linalg.inv(fingers.T_base_palm[frame])
        poses[frame:] = follow @ start
        center = body.moved(body.center, poses[frame])
        self._tell(EventKind.GRASP, frame, center,
                   f'fingers close on an object at {_place(center)}')
        return number, float(np.ptp(along))

    def _closed_on_nothing(self, motion: GapMotion) -> None:
        """Tell that nothing was between the fingers, or that the camera could not see it."""
        fingers, last = self._fingers, motion.last
        samples = fingers.samples(motion.first, float(fingers.gap[motion.first]))
        T = np.linalg.inv(self._T_base_camera)
        local = samples @ T[:3, :3].T + T[:3, 3]
        camera = self._camera
        u = np.round(local[:, 0] / local[:, 2] * camera.fx + camera.cx).astype(int)
        v = np.round(local[:, 1] / local[:, 2] * camera.fy + camera.cy).astype(int)
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height) & (local[:, 2] > 0)
        depth = self._scene.depth[v[inside], u[inside]]
        seen = int((depth >= local[inside, 2] - _HIDDEN).sum())
        middle = fingers.middle_base(last)
        if seen < 0.5 * len(samples):
            self._tell(EventKind.UNSEEN_SPACE, last, middle,
                       f'fingers close at {_place(middle)}, where the camera could not see '
                       f'whether something is')
        else:
            self._tell(EventKind.CLOSED_ON_NOTHING, last, middle,
                       f'fingers close on nothing at {_place(middle)}')

    def _uncover(self, body: Body, mask: np.ndarray, frame: int) -> None:
        """Add the background without the body from `frame` on."""
        _, image, depth = self.backgrounds[-1]
        depth = depth.copy()
        hole = grow(mask, 1)         # edge pixels show a mixture of the object and what is behind
        if image is not None:
            # What appears is the ground or farther away than the body, not what stands before it.
            before = (self._points[..., 2] > body.bottom + _HIDDEN) \
                & (depth < np.nanmedian(depth[mask]))
            image = in_paint(image, hole, ~before)
        depth[hole] = np.nan
        self.backgrounds.append((frame, image, depth))

    def _release(self, number: int, frame: int) -> None:
        """Let body `number` fall from its pose at `frame` to what is below it."""
        body, _, poses = self.bodies[number]
        times = self._robot.times
        start = poses[frame].copy()
        center = body.moved(body.center, start)
        self._tell(EventKind.RELEASE, frame, center, f'an object is let go at {_place(center)}')
        footprint = body.footprint(start)
        others = [other.moved(other.vertices, track[frame])
                  for index, (other, _, track) in enumerate(self.bodies) if index != number]
        ground = HeightMap(np.concatenate([self._points.reshape(-1, 3), *others]),
                           footprint[:, :2].mean(0), reach=0.25)
        drop = float(footprint[:, 2].min()) - ground.rest_height(footprint[:, :2])
        drop = max(drop, 0.0) if np.isfinite(drop) else 0.0
        fallen = np.minimum(0.5 * _GRAVITY * (times[frame:] - times[frame]) ** 2, drop)
        poses[frame:] = start
        poses[frame:, 2, 3] -= fallen
        resting = np.nonzero(fallen >= drop - 1e-9)[0]
        if len(resting):
            rest = frame + int(resting[0])
            center = body.moved(body.center, poses[rest])
            self._tell(EventKind.REST, rest, center,
                       f'the object falls {100 * drop:.0f} cm and comes to rest at '
                       f'{_place(center)}')

    def _tell(self, kind: EventKind, frame: int, point: np.ndarray, what: str) -> None:
        """Add an event."""
        time = float(self._robot.times[frame])
        self.events.append((frame, WorldEvent(kind, time, np.array(point, np.float64),
                                              f'{what} at {time:.1f} s')))


def _place(point: np.ndarray) -> str:
    """Return a point as people read it."""
    return '({:.2f}, {:.2f}, {:.2f}) m'.format(*point)
