#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Compare world models by where things end: pushed, toppled, dragged, dropped, carried.

  .venv-sim/bin/python scripts/record_libero.py --suite libero_object --task 0-9 --init 20 \
      --kind push,topple,drag,drop,carry --camera-every 4 --depth-every 4 --out out/things
  .venv/bin/python scripts/evaluate_world_models.py --episodes out/things
  .venv/bin/python scripts/evaluate_world_models.py --episodes out/things --camera real
  .venv/bin/python scripts/evaluate_world_models.py --episodes out/large --pictures 2
  .venv/bin/python scripts/evaluate_world_models.py --episodes out/second --demands second

Writes world_models.json and world_models.md. An episode needs the true poses of its things; each
is predicted from its first image alone. --camera real puts the noise, edges and holes of a stereo
camera on that image's depth, always the same for an episode. --pictures N also measures N frames
of each episode by the metrics that papers report, which takes seconds a frame. What is said of each
episode is kept in OUT/jobs/ and used again as long as code, settings, weights and recording are the
same: stopped by Ctrl-C or anything else, the same command goes on from there. An episode that
cannot be predicted stops no other.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.errors import Kinema4DError  # noqa: E402 - after the path
from kinema4d_ros.evaluation.full_frame import full_frame_markdown  # noqa: E402
from kinema4d_ros.evaluation.thing_figures import (DEMANDS, REAL_DEMANDS,  # noqa: E402
                                                   SECOND_DEMANDS, thing_figures,
                                                   things_markdown, worse_than)
from kinema4d_ros.evaluation.thing_trials import (CAMERAS, job_of, ModelTrial,  # noqa: E402
                                                  TrialSettings, try_models, weights_of)
from kinema4d_ros.jobs import (ended_by_sigterm, JobRecord, open_pool, PoolSettings,  # noqa: E402
                               run_jobs_in)

RUNGS = {'as recorded': DEMANDS, 'real': REAL_DEMANDS, 'second': SECOND_DEMANDS}
FRAMES = 49
Answers = dict[str, Mapping[str, ModelTrial]]      # by path, in order


def arguments() -> tuple[argparse.Namespace, list[Path]]:
    """Return the parsed command line, and the episodes that it names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--episodes', type=Path, nargs='+', required=True,
                        help='folders of .mcap files, or such files')
    parser.add_argument('--models', nargs='+', default=['frozen', 'kinematic'], help='by name')
    parser.add_argument('--camera', choices=CAMERAS, default='as recorded',
                        help='what it makes of the depth (default: %(default)s)')
    parser.add_argument('--demands', choices=RUNGS, default=None,
                        help='which are marked in the table (default: those of the camera)')
    parser.add_argument('--pictures', type=int, default=0, metavar='N',
                        help='frames of each episode that are compared as pictures')
    parser.add_argument('--frames', type=int, default=FRAMES, help='that are predicted')
    parser.add_argument('--out', type=Path, default=Path('out/world_models'), help='folder')
    parser.add_argument('--workers', '--jobs', type=int, default=min(2, os.cpu_count() or 1),
                        metavar='N', help='processes at once, 0 for this one alone (default: '
                        '%(default)s)')
    parser.add_argument('--ray', default='', metavar='ADDRESS',
                        help='on a Ray cluster (the extra [cluster]) in place of processes of '
                        'this machine; `local` for one that is started here')
    parser.add_argument('--strict', action='store_true',
                        help='exit status 1 when the last model misses a demand')
    options = parser.parse_args()
    paths = sorted({path for given in options.episodes for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if not paths:
        parser.error(f'no .mcap file in {", ".join(map(str, options.episodes))}')
    return options, paths


def main() -> int:
    """Evaluate and report."""
    options, paths = arguments()
    kept = options.out / 'jobs'
    try:
        answers, failures = predicted(paths, options, kept)
    except KeyboardInterrupt:
        print(f'\nstopped; what is done is in {kept}, and the same command goes on from there',
              file=sys.stderr)
        return 130
    except Kinema4DError as error:
        print(error, file=sys.stderr)
        return 2
    return report(answers, options, failures, len(paths))


def predicted(paths: list[Path], options: argparse.Namespace, kept: Path
              ) -> tuple[Answers, list[str]]:
    """Return what the models say of each episode, and why some could not be predicted."""
    settings = TrialSettings(tuple(options.models), options.camera, options.frames,
                             options.pictures)
    found: Answers = {}
    failures = []
    pool_settings = PoolSettings(min(options.workers, len(paths)), options.ray)
    with open_pool(try_models, pool_settings) as pool, ended_by_sigterm():
        weights = pool.ask(weights_of, settings.models)
        jobs = [job_of(path, settings, weights) for path in paths]
        for number, record in enumerate(run_jobs_in(pool, jobs, kept, retry=True), 1):
            answer, why = answer_of(record)
            name = Path(record.key).name
            if why:
                failures.append(f'{name}: {why}')
                words = f'not predicted: {why}'
            else:
                found[record.key] = answer
                words = '; '.join(f'{model} {trial}' for model, trial in answer.items())
            print(f'[{number}/{len(paths)}] {name}: {words}', flush=True)
    return dict(sorted(found.items())), sorted(failures)


def answer_of(record: JobRecord) -> tuple[Mapping[str, ModelTrial], str]:
    """Return what the models say, and why there is nothing; '' for an answer."""
    if record.failure is not None:
        return {}, record.failure.why or record.failure.kind
    return record.answer_as(Mapping[str, ModelTrial]), ''


def report(answers: Answers, options: argparse.Namespace, failures: list[str], count: int) -> int:
    """Write the files, print the table, and return the exit status."""
    demands = RUNGS[options.demands or options.camera]
    trials = {name: [answer[name] for answer in answers.values()] for name in options.models}
    scores = {name: [score for trial in of for score in trial.scores]
              for name, of in trials.items()}
    pictures = {name: [trial.pictures for trial in of if trial.pictures is not None]
                for name, of in trials.items()}
    figures = {name: thing_figures(scores[name], [trial.members for trial in of])
               for name, of in trials.items()}
    text = things_markdown(f'Things that move, {count - len(failures)} episodes, depth: '
                           f'{options.camera}', figures, demands)
    last = options.models[-1]
    worse = worse_than(scores[last], scores['kinematic']) \
        if 'kinematic' in options.models[:-1] else []
    text += ''.join(f'\n* {last} is more than 2 cm worse than kinematic: {line}' for line in worse)
    if options.pictures:
        text += '\n' + full_frame_markdown(pictures)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / 'world_models.md').write_text(text)
    (options.out / 'world_models.json').write_text(json.dumps(finite({
        'episodes': count, 'not_predicted': failures, 'camera': options.camera,
        'figures': {name: {key: figure.as_dict() for key, figure in of.items()}
                    for name, of in figures.items()},
        'worse_than_kinematic': worse,
        'cpu_seconds': {name: [trial.cpu_seconds for trial in of] for name, of in trials.items()},
        'pictures': {name: [dataclasses.asdict(row) for row in rows]
                     for name, rows in pictures.items()},
        'things': [dataclasses.asdict(score) for name in options.models
                   for score in scores[name]]}), indent=1) + '\n')
    print(text)
    missed = [demand.words for demand in demands
              if not demand.is_held(figures[last][demand.key].value)]
    for line in missed:
        print(f'{last} misses: {line}')
    print(f'written to {options.out}: world_models.md and world_models.json')
    return 1 if failures or options.strict and (missed or worse) else 0


def finite(value: Any) -> Any:
    """Return values for JSON, which knows no NaN."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == '__main__':
    sys.exit(main())
