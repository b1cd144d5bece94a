# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the fingers do to the world: grasp, carry, release, rest; geometry only, no pictures."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kinema4d_ros.camera.drawn_rollout import seen_from
from kinema4d_ros.camera.points import inside_box
from kinema4d_ros.errors import ObservationError
from kinema4d_ros.foresight.attached import body_of
from kinema4d_ros.foresight.body import Body
from kinema4d_ros.foresight.body_points import seen_by_others
from kinema4d_ros.foresight.fingers import can_grasp, Fingers, GapMotion
from kinema4d_ros.foresight.grasp_settings import GraspSettings
from kinema4d_ros.foresight.graspability import Graspability, Hold, judge_grip
from kinema4d_ros.foresight.landings import why_landing_unknown, why_wedged
from kinema4d_ros.foresight.part_moves import enters, PartMove, PartMover
from kinema4d_ros.foresight.parts import FixturePart
from kinema4d_ros.foresight.told import (Backdrop, MovingBody, StoryEvent, Target, Told,
                                         uncovered)
from kinema4d_ros.scene import Scene
from kinema4d_ros.scene.segment import find_graspable, find_object, Segment
from kinema4d_ros.scene.support import HeightMap
from kinema4d_ros.scene.view import SceneView
from kinema4d_ros.types import EventKind, HeldObject, RobotRollout, WorldEvent

_GRAVITY = 9.81
_FREE = 0.002       # [m] the fingers let go when they are this much wider than when they closed
_LOOKS = 9          # frames in which what is between the fingers is looked for, at most
_HIDDEN = 0.01      # [m] a place this far behind what the camera saw was not seen


class Story(Told):
    """
    What happens to the scene during one rollout, foreseen from one view of it.

    Gravity acts along -z of the base frame (REP-103: z up). Attributes:

    * ``events``: list of StoryEvent in order of time.
    * ``bodies``: list of MovingBody, the objects that are moved; first those that are held.
    * ``targets``: list of Target, what stands between fingers that hold nothing and do not close.
    * ``backdrops``: list of Backdrop, what they are moved in front of, at least one.
    * ``grips``: number of a body -> the Graspability by which it was grasped last.
    * ``landings``: number of a body -> why it is not known where it comes to rest.
    * ``entered``: those of the events where the hand goes into what nobody saw the inside of.
    """

    def __init__(self, scene: SceneView, robot: RobotRollout,
                 settings: GraspSettings = GraspSettings(), *, pictures: bool = True,
                 suppose_held: bool = False, parts: Sequence[FixturePart] = (),
                 whole: Scene | None = None):
        """
        Make the story of one rollout.

        Where `can_grasp` says that its fingers are not known, nothing is grasped or let go; what
        is held from the beginning moves with its link all the same.

        :param pictures: whether bodies and backdrops are to be drawn; otherwise bodies are black,
            and the images of `backdrops` None.
        :param suppose_held: whether what the fingers close on follows them though it will not be
            held, as for who asks what that would touch; otherwise it stays.
        :param parts: of fixtures, that the hand takes along where it grasps or pushes them.
        :param whole: of several cameras: what the others see of a thing tells how it is grasped.
        """
        self._whole = whole if whole is not None and len(whole.measuring) > 1 else None
        self._suppose_held = suppose_held
        self.grips: dict[int, Graspability] = {}
        self.landings: dict[int, str] = {}
        self.entered: list[WorldEvent] = []
        self._scene, self._robot, self._settings = scene, robot, settings
        self._camera = robot.camera
        self._T_base_camera = scene.seen.T_base_camera
        self._without: np.ndarray | None = None      # its points without what has been moved
        self.events: list[StoryEvent] = []
        self.bodies: list[MovingBody] = []
        self.targets: list[Target] = []
        self.backdrops = [Backdrop(0, scene.image if pictures else None, scene.depth)]
        in_fingers = self._begin(robot.held)
        if not can_grasp(robot):
            return
        self._fingers = Fingers(robot)
        self._mover = PartMover(robot, self._fingers,
                                self._points if parts else np.empty((0, 0, 3), np.float32),
                                parts, settings.least_contact_points)
        gap = float(self._fingers.gap[0])
        # Numbers of the bodies, and the gap at the grasp.
        held = (in_fingers, gap) if in_fingers else None
        motions = self._fingers.motions()
        if held is None and not any(motion.closing for motion in motions):
            self._find_target()
        for motion in motions:
            if motion.closing and held is None:
                held = self._close(motion)
            elif not motion.closing and held is not None:
                frames = np.arange(motion.first, motion.last + 1)
                free = self._fingers.gap[frames] > held[1] + _FREE
                if free.any():
                    for number in held[0]:
                        self._release(number, int(frames[free.argmax()]))
                    held = None
        if parts:
            for move in self._mover.pushes():
                self._move_part(move)
            self._enter_parts()
            self._refuse_parts()

    def closes_on(self, scene: Scene) -> bool:
        """Return whether points of a scene make a grasp when the fingers close."""
        closing = [each for each in self._fingers.motions() if each.closing]
        if not closing:
            return False
        points = scene.near(np.array([self._fingers.around(each) for each in closing])).points
        return any(int(self._fingers.closed_on(points.points_base, each).sum())
                   >= self._settings.least_contact_points for each in closing)

    def openings(self) -> list[tuple[int, np.ndarray]]:
        """Return in which frames fingers begin to open, and the gap [m] until they have."""
        motions = self._fingers.motions() if can_grasp(self._robot) else []
        return [(each.first, self._fingers.gap[each.first:each.last + 1])
                for each in motions if not each.closing]

    @property
    def _points(self) -> np.ndarray:
        """What the picture shows and has not been moved, (H, W, 3) float32 [m]; made when used."""
        return self._scene.points_base if self._without is None else self._without

    @property
    def T_base_palm(self) -> np.ndarray:  # noqa: N802
        """Pose of the palm in each frame, (T, 4, 4)."""
        return self._fingers.T_base_palm

    def _begin(self, held: Sequence[HeldObject]) -> tuple[int, ...]:
        """Let what links hold from the beginning follow them; return what the fingers hold."""
        in_fingers = []
        for number, each in enumerate(held):
            T_base_link = self._robot.T_base_link[:, self._robot.link_names.index(each.link)]
            poses = T_base_link @ np.linalg.inv(T_base_link[0])
            self.bodies.append(MovingBody(body_of(each, T_base_link[0]), 0, poses, each))
            if each.in_fingers:
                in_fingers.append(number)
        return tuple(in_fingers)

    def _find_target(self) -> None:
        """Find what stands between fingers that do not close in this motion."""
        fingers, frames = self._fingers, np.unique(
            np.linspace(0, len(self._robot.times) - 1, _LOOKS).round().astype(int))
        widest = float(fingers.gap[frames].max())
        reach = np.concatenate([fingers.samples(frame, widest, 2) for frame in frames])
        margin = np.ptp(fingers.samples(0, widest, 2), axis=0).max()
        points = self._points.reshape(-1, 3)
        near = inside_box(points, reach.min(0) - margin, reach.max(0) + margin)
        between = np.array([fingers.between(points[near], frame) for frame in frames])
        enough = between.sum(1) >= self._settings.least_contact_points
        if not enough.any():
            return
        touched = np.zeros(self._points.shape[:-1], bool)
        touched.reshape(-1)[near[between.any(0)]] = True
        segment = find_object(self._points, touched, self._settings.largest_object)
        if segment is not None and (segment.mask & touched).any():
            self.targets.append(Target(segment.mask, self._seen_body(segment), frames[enough]))

    def _seen_body(self, segment: Segment) -> Body:
        return Body.seen(self.backdrops[0].image, self._scene.depth, segment.mask, self._camera,
                         self._T_base_camera, segment.support_height)

    def _close(self, motion: GapMotion) -> tuple[tuple[int, ...], float] | None:
        """Find what the fingers close on, and let it follow the hand."""
        move = self._mover.grasp(motion, self._points) if self._mover.poses else None
        if move is not None:
            return (self._move_part(move),), move.until_gap
        for number, moving in enumerate(self.bodies):
            now = moving.vertices(motion.first)
            touched = self._fingers.closed_on(now, motion)
            if touched.sum() >= self._settings.least_contact_points:
                grip = judge_grip(self._fingers, motion, now, now)
                if self._is_lost(grip, motion):
                    return None
                self.grips[number] = grip
                return self._grasp(number, motion, now[touched])
        touched = self._touched(motion)
        segment = None
        if np.count_nonzero(touched) >= self._settings.least_contact_points:
            segment = find_graspable(self._points, touched, self._settings.largest_object)
        if segment is None:
            self._closed_on_nothing(motion)
            return None
        touched &= segment.mask
        body = self._seen_body(segment)
        seen, behind = self._points[segment.mask], body.vertices
        if self._whole is not None:
            more = seen_by_others(self._whole, self._whole.views.index(self._scene), body)
            seen, behind = np.concatenate([seen, more]), np.concatenate([behind, more])
        grip = judge_grip(self._fingers, motion, seen, behind)
        if self._is_lost(grip, motion):
            return None
        self.grips[len(self.bodies)] = grip
        poses = np.repeat(np.eye(4)[None], len(self._robot.times), axis=0)
        self.bodies.append(MovingBody(body, motion.first, poses))
        held = self._grasp(len(self.bodies) - 1, motion, self._points[touched])
        self._uncover(body, segment.mask, motion.first)
        self._without = self._points.copy()      # the scene keeps its own
        self._without[segment.mask] = np.nan
        return held

    def _touched(self, motion: GapMotion) -> np.ndarray:
        """Return which pixels show what is between the fingers as they close, (H, W) bool."""
        if self._without is not None:
            return self._fingers.closed_on(self._without, motion)
        around = self._fingers.around(motion)
        window, points = self._scene.points_around(around)
        touched = np.zeros(self._scene.depth.shape, bool)
        touched[window] = self._fingers.closed_on(points, motion, around)
        return touched

    def _move_part(self, move: PartMove) -> int:
        """Let a part of a fixture, and what was put into it, go where the hand takes it."""
        number = next((number for number, moving in enumerate(self.bodies)
                       if moving.part == move.part), None)
        if number is None:
            number, mask = len(self.bodies), move.part.mask(self._scene.points_base)
            body = Body.seen(self.backdrops[0].image, self._scene.depth, mask, self._camera,
                             self._T_base_camera, None)
            still = np.repeat(np.eye(4)[None], len(self._robot.times), axis=0)
            self.bodies.append(MovingBody(body, move.gone, still, part=move.part))
            self._uncover(body, mask, move.gone)
            self._without = self._points.copy()      # the scene keeps its own
            self._without[mask] = np.nan
        if move.doubt:
            self.landings[number] = move.doubt
        moving = self.bodies[number]
        first, before = move.first, moving.T_base_body[move.first].copy()
        for other in self.bodies:
            lies_in = other.let_go is not None and other.let_go <= first \
                and move.part.holds(other.center(first), before)
            if other is moving or lies_in:
                other.T_base_body[first:] = move.poses @ other.T_base_body[first]
        self._add_event(move.kind, first, move.contact, move.message(before), number)
        return number

    def _enter_parts(self) -> None:
        """Note where hand or load go into what slid out, and whose inside nobody saw."""
        things = [moving for moving in self.bodies if moving.part is None]
        for number, moving in enumerate(self.bodies):
            if moving.part is None or moving.part.is_seen_into(self._scene):
                continue
            frame = enters(moving, self._fingers.middles_base, things)
            if frame is None:
                continue
            place = self._fingers.middle_base(frame)
            self._add_event(EventKind.UNSEEN_SPACE, frame, place, 'the hand reaches into what it '
                            f'has opened at {_place(place)}, whose inside nobody saw,', number)
            self.entered.append(self.events[-1].event)
            self.landings.update({
                other: 'nobody saw the inside of what it is put into'
                for other, thing in enumerate(self.bodies) if thing.part is None
                and moving.part.holds(thing.center(-1), moving.T_base_body[-1])})

    def _refuse_parts(self) -> None:
        """Note which boxes are too large to be around a part of a fixture."""
        for part in self._mover.too_large:
            self._add_event(EventKind.UNDECIDED, 0, part.middle, 'more than a third of all that '
                            f'is seen is in the box of a part around {_place(part.middle)}, which '
                            'is taken to stay,')
            self.entered.append(self.events[-1].event)

    def _is_lost(self, grip: Graspability, motion: GapMotion) -> bool:
        """Return whether what the fingers close on stays, and tell it."""
        if self._suppose_held or grip.hold is not Hold.FAILS:
            return False
        middle = self._fingers.middle_base(motion.last)
        self._add_event(EventKind.CLOSED_ON_NOTHING, motion.last, middle,
                        f'fingers {grip.why} at {_place(middle)}, and do not hold it')
        return True

    def _grasp(self, number: int, motion: GapMotion, contact: np.ndarray
               ) -> tuple[tuple[int, ...], float]:
        """Let body `number` follow the hand from when the fingers have reached the contact."""
        fingers = self._fingers
        moving = self.bodies[number]
        poses = moving.T_base_body
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
        center = moving.center(frame)
        self._add_event(EventKind.GRASP, frame, center,
                        f'fingers close on an object at {_place(center)}', number)
        return (number,), float(np.ptp(along))

    def _closed_on_nothing(self, motion: GapMotion) -> None:
        """Report that nothing was between the fingers, or that the camera could not see it."""
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
            self._add_event(EventKind.UNSEEN_SPACE, last, middle,
                            f'fingers close at {_place(middle)}, where the camera could not see '
                            f'whether something is')
        else:
            self._add_event(EventKind.CLOSED_ON_NOTHING, last, middle,
                            f'fingers close on nothing at {_place(middle)}')

    def _uncover(self, body: Body, mask: np.ndarray, frame: int) -> None:
        """Add the backdrop without the body from `frame` on."""
        self.backdrops.append(uncovered(self.backdrops[-1], body, mask, frame, self._points))

    def _release(self, number: int, frame: int) -> None:
        """Let body `number` fall from its pose at `frame` to what is below it."""
        moving = self.bodies[number]
        if moving.part is not None:
            return
        times, poses = self._robot.times, moving.T_base_body
        start = poses[frame].copy()
        center = moving.center(frame)
        self._add_event(EventKind.RELEASE, frame, center,
                        f'an object is let go at {_place(center)}', number)
        footprint = moving.body.footprint(start)
        others = [other.vertices(frame)
                  for index, other in enumerate(self.bodies) if index != number]
        ground = HeightMap(np.concatenate([self._points.reshape(-1, 3), *others]),
                           footprint[:, :2].mean(0), reach=0.25)
        drop = float(footprint[:, 2].min()) - ground.rest_height(footprint[:, :2])
        doubt = why_landing_unknown(drop, ground.seen_share(footprint[:, :2]))
        drop = max(drop, 0.0) if np.isfinite(drop) else 0.0
        fallen = np.minimum(0.5 * _GRAVITY * (times[frame:] - times[frame]) ** 2, drop)
        poses[frame:] = start
        poses[frame:, 2, 3] -= fallen
        self.bodies[number] = dataclasses.replace(moving, let_go=frame)
        self.landings.pop(number, None)
        if doubt := doubt or why_wedged(self.bodies[number], [
                other for other in self.bodies if other is not self.bodies[number]], frame):
            self.landings[number] = doubt
        resting = np.nonzero(fallen >= drop - 1e-9)[0]
        if len(resting):
            rest = frame + int(resting[0])
            center = moving.center(rest)
            self._add_event(EventKind.REST, rest, center,
                            f'the object falls {100 * drop:.0f} cm and comes to rest at '
                            f'{_place(center)}', number)

    def _add_event(self, kind: EventKind, frame: int, point: np.ndarray, what: str,
                   body: int | None = None) -> None:
        """Add an event."""
        time = float(self._robot.times[frame])
        self.events.append(StoryEvent(frame, WorldEvent(
            kind, time, np.array(point, np.float64), f'{what} at {time:.1f} s'), body))


def best_story(scene: Scene, robot: RobotRollout, settings: GraspSettings = GraspSettings(), *,
               pictures: bool = False, suppose_held: bool = False,
               parts: Sequence[FixturePart] = ()) -> Story:
    """
    Return the story as it is foreseen from the view that tells most of it.

    That is the first one. Where it does not see between fingers that close, or sees nothing there
    and another measures something, it is the first of the others that sees between them.

    :param scene: with one view or more that measures depth.
    """
    best, most, views = None, -1, scene.measuring
    for view in views:
        story = Story(view, seen_from(
            robot, camera=view.seen.camera, others=(), T_base_camera=np.repeat(
                view.seen.T_base_camera[None], len(robot.times), axis=0)), settings,
            pictures=pictures, suppose_held=suppose_held, parts=parts, whole=scene)
        story.source = scene.views.index(view)
        kinds = {each.event.kind for each in story.events}
        tells = 0 if EventKind.UNSEEN_SPACE in kinds else \
            1 if EventKind.CLOSED_ON_NOTHING in kinds else 2
        if tells > most:
            best, most = story, tells
        if tells == 2 or view is views[-1] or (tells == 1 and not story.closes_on(scene)):
            break
    if best is None:
        raise ObservationError('no view of the scene has depth, so nothing can be foreseen')
    return best


def _place(point: np.ndarray) -> str:
    """Return a point as people read it."""
    return '({:.2f}, {:.2f}, {:.2f}) m'.format(*point)
