# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation does with one episode, stage by stage; each can be done in any process."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.evaluation.camera_outcomes import judge_by_cameras, SIMULATIONS
from kinema4d_ros.evaluation.comparison import Comparison
from kinema4d_ros.evaluation.episode_lineage import episode_lineage
from kinema4d_ros.evaluation.hidden_obstacles import (checker_of, hidden_obstacle_rows,
                                                      HiddenObstacleRow)
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker, PrecheckRow
from kinema4d_ros.evaluation.real_camera import CameraRow, RealCamera
from kinema4d_ros.evaluation.report.content import EpisodeReport
from kinema4d_ros.evaluation.report.depict import depict, EpisodePredictor
from kinema4d_ros.evaluation.second_motions import MotionPair, SecondMotionRow, SecondMotions
from kinema4d_ros.evaluation.several_cameras import SeveralCameras, SeveralCamerasRow
from kinema4d_ros.evaluation.shadow_obstacles import shadow_rows
from kinema4d_ros.jobs import (ended_by_sigterm, FailureKind, Job, JobPool, JobRecord, lineage_of,
                               run_jobs_in, shown_progress)


JUDGING = 'judging'
SECOND = 'second motions'
BY_CAMERAS, WITH_NEIGHBOURS = 'outcomes by cameras', 'outcomes by cameras with neighbours'


@dataclass(frozen=True)
class EvaluationStage:
    """
    One thing that an evaluation does with each of some episodes.

    :param name: for people, and of the file of its records.
    :param work: path of an episode, or the row of a judged one -> answer.
    :param answer: what the work returns.
    """

    name: str
    work: Callable[[Any], Any]
    answer: Any


def precheck(path: str) -> PrecheckRow:
    """
    Return the row of an episode.

    :raises EpisodeError: there is none.
    """
    return _prechecker()(path)


@dataclass(frozen=True)
class Depicted:
    """
    What the page shows of a predicted episode, in a form that can be kept.

    :param bare: without its comparisons, which are world model, number of frames and values.
    """

    bare: EpisodeReport
    comparisons: tuple[tuple[str, int, Mapping[str, float]], ...]

    @classmethod
    def of(cls, report: EpisodeReport) -> Depicted:
        """Return a report so."""
        return cls(dataclasses.replace(report, comparisons=()), tuple(
            (one.world_model, one.frames, dict(one)) for one in report.comparisons))

    @property
    def report(self) -> EpisodeReport:
        """The whole."""
        return dataclasses.replace(self.bare, comparisons=tuple(
            Comparison(name, values, frames) for name, frames, values in self.comparisons))


def predict(row: PrecheckRow) -> Depicted:
    """Return what the page shows of a judged episode that is predicted."""
    episode, futures = Episode.open(row.path), {}
    for predictor in _predictors():
        robot, futures[predictor.world_model] = predictor(episode)
    return Depicted.of(depict(episode, row.verdict, robot, futures, moving=False,
                              true_clearances=row.true_clearances))


def judge_as_real_cameras(path: str) -> list[CameraRow]:
    """Return the verdicts on an episode under each condition of a camera."""
    return _real_camera()(path)


def hide(path: str) -> list[HiddenObstacleRow]:
    """Return what is said of motions through obstacles that the depth does not show."""
    episode = Episode.open(path)
    first = episode.observation(cameras=(episode.cameras[0].name,))
    return [*hidden_obstacle_rows([path]),
            *shadow_rows(Path(path).stem, first, episode.trajectory,
                         checker_of(episode.robot_description))]


def judge_by_several_cameras(path: str) -> list[SeveralCamerasRow]:
    """Return the verdicts on an episode by one, two, ... of its cameras."""
    return _several_cameras()(path)


def judge_as_second(pair: MotionPair) -> list[SecondMotionRow]:
    """Return the verdicts on an episode as the first motion, and after others."""
    return _second_motions()(pair)


def outcomes_by_cameras(path: str) -> list[PrecheckRow]:
    """Return the rows of an episode by one, two, ... of its cameras."""
    return judge_by_cameras(path)


def outcomes_with_neighbours(path: str) -> list[PrecheckRow]:
    """Return the same where simulations refuse what moves neighbours."""
    return judge_by_cameras(path, SIMULATIONS)


STAGES: Mapping[str, EvaluationStage] = {stage.name: stage for stage in (
    EvaluationStage(JUDGING, precheck, PrecheckRow),
    EvaluationStage('predicting', predict, Depicted),
    EvaluationStage('real camera', judge_as_real_cameras, tuple[CameraRow, ...]),
    EvaluationStage('hiding', hide, tuple[HiddenObstacleRow, ...]),
    EvaluationStage('several cameras', judge_by_several_cameras, tuple[SeveralCamerasRow, ...]),
    EvaluationStage(SECOND, judge_as_second, tuple[SecondMotionRow, ...]),
    EvaluationStage(BY_CAMERAS, outcomes_by_cameras, tuple[PrecheckRow, ...]),
    EvaluationStage(WITH_NEIGHBOURS, outcomes_with_neighbours, tuple[PrecheckRow, ...]))}
"""By name, in the order in which they are done."""


def do_stage(item: tuple[str, Any]) -> Any:
    """Do the stage that is named with the item: the work of a pool for all stages."""
    stage, given = item
    return STAGES[stage].work(given)


class Evaluation:
    """Does stages in a pool, and keeps the answers in a folder, where they are found again."""

    def __init__(self, pool: JobPool, folder: str | Path, *, retry: bool = False,
                 shows_progress: bool = True) -> None:
        """
        Do nothing yet.

        :param pool: of `do_stage`.
        :param folder: for the records of each stage.
        :param retry: do once more what gave no answer.
        """
        self._pool, self._folder, self._retry = pool, Path(folder), retry
        self._shows_progress = shows_progress
        #: 'FILE: while STAGE: why' of what gave no answer; of judging, but for what an episode
        #: cannot be judged by, such as that nobody knows how it ended
        self.failures: list[str] = []

    def answers(self, stage: str, items: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
        """
        Yield path, answer and why there is none ('' for an answer), as they come.

        :param items: path of an episode -> what the stage is done with.
        """
        jobs = [Job(path, (stage, item), _lineage(stage, path, item))
                for path, item in items.items()]
        with ended_by_sigterm(), self._shown(stage) as show:
            for record in run_jobs_in(
                    self._pool, jobs, self._folder, retry=self._retry,
                    name=f'{stage.replace(" ", "_")}.jsonl',
                    progress=lambda so_far: show(so_far.done, so_far.total, _words(so_far.kept))):
                answer, why = self._answer(stage, record)
                if record.failure is not None and (
                        stage != JUDGING or record.failure.kind is not FailureKind.REFUSED):
                    self.failures.append(f'{Path(record.key).name}: while {stage}: {why}')
                yield record.key, answer, why

    def found(self, stage: str, items: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answers by path, in the order of the items; failures are kept aside."""
        found = {}
        for path, answer, why in self.answers(stage, items):
            if not why:
                found[path] = answer
        return {path: found[path] for path in items if path in found}

    def _answer(self, stage: str, record: JobRecord) -> tuple[Any, str]:
        if record.failure is not None:
            return None, record.failure.why or record.failure.kind
        return record.answer_as(STAGES[stage].answer), ''

    def _shown(self, stage: str) -> AbstractContextManager[Callable[[int, int | None, str], None]]:
        if self._shows_progress:
            return shown_progress(stage, 'episodes')
        return nullcontext(lambda *_: None)


def _lineage(stage: str, path: str, item: Any) -> dict[str, str]:
    files = [item.before] if isinstance(item, MotionPair) and item.before else []
    try:
        return episode_lineage(path, stage, files=files)
    except OSError as error:      # the stage says what is wrong
        return lineage_of([stage, str(error)])


def _words(kept: int) -> str:
    return f'{kept} were there already' if kept else ''


def has_several_cameras(path: str | Path) -> bool:
    """Return whether a file can be read and is of several cameras."""
    try:
        return len(Episode.open(path).cameras) > 1
    except Kinema4DError:
        return False


@cache
def _prechecker() -> EpisodePrechecker:
    return EpisodePrechecker()


@cache
def _real_camera() -> RealCamera:
    return RealCamera()


@cache
def _predictors() -> tuple[EpisodePredictor, ...]:
    return EpisodePredictor('frozen'), EpisodePredictor('kinematic')      # the baseline first


@cache
def _several_cameras() -> SeveralCameras:
    return SeveralCameras()


@cache
def _second_motions() -> SecondMotions:
    return SecondMotions()
