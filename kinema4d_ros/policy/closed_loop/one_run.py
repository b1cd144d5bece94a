# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Makes one run of a plan; what runs share is kept for the next one."""
from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime, UTC
from functools import partial
from pathlib import Path
from types import TracebackType

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import ConfigurationError, Kinema4DError, WorldModelError
from kinema4d_ros.policy.closed_loop.film import film_run, Filmed
from kinema4d_ros.policy.closed_loop.makers import make_policy, make_world, RunContext
from kinema4d_ros.policy.closed_loop.plan import PlannedRun, RolloutSettings
from kinema4d_ros.policy.closed_loop.record import RolloutRecord, RunEnd
from kinema4d_ros.policy.closed_loop.run import run_task
from kinema4d_ros.policy.closed_loop.starts import goal_of, task_of
from kinema4d_ros.policy.closed_loop.version import world_version
from kinema4d_ros.policy.closed_loop.views import views_of
from kinema4d_ros.policy.closed_loop.world import PredictedWorld
from kinema4d_ros.policy.types import TaskOutcome, TaskWorld
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.precheck.dynamics_rules import DynamicsRules
from kinema4d_ros.robot import ForwardKinematics, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.world_model import load_world_model, model_class

_MOST_ERROR = 2000      # [characters] of a traceback in a record


class RunMaker:
    """Makes runs, one after the other, in one process; a context manager, which closes it."""

    def __init__(self, settings: RolloutSettings) -> None:
        """Load nothing yet."""
        self.settings = settings
        self._simulators: dict[str, ShadowSimulator] = {}      # by robot description

    def __enter__(self) -> RunMaker:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the simulators."""
        for simulator in self._simulators.values():
            simulator.close()
        self._simulators.clear()

    def __call__(self, planned: PlannedRun) -> RolloutRecord:
        """
        Make a run, and return its record; what goes wrong is in it.

        :raises KeyboardInterrupt: nothing else is raised.
        """
        settings, began = self.settings, time.perf_counter()
        record = RolloutRecord(
            planned.policy, '', Path(planned.start).stem, planned.seed, settings.world_name,
            TaskOutcome(None, reason='not run'), RunEnd.ERROR, policy_address=planned.address,
            begun=datetime.now(UTC).isoformat(timespec='seconds'))
        try:
            record = self._made(planned, record)
        except Kinema4DError as error:
            record = record.with_error(str(error))
        except Exception as error:      # of a policy or a world of anybody's
            record = record.with_error(f'{type(error).__name__}: {error}\n'
                                       f'{traceback.format_exc()[-_MOST_ERROR:]}')
        return dataclasses.replace(record, wall_seconds=time.perf_counter() - began)

    def check(self, runs: Sequence[PlannedRun]) -> str:
        """
        Load the model, and make the world of the first run and each policy once, asking nothing.

        Of the first whose start can be read: one that is damaged is told by its own run.

        What breaks for another reason than what was chosen, such as a server that is not there, is
        left to the runs, each of which tells it.

        :returns: the fingerprint of the model's weights.
        :raises Kinema4DError: no run of the plan, or none of a policy, can be made.
        """
        episode, seed = _first_that_opens(runs)
        simulator = self._simulator(episode)
        context = RunContext(simulator.robot, episode, seed)
        addresses = dict.fromkeys(run.address for run in runs)
        makers: list[Callable[[], object]] = [
            partial(self._world, episode, simulator, context),
            *(partial(make_policy, address, context) for address in addresses)]
        for make in makers:
            try:
                _close(make())
            except (ConfigurationError, WorldModelError):
                raise
            except Exception:      # of a policy or a world of anybody's
                continue
        return fingerprint_of(simulator)

    def _made(self, planned: PlannedRun, record: RolloutRecord) -> RolloutRecord:
        settings = self.settings
        episode = Episode.open(planned.start)
        simulator = self._simulator(episode)
        context = RunContext(simulator.robot, episode, planned.seed)
        record = dataclasses.replace(record, task=task_of(episode),
                                     instruction=episode.metadata.task_text,
                                     start=context.start)
        world = self._world(episode, simulator, context)
        record = dataclasses.replace(record, world_version=world_version(
            settings, fingerprint_of(simulator), planned))
        policy = make_policy(planned.address, context)
        try:
            run = run_task(policy, world, seed=planned.seed, executed=settings.executed,
                           limits=settings.limits)
        finally:
            _close(policy)
            _close(world)
        record = dataclasses.replace(
            record, outcome=run.outcome, ended=run.ended, chunks=run.chunks, actions=run.actions,
            duration=run.duration, unseen=run.unseen, drift=run.drift,
            policy_seconds=run.policy_seconds, world_seconds=run.world_seconds)
        if (settings.episodes or settings.videos) and isinstance(world, Filmed):
            return film_run(world, record, settings, episode)
        return record

    def _world(self, episode: Episode, simulator: ShadowSimulator,
               context: RunContext) -> TaskWorld:
        settings = self.settings
        if settings.world == 'predicted':
            return self._predicted(episode, simulator, context.seed)
        world = make_world(settings.world, context)
        if (settings.episodes or settings.videos) and not isinstance(world, Filmed):
            _close(world)
            raise ConfigurationError(f'the world {settings.world} cannot show a run once more (it '
                                     'has no film), so there is no episode or video of it')
        return world

    def _predicted(self, episode: Episode, simulator: ShadowSimulator,
                   seed: int) -> PredictedWorld:
        settings, observation, robot = self.settings, episode.observation(), simulator.robot
        here = robot.configuration(observation.joint_positions, strict=False)
        views = views_of(observation, robot, ForwardKinematics(robot)(here[None])[0],
                         settings.wrist or None)
        return PredictedWorld(simulator, observation, instruction=episode.metadata.task_text,
                              goal=goal_of(episode, settings.goal), seed=seed, views=views,
                              size=settings.size if all(settings.size) else None)

    def _simulator(self, episode: Episode) -> ShadowSimulator:
        text = episode.robot_description
        if text not in self._simulators:
            self.close()      # one at a time: a model may fill a GPU
            robot = Robot.from_urdf(text, package_paths=self.settings.package_paths)
            self._simulators[text] = make_simulator(robot, self.settings)
        return self._simulators[text]


def _first_that_opens(runs: Sequence[PlannedRun]) -> tuple[Episode, int]:
    """Return the start and the seed of the first run whose start can be read."""
    refused: dict[str, Kinema4DError] = {}
    for run in runs:
        if run.start not in refused:
            try:
                return Episode.open(run.start), run.seed
            except Kinema4DError as error:
                refused[run.start] = error
    raise next(iter(refused.values()))


def _close(made: object) -> None:
    if hasattr(made, 'close'):
        made.close()


def make_simulator(robot: Robot, settings: RolloutSettings) -> ShadowSimulator:
    """
    Return the simulator of predicted worlds.

    With `physics` the pictures show the most likely simulation alone, which is the first of those
    that the outcome is judged by.
    """
    name, values = settings.world_model, dict(settings.model_settings)
    if settings.world != 'predicted':
        return ShadowSimulator(robot, None)
    rules = DynamicsRules()
    if name == 'physics':
        default = model_class(name).settings['members'][0]
        members = values.pop('members', default)
        rules = DynamicsRules(outcome=True, members=int(str(members)))
        values['members'] = 1
    return ShadowSimulator(robot, load_world_model(name, **values), frames=settings.frames,
                           settings=PrecheckSettings(physics=rules))


def fingerprint_of(simulator: ShadowSimulator) -> str:
    """Return that of the weights that predict; '' for a model without, or none."""
    return '' if simulator.world_model is None else str(simulator.world_model.fingerprint)
