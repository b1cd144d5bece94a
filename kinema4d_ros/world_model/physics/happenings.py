# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to things in a simulation, in words: pushed, toppled, carried, dropped, ..."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.types import EventKind, RobotRollout, WorldEvent
from kinema4d_ros.world_model.physics.simulation import NOBODY, rotations, Run
from kinema4d_ros.world_model.physics.world import RigidWorld

MOVED = 0.01                     # [m] what moves less stays
TOPPLED = np.deg2rad(45.0)       # what tilts by more has tipped over
LIFTED_OFF = 0.003               # [m] what a thing was lifted off or out of moves with it
_BEGINS = 0.003                  # [m] what moved this far is moving
_DROP = 0.02                     # [m] what falls this far is dropped, or falls off
_REST = 0.002                    # [m] from where it ends a thing is at rest
_SLIP, _SLIP_TURN = 0.01, np.deg2rad(15.0)      # by which a thing shifts between the fingers
_JAM = 40.0                      # [N] on a thing that the robot pushes or holds against something
_JAM_RECORDS = 3                 # in a row
_CLOSING = 10                    # records before a grasp in which the fingers move the thing
_CORNERS = 60                    # of a body, by which its lowest point is found


@dataclass(frozen=True, eq=False)
class Happening:
    """One event of one thing, by its number in the world."""

    event: WorldEvent
    thing: int


@dataclass(frozen=True)
class _Span:
    """Records `first` to `last` (inclusive) in which a thing is held, or is not."""

    first: int
    last: int
    is_held: bool


def happenings(world: RigidWorld, robot: RobotRollout, run: Run) -> list[Happening]:
    """Return what happens in a run, in order of time."""
    found = [each for number in range(len(world.things))
             for each in _of_thing(number, world, robot, run)]
    return sorted(found, key=lambda each: each.event.time)


def tilts(turns: np.ndarray) -> np.ndarray:
    """Return by how much quaternions w x y z (N, 4) tilt what was upright, (N,) [rad]."""
    upright = 1.0 - 2.0 * (turns[:, 1] ** 2 + turns[:, 2] ** 2)
    tilt: np.ndarray = np.arccos(np.clip(upright, -1.0, 1.0))
    return tilt


def _of_thing(number: int, world: RigidWorld, robot: RobotRollout, run: Run) -> Iterator[Happening]:
    places = run.places[:, number]
    if np.linalg.norm(places - places[0], axis=1).max() < _BEGINS \
            and tilts(run.turns[:, number]).max() < np.deg2rad(3.0) \
            and not run.held[:, number].any():
        return
    thing = world.things[number]
    attached = thing.held is not None and not thing.held.in_fingers
    spans = _spans(run.held[:, number])
    for index, span in enumerate(spans):
        if attached:
            continue
        if span.is_held:
            yield from _held(number, span, run, robot, is_last=index == len(spans) - 1)
        else:
            after = index > 0
            yield from _free(number, span, world, robot, run, after_hold=after)
    yield from _jams(number, run, attached)
    if not attached and not run.held[-1, number]:
        yield from _rest(number, run)


def _held(number: int, span: _Span, run: Run, robot: RobotRollout, *,
          is_last: bool) -> Iterator[Happening]:
    at = run.places[span.first, number]
    if span.first > 0:
        if run.slipped[span.first - 1, number]:
            yield from _slip(number, span, run)
        else:
            yield _happening(EventKind.GRASP, run, span.first, number,
                             f'fingers close on an object at {_place(at)}')
    if is_last:
        return
    end = span.last + 1
    at = run.places[end, number]
    if run.slipped[end, number]:
        again = run.held[end:, number]
        if not again.any():
            yield _happening(EventKind.SLIPPED_OUT, run, end, number,
                             f'an object slips out of the fingers at {_place(at)}')
    else:
        yield _happening(EventKind.RELEASE, run, end, number,
                         f'an object is let go at {_place(at)}')


def _slip(number: int, span: _Span, run: Run) -> Iterator[Happening]:
    """Tell of a thing that was lost and gripped again, if it has shifted meanwhile."""
    lost = span.first - 1
    while lost > 0 and not run.held[lost, number]:
        lost -= 1
    moved = float(np.linalg.norm(run.places[span.first, number] - run.places[lost, number]))
    turned = _angle_between(run.turns[lost, number], run.turns[span.first, number])
    if moved > _SLIP or turned > _SLIP_TURN:
        yield _happening(
            EventKind.SLIPPED, run, span.first, number,
            f'an object shifts between the fingers by {100 * moved:.0f} cm and '
            f'{np.rad2deg(turned):.0f} deg at {_place(run.places[span.first, number])}', moved)


def _free(number: int, span: _Span, world: RigidWorld, robot: RobotRollout, run: Run, *,
          after_hold: bool) -> Iterator[Happening]:
    records = slice(span.first, span.last + 1)
    places, turns = run.places[records, number], run.turns[records, number]
    way = places - places[0]
    along = np.linalg.norm(way[:, :2], axis=1)
    begins = span.first + int((np.linalg.norm(way, axis=1) > _BEGINS).argmax())
    lowest = _lowest(world, number, run, records)
    fallen = float(lowest[0] - lowest.min())
    if fallen > _DROP:
        when = span.first + int((lowest < lowest[0] - _DROP).argmax())
        kind, said = (EventKind.DROPPED, 'an object falls') if after_hold \
            else (EventKind.FELL_OFF, 'an object falls off what it stood on,')
        yield _happening(kind, run, when, number,
                         f'{said} {100 * fallen:.0f} cm at {_place(run.places[when, number])}',
                         fallen)
    first = rotations(turns[:1])[0]
    tilt = np.arccos(np.clip((rotations(turns) @ first.T)[:, 2, 2], -1.0, 1.0))
    if tilt.max() > TOPPLED:
        when = span.first + int((tilt > TOPPLED).argmax())
        yield _happening(EventKind.TOPPLED, run, when, number,
                         f'an object tips over at {_place(run.places[when, number])}',
                         float(along[-1]))
    most = float(np.linalg.norm(way, axis=1).max())
    if not after_hold and along[-1] <= MOVED and most > LIFTED_OFF and _carried(number, run):
        yield _happening(
            EventKind.DRAGGED, run, begins, number,
            f'an object at {_place(world.things[number].body.center)} is taken along '
            f'{1000 * most:.0f} mm as what stands on it, or leans on it, is lifted off', most)
    if along[-1] <= MOVED or after_hold:
        return
    moving = _while_moving(places)
    pushers = run.touched[records, number][moving]
    pushers = pushers[pushers != NOBODY]
    start = world.things[number].body.center
    if len(pushers):
        link = robot.link_names[int(np.bincount(pushers).argmax())]
        yield _happening(
            EventKind.PUSHED, run, begins, number,
            f"'{link}' pushes an object at {_place(start)} {100 * along[-1]:.0f} cm",
            float(along[-1]))
    elif run.neighbours[records, number][moving].any():
        yield _happening(
            EventKind.DRAGGED, run, begins, number,
            f'an object at {_place(start)} is taken along by another one '
            f'{100 * along[-1]:.0f} cm', float(along[-1]))


def _carried(number: int, run: Run) -> bool:
    """Return whether a thing touches another one as fingers close on that."""
    for other in np.flatnonzero(run.held.any(axis=0)):
        first = int(run.held[:, other].argmax())
        if first and run.neighbours[max(first - _CLOSING, 0):first + 1, number, other].any():
            return True
    return False


def _jams(number: int, run: Run, attached: bool) -> Iterator[Happening]:
    between = run.held[:, number] | (run.touched[:, number] != NOBODY) | attached
    hard = between & (run.pressed[:, number] > _JAM)
    count = 0
    for record, is_hard in enumerate(hard):
        count = count + 1 if is_hard else 0
        if count == _JAM_RECORDS:
            at = run.places[record, number]
            yield _happening(
                EventKind.JAMMED, run, record, number,
                f'an object is pressed between robot and surroundings at {_place(at)} with '
                f'{run.pressed[record, number]:.0f} N')
            return


def _rest(number: int, run: Run) -> Iterator[Happening]:
    """Tell when a thing that moved comes to rest."""
    places = run.places[:, number]
    if np.linalg.norm(places - places[0], axis=1).max() < MOVED:
        return
    away = np.linalg.norm(places - places[-1], axis=1) > _REST
    last = int(np.flatnonzero(away)[-1]) if away.any() else 0
    if run.times[-1] - run.times[last] < 0.05:
        return
    held = np.flatnonzero(run.held[:, number])
    when = min(max(last, held[-1] if len(held) else 0) + 1, len(places) - 1)
    yield _happening(EventKind.REST, run, when, number,
                     f'the object comes to rest at {_place(places[when])}')


def _spans(held: np.ndarray) -> list[_Span]:
    cuts = np.flatnonzero(np.diff(held.astype(int))) + 1
    starts = [0, *cuts.tolist()]
    ends = [*(cut - 1 for cut in cuts.tolist()), len(held) - 1]
    return [_Span(first, last, bool(held[first]))
            for first, last in zip(starts, ends, strict=True)]


def _while_moving(places: np.ndarray) -> np.ndarray:
    """Return the records in which a thing moves, (N,) bool, with a few before it does."""
    step = np.r_[0.0, np.linalg.norm(np.diff(places, axis=0), axis=1)] > 2e-4
    moving: np.ndarray = np.convolve(step, np.ones(7), 'same') > 0
    return moving


def _lowest(world: RigidWorld, number: int, run: Run, records: slice) -> np.ndarray:
    """Return the height of the lowest point of a thing over records, (N,) [m]."""
    thing = world.things[number]
    corners = np.concatenate(thing.pieces.hulls) - thing.body.center
    corners = corners[np.linspace(0, len(corners) - 1, _CORNERS).astype(int)]
    turned = rotations(run.turns[records, number])[:, 2] @ corners.T
    lowest: np.ndarray = run.places[records, number, 2] + turned.min(1)
    return lowest


def _angle_between(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * np.arccos(np.clip(abs(one @ other), 0.0, 1.0)))


def _happening(kind: EventKind, run: Run, record: int, number: int, said: str,
               distance: float = 0.0) -> Happening:
    time = float(run.times[record])
    return Happening(WorldEvent(kind, time, run.places[record, number].copy(),
                                f'{said} at {time:.1f} s', number, distance or None), number)


def _place(point: np.ndarray) -> str:
    """Return a point as people read it."""
    return '({:.2f}, {:.2f}, {:.2f}) m'.format(*point)
