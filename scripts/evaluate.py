#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Judge recorded trajectories and compare with what their execution did; writes out/evaluate/.

  make evaluate                                       # the bundled episodes
  make evaluate ARGS='--episodes out/evaluation'      # a folder of your own recordings
  .venv-sim/bin/python scripts/record_libero.py --suite libero_object,libero_spatial \
      --task 0-9 --init 0-4 --out out/evaluation      # makes such a folder

Every other episode (by name) is the half that the rules were tuned on, the others are held out;
both halves are reported apart and together. Exit status 1 when a goal is missed (--strict).
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.errors import Kinema4DError  # noqa: E402 - after the path
from kinema4d_ros.evaluation.prechecks import EpisodeJudge, PrecheckRow  # noqa: E402
from kinema4d_ros.evaluation.statistics import (  # noqa: E402
    as_json, markdown, missed_goals, summarize)


def main() -> int:
    """Evaluate and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--episodes', type=Path, nargs='+',
                        default=[REPOSITORY / 'data' / 'episodes'],
                        help='folders of .mcap files, or such files')
    parser.add_argument('--out', type=Path, default=Path('out/evaluate'), help='folder')
    parser.add_argument('--strict', action='store_true',
                        help='exit status 1 when the held-out half misses a goal')
    options = parser.parse_args()
    paths = sorted({path for given in options.episodes for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if not paths:
        parser.error(f'no .mcap file in {", ".join(map(str, options.episodes))}')
    rows, unread, judge = [], [], EpisodeJudge()
    for number, path in enumerate(paths, 1):
        begun = time.monotonic()
        try:
            row = judge(path)
        except Kinema4DError as error:
            unread.append(str(error))
            print(f'[{number}/{len(paths)}] {path.name}: not judged: {error}', file=sys.stderr)
            continue
        rows.append(row)
        mark = ' ' if row.predicted == row.success else '!'
        print(f'[{number}/{len(paths)}]{mark}{row.name}: {row.status.name}, success '
              f'{row.success}, foreseen {row.probability:.2f}; {row.summary} '
              f'[{time.monotonic() - begun:.1f} s]', flush=True)
    if not rows:
        return 1
    sections = {'all': summarize(rows), 'tuned': summarize(rows[::2]),
                'held_out': summarize(rows[1::2])}
    missed = missed_goals(sections['held_out'])
    options.out.mkdir(parents=True, exist_ok=True)
    report = {'figures': as_json(sections), 'missed_goals_held_out': missed,
              'unread': unread, 'episodes': [described(row) for row in rows]}
    (options.out / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    text = '\n'.join(['# Verdicts on recorded episodes', '', summarize.__doc__.strip(), '',
                      markdown('Held-out half', sections['held_out']),
                      markdown('Half that the rules were tuned on', sections['tuned']),
                      markdown('All', sections['all']), details(rows)])
    (options.out / 'report.md').write_text(text)
    print(markdown('Held-out half', sections['held_out']))
    print(markdown('All', sections['all']))
    for line in missed:
        print(f'goal missed: {line}')
    print(f'written to {options.out / "report.json"} and {options.out / "report.md"}')
    return 1 if options.strict and missed else 0


def described(row: PrecheckRow) -> dict:
    """Return a row for JSON."""
    return {'name': row.name, 'kind': row.kind, 'status': row.status.name,
            'summary': row.summary, 'outcome': row.outcome, 'probability': row.probability,
            'foreseen': row.predicted, 'success': row.success, 'touched': row.touched,
            'disturbed': row.disturbed, 'min_clearance_m': row.min_clearance,
            'seconds': row.seconds, 'cpu_seconds': row.cpu_seconds,
            'against': [f'{f.severity.name} {f.code.name}: {f.message}' for f in row.against]}


def details(rows: list[PrecheckRow]) -> str:
    """Return what was foreseen wrongly, or judged against the truth."""
    lines = ['## Episodes to look at', '']
    for row in rows:
        wrong = row.predicted != row.success
        alarm = row.status.name != 'PASS' and not row.dangerous
        missed = row.status.name == 'PASS' and row.dangerous
        if wrong or alarm or missed:
            why = ', '.join(word for word, holds in (
                ('outcome foreseen wrongly', wrong), ('stopped without danger', alarm),
                ('danger not seen', missed)) if holds)
            lines += [f'* {row.name}: {why}. {row.status.name}: {row.summary}. Foreseen: '
                      f'{row.outcome or "nothing moves"} ({row.probability:.2f}); success: '
                      f'{row.success}']
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    sys.exit(main())
