# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a motion does to the world: what is grasped, carried, let go, swept away."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.types import (EventKind, Finding, FindingCode, plain_point, Severity,
                                WorldEvent)

if TYPE_CHECKING:      # who only reads outcomes needs nothing of what foresees them
    from kinema4d_ros.foresight import MovingBody, Story
    from kinema4d_ros.precheck.tier1.clearance import Clearance
    from kinema4d_ros.scene import Scene, SceneView

_AROUND = 0.01      # [m] scene pixels this close to a contact are what is touched
_FEWEST = 4         # pixels
_AT = 0.02          # [m] two places closer than this are one object


@dataclass(frozen=True, eq=False)
class MovedObject:
    """An object that the robot carries, or a part of a fixture; its middle, base frame."""

    start: np.ndarray       # (3,) float64 [m] where it was seen
    end: np.ndarray         # (3,) float64 [m] where it is when the motion ends
    bottom: float           # [m] height of its lowest point when the motion ends
    grip_doubt: str = ''    # why it may not be held, and stay where it was; '' where it is
    landing_doubt: str = ''  # why it is not known what it comes to rest on; '' where it is
    is_part: bool = False   # a drawer, a door or a knob
    turn: np.ndarray = field(default_factory=lambda: np.zeros(3))   # (3,) [rad] rotation vector


@dataclass(frozen=True, eq=False)
class Outcome:
    """What happens to the world, as far as geometry can foresee it."""

    events: tuple[WorldEvent, ...] = ()
    moved: tuple[MovedObject, ...] = ()
    swept: tuple[Finding, ...] = ()
    doubts: tuple[Finding, ...] = ()    # UNSURE: fingers close on what they may not hold
    is_known: bool = True     # False without depth, or without a gripper whose fingers are known
    #: `moved` under other assumptions, of each run of an ensemble; none where there is none
    members: tuple[tuple[MovedObject, ...], ...] = ()

    @property
    def is_doubtful(self) -> bool:
        """Whether the fingers close where the camera could not see what is between them."""
        return any(event.kind is EventKind.UNSEEN_SPACE for event in self.events)

    @property
    def sentence(self) -> str:
        """What happens, for people; empty when nothing does."""
        said = [event.message for event in self.events] + [f.message for f in self.swept]
        return '; '.join(said)

    def findings(self) -> tuple[Finding, ...]:
        """Return events and doubts as findings, in order of time; only doubts are above INFO."""
        doubted = {doubt.message for doubt in self.doubts}
        found = [event_finding(event) for event in self.events if event.message not in doubted]
        return tuple(sorted((*found, *self.swept, *self.doubts), key=lambda f: f.time or 0.0))


def event_finding(event: WorldEvent) -> Finding:
    """Return a predicted event as a finding that does not change the verdict."""
    point = None if event.point_base is None else plain_point(event.point_base)
    return Finding(FindingCode[event.kind.name], Severity.INFO, event.message, other='scene',
                   point_base=point, time=float(event.time))


def foresee_outcome(story: Story | None, scene: Scene,
                    clearance: Clearance) -> Outcome:
    """Return what the fingers do by the story, and what the robot pushes on its way."""
    from kinema4d_ros.foresight import Hold
    swept = swept_objects(scene, clearance)
    if story is None:
        return Outcome(swept=swept, is_known=False)
    moved = []
    for number, moving in enumerate(story.bodies):
        body, grip = moving.body, story.grips.get(number)
        if grip is not None and grip.hold is Hold.FAILS:
            continue
        doubt = f'the fingers {grip.why}' if grip is not None and grip.hold is Hold.UNKNOWN else ''
        if moving.part is not None:
            moved.append(_moved_part(moving, doubt, story.landings.get(number, '')))
            continue
        lowest = np.array([*body.center[:2], body.bottom])
        moved.append(MovedObject(
            body.center.copy(), moving.center(-1),
            float(body.moved(lowest, moving.T_base_body[-1])[2]), doubt,
            story.landings.get(number, '')))
    events, doubts = _by_grips(story)
    return Outcome(events, tuple(moved), swept, doubts)


def _moved_part(moving: MovingBody, grip_doubt: str, doubt: str) -> MovedObject:
    """Return how far a part of a fixture has moved."""
    from scipy.spatial.transform import Rotation
    assert moving.part is not None
    pose, middle = moving.T_base_body[-1], moving.part.middle
    end = moving.body.moved(middle, pose)
    return MovedObject(middle, end, float(end[2]), grip_doubt, doubt, True,
                       Rotation.from_matrix(pose[:3, :3]).as_rotvec())


def _by_grips(story: Story) -> tuple[tuple[WorldEvent, ...], tuple[Finding, ...]]:
    """Return what happens where fingers do not hold all that they close on, and those doubts."""
    from kinema4d_ros.foresight import Hold
    events: list[WorldEvent] = []
    doubts = [dataclasses.replace(event_finding(event), severity=Severity.UNSURE)
              for event in story.entered]
    for each in story.events:
        event, grip = each.event, None if each.body is None else story.grips.get(each.body)
        if grip is None or grip.hold is Hold.HOLDS:
            events.append(event)
            continue
        fails = grip.hold is Hold.FAILS
        if event.kind is EventKind.GRASP:
            kind = EventKind.CLOSED_ON_NOTHING if fails else EventKind.UNDECIDED
            what = 'do not hold it' if fails else 'may not hold it'
            doubt = WorldEvent(kind, event.time, event.point_base,
                               f'{event.message}; they {grip.why}, and {what}')
            events.append(doubt)
            doubts.append(dataclasses.replace(event_finding(doubt), severity=Severity.UNSURE))
        if not fails:
            events.append(event)
    return tuple(events), tuple(doubts)


def swept_objects(scene: Scene, clearance: Clearance, largest: float = 0.25
                  ) -> tuple[Finding, ...]:
    """
    Return the objects that links are pushed into, one finding each.

    :param largest: [m] longest horizontal extent of what can be pushed; more is surroundings.
    """
    hits = []
    for name in clearance.link_names:
        track = clearance.track(name)
        with np.errstate(invalid='ignore'):
            deep = track.distance + track.sigma <= 0
        if deep.any():
            frame = int(deep.argmax())
            hits.append((float(track.times[frame]), name, track.point_base[frame]))
    if not hits:
        return ()
    pictures = [_points_of(view) for view in scene.measuring]
    found: list[Finding] = []
    for time, name, place in sorted(hits, key=lambda hit: hit[0]):
        center = next((each for each in (_object_at(place, points, largest)
                                         for points in pictures) if each is not None), None)
        if center is None or _is_known(center, found):
            continue
        found.append(Finding(
            FindingCode.SWEPT, Severity.INFO,
            "'{}' pushes an object at ({:.2f}, {:.2f}, {:.2f}) m at {:.1f} s".format(
                name, *center, time), link=name, other='object',
            point_base=plain_point(center), time=time))
    return tuple(found)


def _points_of(view: SceneView) -> np.ndarray:
    """Return the measured point of each pixel of a view, (H, W, 3) float32 [m] base, NaN."""
    from kinema4d_ros.camera import pointmap_from_depth
    points = pointmap_from_depth(view.measured_depth, view.seen.camera)
    T = view.seen.T_base_camera
    moved: np.ndarray = (points @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
    return moved


def _object_at(place: np.ndarray, points: np.ndarray, largest: float) -> np.ndarray | None:
    """Return the middle (3,) [m] of the object that a place is on, as one view sees it; or None."""
    from kinema4d_ros.scene.segment import find_object
    with np.errstate(invalid='ignore'):
        touched = np.linalg.norm(points - place, axis=-1) <= _AROUND
    if touched.sum() < _FEWEST:
        return None
    segment = find_object(points, touched, largest)
    if segment is None or not segment.mask[touched].any():
        return None
    center: np.ndarray = points[segment.mask].mean(0)
    return center


def _is_known(center: np.ndarray, found: Sequence[Finding]) -> bool:
    return any(np.linalg.norm(center - f.point_base) < _AT for f in found)
