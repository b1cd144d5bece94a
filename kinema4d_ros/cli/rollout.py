# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d rollout`: whole tasks of policies in the predicted world."""
from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli import precheck

if TYPE_CHECKING:
    from kinema4d_ros.policy.closed_loop.record import RolloutRecord

HELP = 'let policies do whole tasks in the predicted world'
EPILOG = """\
Each policy begins at each start: it is shown pictures of the predicted world and the joints, a part
of its chunk is executed, the world model says what that does, and so on, until the task is solved,
the policy is done, or time is up. The goal of the episode judges. Where too much of what the policy
saw was never seen by a camera, or nothing can be foreseen, the run is UNSURE and no success.

Each run is a line of FOLDER/records.jsonl. What has a line is not run again: stopped by Ctrl-C, or
by anything else, the same command goes on from there. Exit code 1 where runs gave no result.

a POLICY is an address, or NAME=ADDRESS:
  recorded                        plays the motion of the episode; `still` does nothing
  openpi://HOST:PORT?preset=NAME  a server in the dialect of openpi or RoboArena; the preset is a
                                  YAML file, or one of config/policies: droid, libero, ...; further
                                  options, after &: timeout [s], api_key, tip_link
  python:MODULE:CALLABLE?KEY=VAL  CALLABLE(context, KEY=VAL) makes a policy for each run; the
                                  context has robot, episode, seed (makers.RunContext)
  NAME                            of an entry point of the group kinema4d_ros.policies

examples:
  kinema4d rollout recorded still --start libero_object_0_0_success --wrist libero
  kinema4d rollout pi05='openpi://localhost:8000?preset=libero' --start mine/*.mcap --jobs 4
  kinema4d rollout a=python:mine:make b='python:mine:make?noise=0.1' --start x.mcap --seeds 0,1,2
  kinema4d rollout recorded --start mine/*.mcap --world-model physics --episodes --videos
  kinema4d rollout a=python:mine:make --start mine/*.mcap --compare out/true/records.jsonl"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('policies', metavar='POLICY', nargs='+', help='see below')
    parser.add_argument('--start', metavar='EPISODE', nargs='+', required=True,
                        help='.mcap files, or names of bundled episodes: their first observation, '
                             'task and goal')
    parser.add_argument('--seeds', type=seeds, default=(0,), metavar='0,1,2',
                        help='each policy begins at each start once with each (default 0)')
    parser.add_argument('--out', type=Path, default=Path('out/rollout'), metavar='FOLDER',
                        help='for records.jsonl, which is continued (%(default)s)')
    world = parser.add_argument_group('the world')
    world.add_argument('--world-model', default='kinematic', metavar='NAME',
                       help='that predicts it (default kinematic)')
    world.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                       help='a setting of the world model; may be repeated')
    world.add_argument('--world', default='predicted', metavar='ADDRESS',
                       help='another world than a predicted one, as python:MODULE:CALLABLE')
    world.add_argument('--goal', default='', metavar='RUBRIC',
                       help='that judges: a YAML file, or the name of one in config/rubrics '
                            '(default that of each episode)')
    world.add_argument('--frames', type=precheck.frames, default=49, metavar='N',
                       help='that a model which goes on from its own last picture predicts of each '
                            'chunk (default 49)')
    seen = parser.add_argument_group('what the policy sees and does')
    seen.add_argument('--wrist', default='', metavar='VIEW',
                      help='where a camera sits on the wrist that the episodes do not have: a YAML '
                           'file, or one of config/views, such as libero')
    seen.add_argument('--size', type=size, default=(224, 224), metavar='HxW',
                      help='of its pictures, resized with black bars; 0x0 for those of the cameras '
                           '(default 224x224)')
    seen.add_argument('--executed', type=int, default=0, metavar='K',
                      help='actions of a chunk that are executed before it is asked again (default '
                           'all, or what the preset of a server says)')
    ends = parser.add_argument_group('when a run ends')
    ends.add_argument('--horizon', type=float, default=40.0, metavar='S',
                      help="seconds of the robot's time (default %(default)g)")
    ends.add_argument('--unseen', type=float, default=0.5, metavar='SHARE',
                      help='a run is UNSURE when more of a picture that the policy looks at was '
                           'never seen by a camera (default %(default)g)')
    ends.add_argument('--drift', type=float, default=120.0, metavar='S',
                      help='likewise when the last real picture is longer ago (default '
                           '%(default)g)')
    how = parser.add_argument_group('how it is run and kept')
    how.add_argument('--jobs', type=int, default=0, metavar='N',
                     help='processes (default half of the processors, on Ray all of them; a GPU '
                          'serves one)')
    how.add_argument('--run-timeout', type=float, default=0.0, metavar='S',
                     help='a run that takes longer gives no result, and its process is ended with '
                          'all that it started (default 0: it may hang for ever)')
    how.add_argument('--ray', default='', metavar='ADDRESS',
                     help='on a Ray cluster (the extra [cluster]) in place of processes; `local` '
                          'for one on this machine')
    how.add_argument('--episodes', action='store_true',
                     help='keep each run as an episode too, FOLDER/episodes/NAME.mcap')
    how.add_argument('--videos', action='store_true', help='and as a video, FOLDER/videos/NAME.mp4')
    how.add_argument('--film-rate', type=float, default=5.0, metavar='HZ',
                     help='pictures per second in both (default %(default)g)')
    how.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                     help='where mesh packages are; may be repeated')
    how.add_argument('--compare', type=Path, metavar='TRUE',
                     help='records of the same policies, starts and seeds in the true world: '
                          'writes FOLDER/policies.html and .json, how well the prediction tells')
    how.add_argument('--json', action='store_true', help='the records as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Run what has no record, and show what came of all."""
    import os

    from kinema4d_ros.cli import show
    from kinema4d_ros.episodes import find_episode
    from kinema4d_ros.jobs import ended_by_sigterm
    from kinema4d_ros.policy.closed_loop import RunLimits
    from kinema4d_ros.policy.closed_loop.plan import named_policies, planned_runs, RolloutSettings
    from kinema4d_ros.policy.closed_loop.records import read_records
    from kinema4d_ros.policy.closed_loop.rollouts import run_rollouts

    out: Path = options.out
    settings = RolloutSettings(
        options.world, options.world_model, precheck.settings_of(options.set), options.frames,
        options.size, options.wrist, options.executed, options.goal,
        RunLimits(options.horizon, options.unseen, options.drift),
        str(out / 'episodes') if options.episodes else '',
        str(out / 'videos') if options.videos else '', options.film_rate,
        tuple(options.package_path))
    runs = planned_runs(named_policies(options.policies),
                        [str(find_episode(name)) for name in options.start], options.seeds)
    jobs = options.jobs or (0 if options.ray else max(1, (os.cpu_count() or 2) // 2))
    true = [] if options.compare is None else read_records(options.compare)
    show.say_first_run()
    with progress() as report, ended_by_sigterm():
        try:
            records = run_rollouts(runs, settings, out, jobs=jobs, ray=options.ray,
                                   run_timeout=options.run_timeout, progress=report)
        except KeyboardInterrupt:
            print(f'\nstopped; what is done is in {out}, and the same command goes on from there',
                  file=sys.stderr)
            raise
    if options.json:
        show.write_json(records)
    else:
        print_records(records)
        print(f'written: {out / "records.jsonl"}')
    if options.compare is not None:
        compare(records, true, settings.world_name, out)
    say_what_has_no_file(records, options.episodes, options.videos)
    failed = [record for record in records if record.error]
    for record in failed[:3]:
        print(f'no result: {record.policy} from {record.start}: {record.error}', file=sys.stderr)
    return Exit.FAIL if failed else Exit.PASS


def compare(records: Sequence[RolloutRecord], true: Sequence[RolloutRecord], world: str,
            out: Path) -> None:
    """Write how well the runs of a world tell the true ones, as a page and as JSON."""
    import json

    from kinema4d_ros.evaluation import policies

    runs = policies.pair(records, true)
    figures = {world: policies.summarize(runs)}
    policies.write_page(out / 'policies.html', figures, {world: runs})
    (out / 'policies.json').write_text(json.dumps(policies.as_json(figures), indent=1))
    print(f'written: {out / "policies.html"} and policies.json, from {len(runs)} pairs of runs',
          file=sys.stderr)


def say_what_has_no_file(records: Sequence[RolloutRecord], episodes: bool, videos: bool) -> None:
    """Say how many runs lack the files that were asked for: they were kept, not made again."""
    for what, is_asked, paths in (
            ('episode', episodes, [record.episode for record in records if not record.error]),
            ('video', videos, [record.video for record in records if not record.error])):
        lacking = sum(not path or not Path(path).is_file() for path in paths)
        if is_asked and lacking:
            print(f'{lacking} kept runs have no {what}, which is made with a run only; use another '
                  '--out', file=sys.stderr)


@contextlib.contextmanager
def progress() -> Iterator[Callable[[RolloutRecord | None, int, int], None]]:
    """Show how many runs are done and when the rest will be."""
    from kinema4d_ros.jobs import shown_progress

    counts: Counter[str] = Counter()
    with shown_progress('rollout', 'runs') as show:

        def report(record: RolloutRecord | None, done: int, total: int) -> None:
            if record is not None:
                counts[_word(record)] += 1
            elif done:
                print(f'{done} of {total} runs are there already', file=sys.stderr)
            show(done, total, ', '.join(f'{count} {word}' for word, count in counts.items()))

        yield report


def print_records(records: Sequence[RolloutRecord]) -> None:
    """
    Print a table of policies, and each run below where there are few.

    With the success rate's Wilson interval of the decided runs, and its bounds: every UNSURE a
    failure, every UNSURE a success.
    """
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli.show import console
    from kinema4d_ros.evaluation.policies.outcomes import PredictedRate
    from kinema4d_ros.evaluation.statistics import Rate

    table = Table(box=None, pad_edge=False)
    for heading in ('policy', 'runs', 'success', 'failure', 'UNSURE', '95 % of decided',
                    'UNSURE both ways', 'no result', 'near misses', 'seconds per run'):
        table.add_column(heading, justify='left' if heading == 'policy' else 'right')
    for policy in dict.fromkeys(record.policy for record in records):
        mine = [record for record in records if record.policy == policy]
        counts = Counter(_word(record) for record in mine)
        near = sum(record.outcome.is_near_miss is True for record in mine)
        rate = PredictedRate(Rate(counts['success'], counts['success'] + counts['failure']),
                             counts['UNSURE'])
        spans = (' to '.join(f'{100 * end:.0f}' for end in ends) + ' %'
                 for ends in (rate.decided.interval, rate.bounds))
        table.add_row(escape(policy), str(len(mine)), *(
            str(counts[word]) for word in ('success', 'failure', 'UNSURE')), *spans,
            str(counts['no result']), str(near),
            f'{sum(record.wall_seconds for record in mine) / len(mine):.1f}')
    out = console()
    out.print(table)
    if len(records) <= 12:
        out.print()
        for record in records:
            out.print(f'{_word(record):9} {record.policy} from {record.start}, '
                      f'{record.ended.value} after {record.duration:.1f} s: '
                      f'{record.outcome.reason}', markup=False, highlight=False)


def _word(record: RolloutRecord) -> str:
    if record.error:
        return 'no result'
    return 'UNSURE' if record.success is None else 'success' if record.success else 'failure'


def seeds(text: str) -> tuple[int, ...]:
    """Read seeds such as 0,1,2."""
    words = text.split(',')
    if not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f'{text!r}; give whole numbers, each once, such as 0,1,2')
    return tuple(map(int, words))


def size(text: str) -> tuple[int, int]:
    """Read a size such as 224x224."""
    height, sign, width = text.partition('x')
    if not sign or not height.isdecimal() or not width.isdecimal() \
            or bool(int(height)) != bool(int(width)):
        raise argparse.ArgumentTypeError(f'{text!r}; give HEIGHTxWIDTH, such as 224x224')
    return int(height), int(width)
