# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A task in a predicted world: the robot moves exactly, a world model says what that does."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.policy.closed_loop.continuation import (ChainedWindows, Continuation, drawn_by,
                                                          Moment, RetoldStory)
from kinema4d_ros.policy.closed_loop.motion import TaskMotion
from kinema4d_ros.policy.closed_loop.predicted_outcome import is_solved, predicted_outcome
from kinema4d_ros.policy.closed_loop.views import (DrawnView, LazyPictures, PolicyView, views_of)
from kinema4d_ros.policy.types import PolicyObservation, TaskOutcome
from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.robot import ForwardKinematics
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation

_SETTLE = 1.0        # [s] after the last motion in which things come to rest
_LOOK = 1.0          # [s] of motion between two looks at whether a costly model has it solved
SIZE = (224, 224)    # of what most policies see, height and width


class PredictedWorld:
    """
    A `TaskWorld` that a world model predicts from one observation.

    With a model that tells what moves where (frozen, kinematic, physics), the whole motion so far
    is told again from the first observation after each chunk, so chunks change nothing of what is
    predicted; other models go on from their last picture. Pictures are drawn when the policy looks
    at them; the first ones are those of the real cameras.

    Not thread-safe, as its simulator, which may serve several worlds one after the other.
    """

    def __init__(self, simulator: ShadowSimulator, observation: Observation, *,
                 instruction: str = '', goal: Goal | None = None, seed: int = 0,
                 size: tuple[int, int] | None = SIZE,
                 views: Sequence[PolicyView] | None = None) -> None:
        """
        Make the world of one task.

        :param simulator: of this robot, with a world model; it stays open.
        :param goal: that says when the task is solved; None for a task that nobody can judge.
        :param seed: of the world model.
        :param size: (height, width) of pictures for the policy, see `resized_with_pad`; None for
            those of the cameras.
        :param views: None for those of the observation, see `views_of`.
        :raises WorldModelError: the simulator has no world model.
        """
        if simulator.world_model is None:
            raise WorldModelError('a predicted world needs a world model; give the simulator one '
                                  "by its name, as in ShadowSimulator(robot, 'kinematic')")
        self.robot, self.simulator, self.observation = simulator.robot, simulator, observation
        self.instruction, self.goal, self._seed, self._size = instruction, goal, seed, size
        self._model = simulator.world_model
        here = self.robot.configuration(observation.joint_positions, strict=False)
        self.views = tuple(views) if views is not None else views_of(
            observation, self.robot, ForwardKinematics(self.robot)(here[None])[0])
        self._by_name = {view.name: view for view in self.views}
        self._begin()

    def _begin(self) -> None:
        self._executed = TaskMotion(self.robot, self.observation.joint_positions)
        kind = RetoldStory if self._model.tells else ChainedWindows
        self._continuation: Continuation = kind(self.simulator, self.observation, self._seed)
        self._moment: Moment | None = None
        self._seen: list[tuple[float, Moment]] = []     # of a model that predicts pictures only
        self._outcome: tuple[float, TaskOutcome] | None = None
        self._looked = -_LOOK      # [s] of motion when it was looked at with all that costs

    @property
    def executed(self) -> JointTrajectory:
        """The motion since the beginning."""
        return self._executed.trajectory()

    def reset(self) -> PolicyObservation:
        """
        Begin the task anew, and return what the real cameras saw.

        What the simulator remembers is forgotten, so that no run depends on those before it.
        """
        self.simulator.forget()
        self._begin()
        return self._shown()

    def execute(self, trajectory: JointTrajectory) -> PolicyObservation:
        """
        Let the robot follow a motion that begins where it is, and return what is seen then.

        :raises TrajectoryError: it does not begin where the robot is, or is no motion.
        :raises WorldModelError: a model that goes on from its last picture cannot predict it.
        """
        self._executed.add(trajectory)
        self._moment = self._continuation.after(self._executed, trajectory)
        if not self._model.tells:
            self._seen.append((self._executed.time, self._moment))
        return self._shown()

    def _shown(self) -> PolicyObservation:
        moment = self._moment

        def draw(name: str) -> DrawnView:
            view = self._by_name[name]
            return self._first(view) if moment is None else moment.draw(view)

        with_depth = [view.name for view in self.views
                      if view.taken is None or view.taken.depth is not None]
        drawn: dict[str, DrawnView] = {}
        pictures = LazyPictures(list(self._by_name), draw, self._size, drawn=drawn)
        return PolicyObservation(
            self.instruction, pictures, self._executed.here, self._executed.time, pictures.shares,
            LazyPictures(with_depth, draw, self._size, 'depth', drawn), self._executed.time)

    def _first(self, view: PolicyView) -> DrawnView:
        """Return what a camera sees first: really, or by what the others have measured."""
        if view.taken is not None:
            return DrawnView(view.taken.image, view.taken.depth, 0.0)
        checker = self.simulator.checker()
        robot = checker.rollout_of(self.observation, TaskMotion(
            self.robot, self.observation.joint_positions).trajectory())
        return drawn_by(self.simulator.view_of(self.observation, robot), self.observation, robot,
                        0, view)

    def is_solved(self) -> bool:
        """
        Return whether the goal's object is where it should be, let go and at rest.

        It is where the outcome, with all that speaks against it, says so too. What costs much is
        looked at once in a second of motion.
        """
        if self.goal is None or self._moment is None:
            return False
        now, costly = self._executed.time, self._model.name == 'physics'
        if now < self._looked + _LOOK:
            return False
        if costly:
            self._looked = now
        if not is_solved(self.goal, *self._moment.told()):
            return False
        self._looked = now
        return self.outcome().success is True

    def outcome(self) -> TaskOutcome:
        """Return what has come of the task, once the robot has stood still for a second."""
        if self._outcome is None or self._outcome[0] != self._executed.time:
            self._outcome = self._executed.time, predicted_outcome(
                self.simulator, self.observation, self._executed.trajectory(_SETTLE), self.goal)
        return self._outcome[1]

    def film(self, rate: float) -> Iterator[tuple[float, dict[str, DrawnView]]]:
        """
        Yield time [s] and pictures of all views, in the size of their cameras, evenly in time.

        Of a model that goes on from its own last picture, those are what there is.

        :param rate: [Hz] at most.
        """
        if not self._model.tells:
            yield 0.0, {view.name: self._first(view) for view in self.views}
            for time, moment in self._seen:
                yield time, {view.name: moment.draw(view) for view in self.views}
            return
        robot, told = self.simulator.foresee(self.observation, self._executed.trajectory(_SETTLE),
                                             seed=self._seed)
        renderer = self.simulator.draw(self.observation, robot, told)
        count = max(2, round(robot.times[-1] * rate) + 1)
        for index in np.unique(np.linspace(0, len(robot.times) - 1, count).round().astype(int)):
            yield float(robot.times[index]), {
                view.name: drawn_by(renderer, self.observation, robot, int(index), view)
                for view in self.views}
