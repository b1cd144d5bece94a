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
figures. Each answer is kept in FOLDER/jobs/ and used again as long as code and recording are the
same: stopped by Ctrl-C or anything else, the same command goes on from there. Latencies are those
of as many processes at once as --workers says; `make bench` measures one alone. Exit status 1 when
a stage gave no answer, or a goal is missed (--strict); a recording that cannot be judged, such as
one of which nobody knows how it ended, is only named.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.episodes import Episode  # noqa: E402
from kinema4d_ros.errors import Kinema4DError  # noqa: E402 - after the path
from kinema4d_ros.evaluation import hidden_obstacles  # noqa: E402
from kinema4d_ros.evaluation.camera_outcomes import (  # noqa: E402
    camera_outcomes_markdown, SIMULATIONS)
from kinema4d_ros.evaluation.prechecks import PrecheckRow  # noqa: E402
from kinema4d_ros.evaluation.report import EpisodeReport, write_report  # noqa: E402
from kinema4d_ros.evaluation.report.depict import described  # noqa: E402
from kinema4d_ros.evaluation.real_camera import (  # noqa: E402
    camera_figures, camera_markdown, missed_camera_goals)
from kinema4d_ros.evaluation.report.rates import camera_sections, figures_of  # noqa: E402
from kinema4d_ros.evaluation.second_motions import (  # noqa: E402
    MotionPair, second_motions_markdown)
from kinema4d_ros.evaluation.several_cameras import several_cameras_markdown  # noqa: E402
from kinema4d_ros.evaluation.stages import (  # noqa: E402
    BY_CAMERAS, do_stage, Evaluation, has_several_cameras, SECOND, WITH_NEIGHBOURS)
from kinema4d_ros.evaluation.statistics import as_json, markdown, missed_goals, summarize  # noqa: E402
from kinema4d_ros.jobs import open_pool, PoolSettings  # noqa: E402


def main() -> int:
    """Evaluate and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--episodes', type=Path, nargs='+',
                        default=[REPOSITORY / 'data' / 'episodes'],
                        help='folders of .mcap files, or such files')
    parser.add_argument('--out', type=Path, default=Path('out/evaluate'), help='folder')
    parser.add_argument('--workers', '--jobs', type=int, default=min(2, os.cpu_count() or 1),
                        metavar='N', help='processes at once, 0 for this one alone (default: '
                        '%(default)s)')
    parser.add_argument('--ray', default='', metavar='ADDRESS',
                        help='on a Ray cluster (the extra [cluster]) in place of processes of '
                        'this machine; `local` for one that is started here')
    parser.add_argument('--fresh', action='store_true',
                        help='do all again, whatever FOLDER/jobs/ has')
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
    parser.add_argument('--second', type=int, default=4, metavar='N',
                        help='episodes that are judged once more after another motion was '
                        'executed (default: %(default)s)')
    parser.add_argument('--outcomes', type=int, default=0, metavar='N',
                        help='episodes of several cameras whose outcome is foreseen by one, two, '
                        '... of them (default: %(default)s)')
    parser.add_argument('--neighbours', action='store_true', help='those once more with '
                        f'physics.neighbours {SIMULATIONS}, which takes some seconds each')
    parser.add_argument('--strict', action='store_true', help='exit status 1 for a missed goal')
    options = parser.parse_args()
    paths = sorted({str(path) for given in options.episodes for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if not paths:
        parser.error(f'no .mcap file in {", ".join(map(str, options.episodes))}')
    kept = options.out / 'jobs'
    if options.fresh:
        shutil.rmtree(kept, ignore_errors=True)
    try:
        settings = PoolSettings(min(options.workers, len(paths)), options.ray)
        with open_pool(do_stage, settings) as pool:
            evaluation = Evaluation(pool, kept, retry=True)
            rows, unread = prechecked(paths, evaluation)
            reports = depicted(rows, evaluation, max(0, options.predict))
            cameras = of_some([row.path for row in rows], 'real camera', evaluation,
                              options.camera)
            hidden = of_some([row.path for row in rows if row.status.name == 'PASS'], 'hiding',
                             evaluation, options.hide)
            views = of_some([path for path in paths if has_several_cameras(path)],
                            'several cameras', evaluation, options.views)
            second = of_some([row.path for row in rows], SECOND, evaluation, options.second,
                             MotionPair.of(row.path for row in rows) if options.second else {})
            several = [path for path in paths if options.outcomes and has_several_cameras(path)]
            by_cameras = of_some(several, BY_CAMERAS, evaluation, options.outcomes)
            watched = of_some(several if options.neighbours else [], WITH_NEIGHBOURS, evaluation,
                              options.outcomes)
    except KeyboardInterrupt:
        print(f'\nstopped; what is done is in {kept}, and the same command goes on from there',
              file=sys.stderr)
        return 130
    except Kinema4DError as error:
        print(error, file=sys.stderr)
        return 2
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
              'second_motions': [dataclasses.asdict(row) for row in second],
              'outcomes_by_cameras': [as_record(row) for row in by_cameras],
              'outcomes_by_cameras_with_neighbours': [as_record(row) for row in watched],
              'missed_goals': missed,
              'unread': unread, 'failed': evaluation.failures,
              'episodes': [as_record(row) for row in rows]}
    (options.out / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    text = '\n'.join(['# Verdicts on recorded episodes', '', summarize.__doc__.strip(), '',
                      *(markdown(name, figures) for name, figures in sections.items()),
                      *([camera_markdown(real)] if real else []),
                      hidden_obstacles.markdown(hidden), several_cameras_markdown(views),
                      second_motions_markdown(second),
                      camera_outcomes_markdown(by_cameras),
                      camera_outcomes_markdown(watched, SIMULATIONS), details(rows)])
    (options.out / 'report.md').write_text(text)
    print(markdown('All', sections['all']))
    if real:
        print(camera_markdown(real))
    print(hidden_obstacles.markdown(hidden))
    print(several_cameras_markdown(views))
    print(second_motions_markdown(second))
    print(camera_outcomes_markdown(by_cameras), camera_outcomes_markdown(watched, SIMULATIONS))
    for line in missed:
        print(f'goal missed: {line}')
    for line in evaluation.failures:
        print(f'no answer: {line}', file=sys.stderr)
    write_report(
        options.out / 'report.html', reports, title='Verdicts on recorded episodes',
        note='What was said of a trajectory before it was executed, and what came of it.',
        figures=[figures_of('All episodes' if name == 'all' else name, section)
                 for name, section in sections.items()] + camera_sections(real))
    print(f'written to {options.out}: report.html, report.md and report.json')
    return 1 if evaluation.failures or options.strict and missed else 0


def prechecked(paths: list[str], evaluation: Evaluation) -> tuple[list[PrecheckRow], list[str]]:
    """Return the rows in order of the paths, and why some episodes have none."""
    found, unread = {}, []
    for path, row, why in evaluation.answers('judging', {path: path for path in paths}):
        if why:
            unread.append(why)
            print(f'{Path(path).name}: not judged: {why}', file=sys.stderr)
            continue
        found[path] = row
        mark = ' ' if row.predicted in (None, row.success) else '!'
        print(f'{mark} {row.name}: {row.status.name}, success {row.success}, '
              f'foreseen {likely(row)}; {row.verdict.summary}', flush=True)
    return [found[path] for path in paths if path in found], sorted(unread)


def depicted(rows: list[PrecheckRow], evaluation: Evaluation, most: int) -> list[EpisodeReport]:
    """Return what the page shows of each episode, `most` with predictions."""
    wrong = [row for row in rows if faults(row)]
    right = [row for row in rows if not faults(row)]
    rest = max(0, most - len(wrong))
    spread = right[::max(1, math.ceil(len(right) / rest))] if rest else []
    chosen = (wrong + spread)[:most]
    found = evaluation.found('predicting', {row.path: row for row in chosen})
    return [found[row.path].report if row.path in found else without_prediction(row)
            for row in rows]


def of_some(paths: list[str], stage: str, evaluation: Evaluation, most: int,
            items: Mapping[str, Any] = MappingProxyType({})) -> list:
    """
    Return the rows that a stage gives of `most` of the episodes, spread over all.

    :param items: what the stage is done with, by path, where that is not the path.
    """
    most = min(max(most, 0), len(paths))
    chosen = [paths[number * len(paths) // most] for number in range(most)]
    found = evaluation.found(stage, {path: items.get(path, path) for path in chosen})
    return [row for rows in found.values() for row in rows]


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
            'cpu_seconds': row.cpu_seconds, 'cameras': list(row.cameras),
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
