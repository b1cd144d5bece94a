# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Space that the robot moves through and nobody vouches for.

Vouched for is what a camera looks through (now, or not too long ago where the robot hides it),
what is declared free, and where the robot stands when the motion begins. How far a link may go
from there into the unknown depends on the link and on why the place is unknown: an obstacle as
wide as twice that could hide there. A smaller one could stand in a hole of the depth image, or
behind something: there not much space is allowed in which it has room (`holes`).
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.foresight import MovingBody
from kinema4d_ros.precheck.settings import Tier1Settings, Unseen
from kinema4d_ros.precheck.tier1.holes import wide_pieces
from kinema4d_ros.precheck.tier1.swept_space import Load, SweptSpace
from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.scene import Knowledge, Scene
from kinema4d_ros.types import Finding, FindingCode, plain_point, RobotRollout, Severity

ARM, HAND, FINGERS = 1, 2, 4      # bits of the roles of links
FEWEST = 3                       # voxels; fewer are noise at an edge
#: why a place in view, or beside what is seen, is unknown
_HIDDEN = (Knowledge.BEHIND, Knowledge.NOT_MEASURED, Knowledge.DISPUTED)

_WHY = {
    Knowledge.OUTSIDE: "outside of the camera's view",
    Knowledge.BEHIND_ROBOT: 'that the robot itself hides from the camera',
    Knowledge.TOO_OLD: 'that the robot hides from the camera and that was last seen {age}',
    Knowledge.BEHIND: 'behind what the camera sees',
    Knowledge.NOT_MEASURED: 'in which the depth image has no values (what is black, glossy, '
                            'transparent or too near has none)',
    Knowledge.DISPUTED: 'that only one camera vouches for, which contradicts another',
}
#: where the links of the distance fields have been (N, L, 4, 4), and how long ago (N,) [s]
LinkTrail = tuple[np.ndarray, np.ndarray]
_CURE = ('let a camera see it; or drive there slowly while somebody looks, since where the robot '
         'has been counts for tier1.trail_age; or, if it is free, declare it: tier1.known_free')


@dataclass(frozen=True)
class _Entry:
    """A link that goes into the unknown for one reason, or what it holds."""

    link: str
    is_load: bool           # it is not the link, but what that holds
    why: Knowledge
    frame: int              # of the rollout, when it first does
    voxels: int
    farthest: float         # [m] from what is known
    limit: float            # [m], or [m^3] if it is a piece
    piece: float | None     # [m^3] if not how far it goes is too much, but through how much
    point: np.ndarray       # (3,) [m] base, the farthest
    low: np.ndarray         # (3,) [m] base, the corners of what the link enters there
    high: np.ndarray

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"what '{self.link}' holds" if self.is_load else f"'{self.link}'"


def check_unseen(scene: Scene, robot: RobotRollout, names: Collection[str],
                 fields: DistanceFields, settings: Tier1Settings, *,
                 touching: Collection[str] = (), hand_links: Collection[str] = (),
                 held: Collection[MovingBody] = (),
                 trail: Callable[[], LinkTrail | None] | None = None) -> list[Finding]:
    """
    Judge where links go into space that nobody vouches for, and report what rests on memory.

    :param names: links that move.
    :param touching: those that may touch; only space that was not measured holds them back.
    :param hand_links: those that the hand consists of.
    :param held: what links hold from the beginning; in fingers it may go where they may, elsewhere
        where the hand may.
    :param trail: returns where the robot has been; only asked where that may make a difference.
    """
    roles = {name: FINGERS if name in touching else HAND if name in hand_links else ARM
             for name in names}
    loads, carriers = [], {}
    for number, moving in enumerate(held):
        if moving.held is None or moving.body.planes is None:
            continue
        name = f'load {number}'
        end = len(robot.times) if moving.let_go is None else moving.let_go
        loads.append(Load(name, moving.body.vertices, moving.body.planes,
                          moving.T_base_body[:end + 1]))
        roles[name] = FINGERS if moving.held.in_fingers else HAND
        carriers[name] = moving.held.link
    space = SweptSpace.of(scene, robot, fields, roles, settings.known_free, loads)
    findings = []
    entries = _entries(space, roles, carriers, settings)
    if entries and trail is not None and (poses := trail()) is not None:
        space = space.with_trail(*poses)
        entries = _entries(space, roles, carriers, settings)
    if entries:
        findings.append(_denied(entries, space, robot, settings))
    if (remembered := _remembered(space, scene)) is not None:
        findings.append(remembered)
    if (been := _been(space)) is not None:
        findings.append(been)
    return findings


def limits(role: int, settings: Tier1Settings) -> dict[Knowledge, float]:
    """Return how far [m] links of a role may go into the unknown, by why it is unknown."""
    hidden = settings.unseen_hidden
    found = {Knowledge.NOT_MEASURED: hidden, Knowledge.DISPUTED: hidden}
    if role == FINGERS:      # what they reach for is hidden by its own front, and by the hand
        return found
    behind, outside = (settings.unseen_behind_hand, settings.unseen_hand) if role == HAND else (
        settings.unseen_behind_arm, settings.unseen_outside)
    return found | {Knowledge.BEHIND: hidden, Knowledge.BEHIND_ROBOT: behind,
                    Knowledge.TOO_OLD: behind, Knowledge.OUTSIDE: outside}


def hidden_for(role: int, settings: Tier1Settings) -> list[Knowledge]:
    """Return why a place may be unknown where a small thing may be hidden from links of a role."""
    return [why for why in _HIDDEN if why in limits(role, settings)]


def _entries(space: SweptSpace, roles: dict[str, int], carriers: Mapping[str, str],
             settings: Tier1Settings) -> list[_Entry]:
    """Return which links, and what `carriers` carry, go too far into the unknown."""
    unknown = Knowledge.REMEMBERED + 1      # and what is above
    if space.counts_of(ARM | HAND | FINGERS)[unknown:].sum() < FEWEST:
        return []
    found: list[_Entry] = []
    for role in sorted(set(roles.values())):
        counts = space.counts_of(role)
        for why, limit in limits(role, settings).items():
            # Most often there are none, or a few at an edge: no distance is needed then.
            if counts[why] >= FEWEST and len(bad := space.beyond(role, why, limit)) >= FEWEST:
                found += _who(space, roles, carriers, role, bad, why, limit)
        whys = hidden_for(role, settings)
        enough = counts[whys].sum() * space.voxel ** 3
        if enough > settings.unseen_hole and not any(entry.why in whys for entry in found):
            hidden = np.isin(np.arange(256), whys)[space.knowledge]
            wide = wide_pieces(hidden, space.swept & role > 0, space.voxel, settings.unseen_hole)
            if len(bad := np.flatnonzero(wide)):
                why = Knowledge(space.knowledge.reshape(-1)[bad].max())
                found += _who(space, roles, carriers, role, bad, why, settings.unseen_hole,
                              float(len(bad) * space.voxel ** 3))
    return found


def _who(space: SweptSpace, roles: Mapping[str, int], carriers: Mapping[str, str], role: int,
         bad: np.ndarray, why: Knowledge, limit: float,
         piece: float | None = None) -> list[_Entry]:
    """Return which links of a role, and what they carry, go into some voxels (N,), flat."""
    distance = space.distance.reshape(-1)[bad]
    cells = np.stack(np.unravel_index(bad, space.swept.shape), -1)
    farthest = distance.argmax()
    low, high = space.centers(cells.min(0)), space.centers(cells.max(0))
    where, found = np.zeros(space.swept.shape, bool), []
    where.reshape(-1)[bad] = True
    for name in (name for name in space.names if roles.get(name) == role):
        voxels, frame = space.entered(name, where)
        if voxels:
            link = carriers.get(name, name)
            found.append(_Entry(link, name in carriers, why, frame, voxels,
                                float(distance[farthest]), limit, piece,
                                space.centers(cells[farthest]), low - space.voxel,
                                high + space.voxel))
    return found


def _denied(entries: list[_Entry], space: SweptSpace, robot: RobotRollout,
            settings: Tier1Settings) -> Finding:
    """Return the finding about links that go too far into the unknown."""
    first = min(entries, key=lambda entry: (entry.frame, -entry.why))
    time = float(robot.times[first.frame])
    said = (f'{first.name} would move through {_volume(first.voxels, space)} '
            f'of space {_WHY[first.why].format(age=_when(space))}, up to '
            f'{100 * first.farthest:.0f} cm from what is known, from {time:.2f} s on')
    others = sorted({entry.name for entry in entries} - {first.name})
    if others:
        said += f'; so would {", ".join(others)}'
    return Finding(
        FindingCode.UNSEEN_SPACE,
        Severity.UNSURE if settings.unseen is Unseen.UNSURE else Severity.INFO,
        f'{said}; {_CURE} {_box(entries)}', link=first.link, other='scene',
        point_base=plain_point(first.point), time=time, limit=first.limit,
        value=first.farthest if first.piece is None else first.piece,
        unit='m' if first.piece is None else 'm^3')


def _when(space: SweptSpace) -> str:
    """Return in words when what is remembered and not gone by was seen last."""
    ages = space.age[space.knowledge == Knowledge.TOO_OLD]
    if np.isnan(ages).any():
        return 'nobody knows when'
    if (least := float(ages.min(initial=0.0))) < 0.0:
        return f'{-least:.0f} s after this look, by a clock that has jumped'
    return f'{ages.max(initial=0.0):.0f} s ago, longer than tier1.memory_age'


def _box(entries: list[_Entry]) -> str:
    """Return what tier1.known_free would have to say, rounded outwards to centimetres."""
    low = np.floor(100 * np.min([entry.low for entry in entries], axis=0) + 1e-6) / 100
    high = np.ceil(100 * np.max([entry.high for entry in entries], axis=0) - 1e-6) / 100
    return f'[{", ".join(f"{value:.2f}" for value in (*low, *high))}]'


def _remembered(space: SweptSpace, scene: Scene) -> Finding | None:
    """Return a note on what only memory vouches for."""
    if space.counts_of(ARM | HAND)[Knowledge.REMEMBERED] < FEWEST:
        return None
    by_memory = (space.knowledge == Knowledge.REMEMBERED) & ~space.been & (
        space.swept & (ARM | HAND) > 0)
    count = np.count_nonzero(by_memory)
    if count < FEWEST:
        return None
    age = float(space.age[by_memory].max())
    whose = ['what the robot hides'] if any(not view.late for view in scene.measuring) else []
    whose += [f'what camera {view.seen.name!r} saw before it stopped'
              for view in scene.measuring if view.late]
    whose += [f'what the map {other.source.name!r} has, which does not say when each place was '
              'measured' for other in scene.others if other.knows_space]
    how = ('hidden by the robot' if whose == ['what the robot hides'] else
           f'not seen now ({"; ".join(whose)})')
    return Finding(
        FindingCode.UNSEEN_SPACE, Severity.INFO,
        f'{_volume(int(count), space)} of the way are {how} and taken for free from memory, which '
        f'is up to {age:.1f} s old', other='scene', value=age, limit=None, unit='s')


def _been(space: SweptSpace) -> Finding | None:
    """Return a note on what is known only since the robot has been there."""
    if not space.been.any():
        return None
    there = space.been & (space.swept & (ARM | HAND) > 0)
    count = np.count_nonzero(there)
    if count < FEWEST:
        return None
    age = float(space.age[there].max())
    return Finding(
        FindingCode.UNSEEN_SPACE, Severity.INFO,
        f'{_volume(int(count), space)} of the way no camera sees; they are taken for free since '
        f'the robot itself was there, up to {age:.1f} s ago', other='scene', value=age, limit=None,
        unit='s')


def _volume(voxels: int, space: SweptSpace) -> str:
    """Return the volume of some voxels in words."""
    litres = 1e3 * voxels * space.voxel ** 3
    return f'{litres:.1f} litres' if litres >= 0.1 else f'{1e3 * litres:.0f} ml'
