#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Judge recorded trajectories and compare with what their execution did; writes out/evaluate/.

  make evaluate                                       # the bundled episodes
  make evaluate ARGS='--episodes out/evaluation'      # a folder of your own recordings
  .venv-sim/bin/python scripts/record_libero.py --suite libero_object,libero_spatial \
      --task 0-9 --init 0-4 --camera-every 40 --out out/evaluation      # makes such a folder

report.html shows it all on one page, with what the world models predict; report.json has the
figures. Latencies are those of as many processes at once as --jobs says; `make bench` measures one
alone. Exit status 1 when a goal is missed (--strict).
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.episodes import Episode  # noqa: E402
from kinema4d_ros.errors import Kinema4DError  # noqa: E402 - after the path
from kinema4d_ros.evaluation import hidden_obstacles  # noqa: E402
from kinema4d_ros.evaluation.hidden_obstacles import HiddenObstacleRow  # noqa: E402
from kinema4d_ros.evaluation.prechecks import EpisodePrechecker, PrecheckRow  # noqa: E402
from kinema4d_ros.evaluation.report import EpisodeReport, write_report  # noqa: E402
from kinema4d_ros.evaluation.report.depict import depict, described, EpisodePredictor  # noqa: E402
from kinema4d_ros.evaluation.real_camera import (  # noqa: E402
    camera_figures, camera_markdown, CameraRow, missed_camera_goals, RealCamera)
from kinema4d_ros.evaluation.report.rates import camera_sections, figures_of  # noqa: E402
from kinema4d_ros.evaluation.several_cameras import (  # noqa: E402
    several_cameras_markdown, SeveralCameras, SeveralCamerasRow)
from kinema4d_ros.evaluation.shadow_obstacles import shadow_rows  # noqa: E402
from kinema4d_ros.evaluation.statistics import as_json, markdown, missed_goals, summarize  # noqa: E402


def main() -> int:
    """Evaluate and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--episodes', type=Path, nargs='+',
                        default=[REPOSITORY / 'data' / 'episodes'],
                        help='folders of .mcap files, or such files')
    parser.add_argument('--out', type=Path, default=Path('out/evaluate'), help='folder')
    parser.add_argument('--jobs', type=int, default=min(2, os.cpu_count() or 1),
                        help='processes at once (default: %(default)s)')
    parser.add_argument('--predict', type=int, default=24, metavar='N',
                        help='episodes that the world models predict, for pictures and metrics; '
                        'wrong verdicts first (default: %(default)s)')
    parser.add_argument('--camera', type=int, default=15, metavar='N',
                        help='episodes that are judged once more as a real camera shows them, 0 '
                        'for none (default: %(default)s)')
    parser.add_argument('--hide', type=int, default=4, metavar='N',
                        help='episodes into which obstacles are put that the depth does not show '
                        '(default: %(default)s)')
    parser.add_argument('--views', type=int, default=4, metavar='N',
                        help='episodes of several cameras that are judged by one, two, ... of them '
                        '(default: %(default)s)')
    parser.add_argument('--strict', action='store_true', help='exit status 1 for a missed goal')
    options = parser.parse_args()
    paths = sorted({path for given in options.episodes for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if not paths:
        parser.error(f'no .mcap file in {", ".join(map(str, options.episodes))}')
    with workers(max(1, min(options.jobs, len(paths)))) as pool:
        rows, unread = prechecked(paths, pool)
        reports = depicted(rows, pool, max(0, options.predict))
        cameras = as_real_cameras_show(rows, pool, max(0, options.camera))
        hidden = with_hidden_obstacles(rows, pool, max(0, options.hide))
        views = by_several_cameras(paths, pool, max(0, options.views))
    if not rows:
        return 1
    sections = {'all': summarize(rows)}
    suites = sorted({row.suite for row in rows})
    if len(suites) > 1:
        sections |= {suite: summarize([row for row in rows if row.suite == suite])
                     for suite in suites}
    real = camera_figures(cameras)
    missed = missed_goals(sections['all']) + missed_camera_goals(real)
    options.out.mkdir(parents=True, exist_ok=True)
    report = {'figures': as_json(sections), 'real_camera': as_json(real),
              'real_camera_rows': [dataclasses.asdict(row) for row in cameras],
              'hidden_obstacles': [dataclasses.asdict(row) for row in hidden],
              'several_cameras': [dataclasses.asdict(row) for row in views],
              'missed_goals': missed,
              'unread': unread, 'episodes': [as_record(row) for row in rows]}
    (options.out / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    text = '\n'.join(['# Verdicts on recorded episodes', '', summarize.__doc__.strip(), '',
                      *(markdown(name, figures) for name, figures in sections.items()),
                      *([camera_markdown(real)] if real else []),
                      hidden_obstacles.markdown(hidden), several_cameras_markdown(views),
                      details(rows)])
    (options.out / 'report.md').write_text(text)
    print(markdown('All', sections['all']))
    if real:
        print(camera_markdown(real))
    print(hidden_obstacles.markdown(hidden))
    print(several_cameras_markdown(views))
    for line in missed:
        print(f'goal missed: {line}')
    write_report(
        options.out / 'report.html', reports, title='Verdicts on recorded episodes',
        note='What was said of a trajectory before it was executed, and what came of it.',
        figures=[figures_of('All episodes' if name == 'all' else name, section)
                 for name, section in sections.items()] + camera_sections(real))
    print(f'written to {options.out}: report.html, report.md and report.json')
    return 1 if options.strict and missed else 0


def prechecked(paths: list[Path], pool: Executor) -> tuple[list[PrecheckRow], list[str]]:
    """Return the rows in order of the paths, and why some episodes have none; shows progress."""
    found, unread = {}, []
    with progress_bar() as progress:
        bar, console = progress.add_task('judging', total=len(paths)), progress.console
        for path, answer in answers(precheck, paths, pool):
            if isinstance(answer, str):
                unread.append(answer)
                console.print(f'{path.name}: not judged: {answer}', soft_wrap=True, markup=False)
            else:
                found[path] = answer
                mark = ' ' if answer.predicted in (None, answer.success) else '!'
                print(f'{mark} {answer.name}: {answer.status.name}, success {answer.success}, '
                      f'foreseen {likely(answer)}; {answer.verdict.summary}', flush=True)
            progress.advance(bar)
    return [found[path] for path in paths if path in found], sorted(unread)


def depicted(rows: list[PrecheckRow], pool: Executor, most: int) -> list[EpisodeReport]:
    """Return what the page shows of each episode, `most` with predictions; shows progress."""
    wrong = [row for row in rows if faults(row)]
    right = [row for row in rows if not faults(row)]
    rest = max(0, most - len(wrong))
    spread = right[::max(1, math.ceil(len(right) / rest))] if rest else []
    chosen = (wrong + spread)[:most]
    found = {}
    with progress_bar() as progress:
        bar = progress.add_task('predicting', total=len(chosen))
        for row, report in answers(predict, chosen, pool):
            found[row.path] = report
            progress.advance(bar)
    return [found.get(row.path) or without_prediction(row) for row in rows]


def as_real_cameras_show(rows: list[PrecheckRow], pool: Executor, most: int) -> list[CameraRow]:
    """Return the verdicts on `most` of the episodes under each condition; shows progress."""
    chosen = rows[::max(1, math.ceil(len(rows) / most))] if most else []
    found = {}
    with progress_bar() as progress:
        bar = progress.add_task('a real camera', total=len(chosen))
        for row, answer in answers(judge_as_real_cameras, chosen, pool):
            found[row.path] = answer
            progress.advance(bar)
    return [one for row in chosen for one in found[row.path]]


def with_hidden_obstacles(rows: list[PrecheckRow], pool: Executor,
                          most: int) -> list[HiddenObstacleRow]:
    """Return what is said of motions through obstacles that the depth does not show."""
    passed = [row.path for row in rows if row.status.name == 'PASS']
    chosen = passed[::max(1, math.ceil(len(passed) / most))][:most] if most else []
    found = {}
    with progress_bar() as progress:
        bar = progress.add_task('hiding', total=len(chosen))
        for path, hidden in answers(hide, chosen, pool):
            found[path] = hidden
            progress.advance(bar)
    return [row for path in chosen for row in found[path]]


def by_several_cameras(paths: list[Path], pool: Executor, most: int) -> list[SeveralCamerasRow]:
    """Return the verdicts on `most` of the episodes by one, two, ... of their cameras."""
    several = [path for path in paths if has_several_cameras(path)]
    chosen = several[::max(1, math.ceil(len(several) / most))] if most else []
    found = {}
    with progress_bar() as progress:
        bar = progress.add_task('several cameras', total=len(chosen))
        for path, answer in answers(judge_by_several_cameras, chosen, pool):
            found[path] = answer
            progress.advance(bar)
    return [row for path in chosen for row in found[path]]


def has_several_cameras(path: Path) -> bool:
    """Return whether a file can be read and is of several cameras."""
    try:
        return len(Episode.open(path).cameras) > 1
    except Kinema4DError:
        return False


@cache
def several_cameras() -> SeveralCameras:
    """Return what judges episodes by more and more of their cameras, in this process."""
    return SeveralCameras()


def judge_by_several_cameras(path: Path) -> list[SeveralCamerasRow]:
    """Return the verdicts on an episode by one, two, ... of its cameras."""
    return several_cameras()(path)


def hide(path: str) -> list[HiddenObstacleRow]:
    """Return the rows of one episode."""
    episode = Episode.open(path)
    first = episode.observation(cameras=(episode.cameras[0].name,))
    checker = hidden_obstacles.checker_of(episode.robot_description)
    return [*hidden_obstacles.hidden_obstacle_rows([path]),
            *shadow_rows(Path(path).stem, first, episode.trajectory, checker)]


def progress_bar():
    """Return a bar that counts and says how long it takes, and goes when it is done."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    return Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(),
                    TimeRemainingColumn(), console=Console(stderr=True), transient=True)


def workers(jobs: int) -> Executor:
    """Return what does so many things at once: processes, or for one this process."""
    if jobs == 1:
        return ThreadPoolExecutor(1)
    # Two processes of one thread each share two cores better than one with two threads.
    for library in ('NUMBA', 'OMP'):
        os.environ.setdefault(f'{library}_NUM_THREADS', '1')
    return ProcessPoolExecutor(jobs, multiprocessing.get_context('spawn'))


def answers(work: Callable, tasks: list, pool: Executor) -> Iterator[tuple]:
    """Yield each task with its answer, as they are done."""
    waiting = {pool.submit(work, task): task for task in tasks}
    try:
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    finally:
        for future in waiting:       # after Ctrl-C nothing new is begun
            future.cancel()


@cache
def prechecker() -> EpisodePrechecker:
    """Return what judges episodes in this process."""
    return EpisodePrechecker()


def precheck(path: Path) -> PrecheckRow | str:
    """Return the row of an episode, or why there is none."""
    try:
        return prechecker()(path)
    except Kinema4DError as error:
        return str(error)


@cache
def real_camera() -> RealCamera:
    """Return what judges episodes as real cameras show them, in this process."""
    return RealCamera()


def judge_as_real_cameras(row: PrecheckRow) -> list[CameraRow]:
    """Return the verdicts on an episode under each condition."""
    return real_camera()(row.path)


@cache
def predictors() -> tuple[EpisodePredictor, ...]:
    """Return the world models of this process, the baseline first."""
    return EpisodePredictor('frozen'), EpisodePredictor('kinematic')


def predict(row: PrecheckRow) -> EpisodeReport:
    """Return what the page shows of a judged episode that is predicted."""
    episode, futures = Episode.open(row.path), {}
    for predictor in predictors():
        robot, futures[predictor.world_model] = predictor(episode)
    return depict(episode, row.verdict, robot, futures, moving=False,
                  true_clearances=row.true_clearances)


def without_prediction(row: PrecheckRow) -> EpisodeReport:
    """Return what the page says of a judged episode that is not predicted."""
    return described(Episode.open(row.path), row.verdict, true_clearances=row.true_clearances)


def as_record(row: PrecheckRow) -> dict:
    """Return a row for JSON."""
    verdict = row.verdict
    return {'name': row.name, 'suite': row.suite, 'kind': row.kind, 'status': row.status.name,
            'summary': verdict.summary, 'outcome': verdict.outcome,
            'probability': row.probability, 'foreseen': row.predicted, 'success': row.success,
            'solved': row.solved, 'touched': row.touched, 'strayed': row.labels.strayed,
            'disturbed': row.labels.disturbed, 'lifted': row.labels.lifted,
            'grasp_foreseen': row.grasp_foreseen,
            'min_clearance_m': finite([verdict.min_clearance])[0],
            'clearances': [{'time_s': sample.time, 'distance_m': sample.distance,
                            'sigma_m': sample.sigma, 'link': sample.link}
                           for sample in verdict.clearances],
            'true_clearances_m': finite(row.true_clearances), 'seconds': dict(row.seconds),
            'cpu_seconds': row.cpu_seconds,
            'against': [f'{f.severity.name} {f.code.name}: {f.message}' for f in row.against]}


def finite(values: Iterable[float | None]) -> list[float | None]:
    """Return numbers for JSON, which knows no infinity."""
    return [value if value is not None and math.isfinite(value) else None for value in values]


def details(rows: list[PrecheckRow]) -> str:
    """Return what was foreseen wrongly, or judged against the truth."""
    lines = ['## Episodes to look at', '']
    for row in rows:
        if why := faults(row):
            lines += [f'* {row.name}: {", ".join(why)}. {row.status.name}: {row.verdict.summary}. '
                      f'Foreseen: {row.verdict.outcome or "nothing moves"} '
                      f'({likely(row)}); success: {row.success}']
    return '\n'.join(lines) + '\n'


def likely(row: PrecheckRow) -> str:
    """Return how likely success was said to be, in words."""
    return 'unknown' if row.probability is None else f'{row.probability:.2f}'


def faults(row: PrecheckRow) -> list[str]:
    """Return what was foreseen wrongly or judged against the truth, in words."""
    passed = row.status.name == 'PASS'
    return [word for word, holds in (
        ('outcome foreseen wrongly', row.predicted not in (None, row.success)),
        ('stopped without danger', not passed and not row.dangerous),
        ('danger not seen', passed and row.dangerous)) if holds]


if __name__ == '__main__':
    sys.exit(main())
