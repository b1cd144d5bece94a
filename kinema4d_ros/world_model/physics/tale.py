# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated future in the form in which futures are drawn and judged."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial import cKDTree

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.foresight import Backdrop, MovingBody, StoryEvent, Told, uncovered
from kinema4d_ros.foresight.hull import depth_in, hull_planes
from kinema4d_ros.scene.view import SceneView
from kinema4d_ros.types import EventKind, PredictedThing, RobotRollout, WorldEvent
from kinema4d_ros.world_model.physics.ensemble import Ending, run_ensemble
from kinema4d_ros.world_model.physics.happenings import happenings
from kinema4d_ros.world_model.physics.motion import motion_of
from kinema4d_ros.world_model.physics.reconstruction import Reconstruction
from kinema4d_ros.world_model.physics.world import Thing

_CLOSED = (EventKind.CLOSED_ON_NOTHING, EventKind.UNSEEN_SPACE)
_IN_PLACE_OR_ALONG = {Ending.STAYS, Ending.MOVED}
_SETTLE = 0.5        # [s] after the motion in which things come to rest
_VISIBLE = 1e-3      # [m] a thing that moves less is part of the backdrop
_THIN = 0.01         # [m] at which a fixture's points are looked at
_DEEP = 0.002        # [m] in a link, what touches it


class Tale(Told):
    """
    What a simulation says happens during one rollout.

    Besides the attributes of `Told`: ``world``, that is simulated; ``ensemble``, the runs;
    ``things``, the Thing of each of ``bodies``, with its number in the runs; ``sigmas``, for each
    of ``bodies`` how well its place is known in each frame, (T,) [m] per axis.
    """

    def __init__(self, reconstruction: Reconstruction, view: SceneView, robot: RobotRollout, *,
                 seed: int = 0, members: int = 1, threads: int = 0, pictures: bool = True,
                 foreseen: Sequence[WorldEvent] = (),
                 check: Callable[[], None] = lambda: None):
        """
        Simulate, and make the tale of it.

        :param view: that the reconstruction is of.
        :param seed: 0 for the most likely assumptions, another number for a sample of them.
        :param members: of the ensemble, the shown one among them.
        :param foreseen: events by geometry; those of fingers that close on nothing, or where
            nothing was seen, are told where the simulation grasps nothing.
        :param check: called between pieces of work; it may raise to stop.
        :raises WorldModelError: no simulation was stable.
        """
        self.world = world = reconstruction.world(robot)
        self.ensemble = run_ensemble(world, robot, motion_of(robot, _SETTLE), seed=seed,
                                     members=members, threads=threads, check=check)
        if not self.ensemble.runs:
            raise WorldModelError(
                f'none of {members} simulations was stable, so nothing can be predicted; use the '
                "world model 'kinematic', or give 'physics' more `members`")
        self.targets, self.source = [], reconstruction.source
        self.backdrops = [Backdrop(0, view.image if pictures else None, view.depth)]
        self.bodies: list[MovingBody] = []
        self.sigmas: list[np.ndarray] = []
        self.things: list[tuple[int, Thing]] = []
        self._move(world.things, view, robot, pictures)
        self.members = len(self.ensemble.runs), self.ensemble.discarded
        self._placed = {number: np.stack([run.poses(number, thing.body.center, robot.times)
                                          for run in self.ensemble.runs])
                        for number, thing in enumerate(world.things)
                        if any(self._ways(number) > _VISIBLE)}
        self._centers = [thing.body.center for thing in world.things]
        of_thing = {number: index for index, (number, _) in enumerate(self.things)}
        run = self.ensemble.shown
        found = [(each.event, of_thing.get(each.thing))
                 for each in happenings(world, robot, run)]
        found += [(event, None) for event in touched_fixtures(reconstruction.fixtures, robot)]
        found += [(event, None) for event in self._doubts(robot)]
        if not any(event.kind is EventKind.GRASP for event, _ in found):
            found += [(event, None) for event in foreseen if event.kind in _CLOSED]
        self.events = [StoryEvent(_frame(event.time, robot.times), event, body)
                       for event, body in sorted(found, key=lambda each: each[0].time)]

    def _move(self, things: Sequence[Thing], view: SceneView, robot: RobotRollout,
              pictures: bool) -> None:
        """Make a moving body of each thing that moves visibly, and the backdrops without them."""
        run, times = self.ensemble.shown, robot.times
        first_frames = []
        for number, thing in enumerate(things):
            poses = run.poses(number, thing.body.center, times)
            places = poses[:, :3, :3] @ thing.body.center + poses[:, :3, 3]
            way = np.linalg.norm(places - thing.body.center, axis=1) \
                + 0.03 * np.linalg.norm(poses[:, :3, :3] - np.eye(3), axis=(1, 2))
            if thing.held is None and way.max() < _VISIBLE:
                continue
            first = 0 if thing.held is not None else int((way >= _VISIBLE).argmax())
            first_frames.append((first, number, thing, poses))
        for first, number, thing, poses in sorted(first_frames, key=lambda each: each[:2]):
            held_now = thing.held is not None
            self.bodies.append(MovingBody(
                thing.body, first, poses, thing.held,
                self._let_go(number, times) if held_now else None))
            self.things.append((number, thing))
            self.sigmas.append(self.ensemble.spread(number, thing.body.center, times))
            if pictures and thing.mask.size and thing.mask.any():
                self.backdrops.append(uncovered(self.backdrops[-1], thing.body, thing.mask, first,
                                                view.points_base))

    def _ways(self, number: int) -> np.ndarray:
        """Return how far a thing gets from where it stood at most, (M,) [m] for each run."""
        return np.array([np.linalg.norm(run.places[:, number] - run.places[0, number],
                                        axis=1).max() for run in self.ensemble.runs])

    def placed(self, frame: int) -> tuple[PredictedThing, ...]:
        """Return where the things are that move in any run, with where each run has them."""
        several = len(self.ensemble.runs) > 1
        return tuple(PredictedThing(self._centers[number], T[0, frame],
                                    T[:, frame] if several else None)
                     for number, T in self._placed.items())

    def _let_go(self, number: int, times: np.ndarray) -> int | None:
        """Return the frame from which on what was held at first is not any more."""
        run = self.ensemble.shown
        free = np.flatnonzero(~run.held[:, number])
        held_link_only = not run.held[:, number].any()
        if held_link_only or not len(free):
            return None
        return _frame(float(run.times[free[0]]), times)

    def _doubts(self, robot: RobotRollout) -> list[WorldEvent]:
        """Return what the ensemble does not agree on, and how many runs do not count."""
        found, end = [], float(robot.times[-1])
        for number, center in enumerate(self._centers):     # what stays in the shown run too
            modes = self.ensemble.modes(number)
            if len(modes) < 2:
                continue
            said = ', '.join(f'{each.value} in {count}' for each, count in modes.items())
            T = self.ensemble.shown.poses(number, center, robot.times[-1:])[0]
            farthest = max(float(np.linalg.norm(run.places[-1, number] - run.places[0, number]))
                           for run in self.ensemble.runs)
            found.append(WorldEvent(
                EventKind.UNDECIDED, end, T[:3, :3] @ center + T[:3, 3],
                f'how the object at {_place(center)} ends is not decided: of '
                f'{len(self.ensemble.runs)} simulations it {said}', number,
                farthest if set(modes) <= _IN_PLACE_OR_ALONG else None))
        if self.ensemble.discarded:
            total = self.ensemble.discarded + len(self.ensemble.runs)
            found.append(WorldEvent(
                EventKind.DISCARDED, end, None,
                f'{self.ensemble.discarded} of {total} simulations became unstable and do not '
                'count', share=self.ensemble.discarded / total))
        return found

    def ends(self, run: int = 0) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """
        Return for each of `bodies` where it ends in a run, after the motion has come to rest.

        :return: its middle as observed (3,) and at the end (3,) [m] base frame, and the height of
            its lowest point at the end [m].
        """
        found, one = [], self.ensemble.runs[run]
        for number, thing in self.things:
            center = thing.body.center
            pose = one.poses(number, center, one.times[-1:])[0]
            corners = np.concatenate(thing.pieces.hulls) @ pose[:3, :3].T + pose[:3, 3]
            found.append((center.copy(), pose[:3, :3] @ center + pose[:3, 3],
                          float(corners[:, 2].min())))
        return found


def touched_fixtures(fixtures: tuple[np.ndarray, ...], robot: RobotRollout) -> list[WorldEvent]:
    """Return where links run into what is taken to stay, the first time for each fixture."""
    found = []
    for points in fixtures:
        _, one = np.unique(np.floor(points / _THIN).astype(int), axis=0, return_index=True)
        tree = cKDTree(points[one])
        if (event := _first_touch(tree, robot)) is not None:
            found.append(event)
    return found


def _first_touch(tree: cKDTree, robot: RobotRollout) -> WorldEvent | None:
    for number, link in enumerate(robot.chain):
        planes = hull_planes(link.hull) if len(link.hull) >= 4 else None
        T = robot.T_base_link[:, number]
        if planes is None or np.abs(T - T[:1]).max() < 1e-4:
            continue
        middle = link.hull.mean(0)
        radius = float(np.linalg.norm(link.hull - middle, axis=1).max())
        near = tree.query_ball_point(T[:, :3, :3] @ middle + T[:, :3, 3], radius)
        for frame, picked in enumerate(near):
            if not picked:
                continue
            places = tree.data[picked]
            inside = depth_in(places, planes, T[frame]) < -_DEEP
            if inside.any():
                at, time = places[inside].mean(0), float(robot.times[frame])
                return WorldEvent(
                    EventKind.NOT_MODELLED, time, at,
                    f"'{link.name}' touches something at {_place(at)} that is taken to stay; it "
                    f'may move, which is not modelled, at {time:.1f} s')
    return None


def _frame(time: float, times: np.ndarray) -> int:
    """Return the first frame that is not before a time."""
    return min(int(np.searchsorted(times, time - 1e-9)), len(times) - 1)


def _place(point: np.ndarray) -> str:
    """Return a point as people read it."""
    return '({:.2f}, {:.2f}, {:.2f}) m'.format(*point)
