# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several simulations under other assumptions: how far, and in which ways, they differ."""
from __future__ import annotations

import enum
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from kinema4d_ros.types import RobotRollout
from kinema4d_ros.world_model.physics.happenings import MOVED, tilts, TOPPLED
from kinema4d_ros.world_model.physics.motion import Motion
from kinema4d_ros.world_model.physics.simulation import Run, simulate
from kinema4d_ros.world_model.physics.world import (Assumptions, DENSITY, RigidWorld, ROLLING,
                                                     Thing)

_FRICTION, _FRICTION_SPREAD = 0.6, 0.6       # and its spread, as of a logarithm
_FRICTION_RANGE = (0.15, 1.2)
_DENSITY_SPREAD = 0.5                        # as of a logarithm
_ROLLING_SPREAD = 1.0                        # as of a logarithm
_SCALE_SPREAD = 0.07                         # of the horizontal size
_PLACE_SPREAD = 0.006                        # [m]
_GRASP_SPREAD = 0.005                        # [m] by which a thing shifts in the fingers
_TURN_SPREAD = np.deg2rad(3.0)               # by which it turns in them
_SPIN_SPREAD = 1.2                           # [rad/s] with which it is let go
_COM_SPREAD = 0.10                           # of the height
_FALLS = 0.03                                # [m] lower than where it began
_UNSAMPLED = 0.003                           # [m] of what moves, beyond what samples differ in
_CLEAR = 0.001                               # [m] that samples leave between things
_MEMBERS = 7919                              # of the seeds of an ensemble's members


class Ending(enum.StrEnum):
    """How a thing ends."""

    STAYS = 'stays'
    MOVED = 'moves'
    TOPPLED = 'tips over'
    FELL = 'falls'


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Runs of one world that differ in what nobody measured."""

    runs: tuple[Run, ...]         # those that are stable, the one that is shown first
    discarded: int                # how many were not

    @property
    def shown(self) -> Run:
        """The run that is shown."""
        return self.runs[0]

    def spread(self, thing: int, center: np.ndarray, times: np.ndarray) -> np.ndarray:
        """
        Return the standard deviation of a thing's place per axis, (T,) [m].

        Runs do not differ in where the camera, its depth and the cut of the picture put a thing.
        """
        if len(self.runs) < 2:
            return np.zeros(len(times))
        T = np.stack([run.poses(thing, center, times) for run in self.runs])
        places = T[..., :3, :3] @ center + T[..., :3, 3]
        way = np.linalg.norm(places[0] - center, axis=-1)
        unsampled = _UNSAMPLED * np.minimum(way / MOVED, 1.0)
        sigma: np.ndarray = np.hypot(np.sqrt(places.var(axis=0, ddof=1).mean(axis=-1)), unsampled)
        return sigma

    def modes(self, thing: int) -> dict[Ending, int]:
        """Return in which ways a thing ends, and in how many runs."""
        found = [mode(run, thing) for run in self.runs]
        return {each: found.count(each) for each in Ending if each in found}


def mode(run: Run, thing: int) -> Ending:
    """Return how a thing ends in a run."""
    way = run.places[-1, thing] - run.places[0, thing]
    if tilts(run.turns[-1:, thing])[0] > TOPPLED:
        return Ending.TOPPLED
    if way[2] < -_FALLS:
        return Ending.FELL
    return Ending.MOVED if np.linalg.norm(way) > MOVED else Ending.STAYS


def run_ensemble(world: RigidWorld, robot: RobotRollout, motion: Motion, *, seed: int, members: int,
                 threads: int = 0, check: Callable[[], None] = lambda: None) -> Ensemble:
    """
    Run the simulation that is shown, and others beside it.

    Each has assumptions of its own, drawn before any of them runs, so that the number of threads
    changes nothing.

    :param seed: 0 shows the most likely assumptions, or a sample if most of them end in another
        way; another number a sample of its own.
    :param members: runs in all, 1 or more.
    :param threads: 0 for as many as there are processors.
    :param check: called between runs; it may raise to stop.
    """
    room = _room(world.things)
    assumed = [sample(world, room, seed)]
    assumed += [sample(world, room, _MEMBERS + number) for number in range(1, members)]
    threads = threads or len(os.sched_getaffinity(0))
    models = []
    for each in assumed:
        check()
        models.append(world.model(robot, each))     # the compiler of MuJoCo is not reentrant

    def one(number: int) -> Run:
        return simulate(world, robot, motion, assumed[number], models[number])

    runs: list[Run] = []
    if threads == 1 or members == 1:
        for number in range(members):
            check()
            runs.append(one(number))
    else:
        with ThreadPoolExecutor(min(threads, members)) as pool:
            runs = list(pool.map(one, range(members)))
    check()
    stable = [run for run in runs if not run.why_unstable]
    if seed == 0 and stable:
        stable.insert(0, stable.pop(_most_likely(stable)))
    return Ensemble(tuple(stable), len(runs) - len(stable))


def _most_likely(runs: Sequence[Run]) -> int:
    """
    Return the number of the run to be shown: the first, unless most others end in another way.

    What is most likely of each assumption need not lead to what is most likely to happen: a thing
    that just does not tip over under them tips over under most others. Of the runs in which the
    same things lie as in most, that one is shown whose things end nearest to those of all.
    """
    lies = np.array([tilts(run.turns[-1]) > TOPPLED for run in runs]).reshape(len(runs), -1)
    usual = (lies == (lies.mean(axis=0) > 0.5)).all(axis=1)
    if usual[0] or not usual.any():
        return 0
    ends = np.stack([run.places[-1] for run in runs])
    apart = np.linalg.norm(ends[:, None] - ends[None], axis=-1).sum(axis=(1, 2))
    return int(np.where(usual, apart, np.inf).argmin())


def sample(world: RigidWorld, room: np.ndarray, seed: int) -> Assumptions:
    """
    Return assumptions drawn by a seed; those of seed 0 are the most likely.

    :param room: (n,) [m] by which each thing may be larger or elsewhere without overlaps.
    """
    if seed == 0:
        return Assumptions()
    random, count = np.random.default_rng(seed), len(world.things)
    friction = float(np.clip(_FRICTION * np.exp(random.normal(0, _FRICTION_SPREAD)),
                             *_FRICTION_RANGE))
    density = DENSITY * np.exp(random.normal(0, _DENSITY_SPREAD, count))
    place = random.normal(0, _PLACE_SPREAD, (count, 2))
    length = np.linalg.norm(place, axis=1)
    place *= np.minimum(1.0, room / 2 / np.maximum(length, 1e-9))[:, None]
    radius = np.array([np.ptp(thing.body.vertices[:, :2], axis=0).max() / 2
                       for thing in world.things])
    most = room / 2 / np.maximum(radius, 1e-3)
    scale = 1.0 + np.clip(random.normal(0, _SCALE_SPREAD, count), -2 * _SCALE_SPREAD, most)
    height = np.array([thing.body.top - thing.body.bottom for thing in world.things])
    middle = random.normal(0, 1, (count, 3)) * np.column_stack(
        [0.05 * radius, 0.05 * radius, _COM_SPREAD * height])
    is_held = np.array([thing.held is not None for thing in world.things], bool)
    place[is_held], scale[is_held] = 0.0, 1.0
    return Assumptions(friction, density, scale, place, middle,
                       random.normal(0, _GRASP_SPREAD, 3), random.normal(0, _TURN_SPREAD, 3),
                       random.normal(0, _SPIN_SPREAD, 3),
                       float(ROLLING * np.exp(random.normal(0, _ROLLING_SPREAD))))


def _room(things: Sequence[Thing]) -> np.ndarray:
    """Return how far each thing is from the next one, less `_CLEAR`, at least 0, (n,) [m]."""
    corners = [np.concatenate(thing.pieces.hulls) for thing in things]
    trees = [cKDTree(each) for each in corners]
    room = np.full(len(things), 0.02)
    for one in range(len(things)):
        for other in range(one + 1, len(things)):
            gap = np.maximum(corners[one].min(0) - corners[other].max(0),
                             corners[other].min(0) - corners[one].max(0)).max()
            if gap < 0.02:
                gap = min(float(trees[one].query(corners[other])[0].min()), max(gap, 0.0) + 0.02)
                inside = np.maximum(gap - _CLEAR, 0.0)
                room[[one, other]] = np.minimum(room[[one, other]], inside)
    return room
