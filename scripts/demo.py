#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Play recorded episodes as a live robot into the real nodes, and show what they predict.

Each node is a process of its own; they talk over DDS on this machine only. For each episode the
folder out/demo/ gets a video of the prediction beside what really happened, a sheet of key
frames, the last predicted point cloud, and a bag of the predictions. A table closes the run, and
report.html shows it all on one page.
"""
from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))    # as the nodes have it, with what Numba compiled for them

from kinema4d_ros.cli.ros import beside, stay_alone, use_large_messages  # noqa: E402

DEFAULT_EPISODES = (
    'libero_object_0_0_success', 'libero_spatial_1_0_success', 'libero_object_0_0_missed_grasp',
    'libero_object_1_0_missed_place', 'libero_object_3_0_slip', 'libero_spatial_0_0_into_table',
    'libero_object_5_0_push', 'libero_object_5_0_topple')
#: what the viewer says where its page is
ADDRESS = re.compile(r'open http\S+ in a browser')
LEAD_IN = 0.5        # [s] the robot stands still, once shadow_sim is ready
PATIENCE = 120.0     # [s] for a first frame; the first start compiles numba code


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0].strip(),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('episodes', nargs='*', type=Path, metavar='EPISODE',
                        help='episode files (.mcap); without any, eight bundled ones')
    parser.add_argument('--all', action='store_true', help='every bundled episode')
    parser.add_argument('--out', type=Path, default=REPOSITORY / 'out' / 'demo',
                        help='folder for the results')
    parser.add_argument('--world-model', default='kinematic', help='which world model predicts')
    parser.add_argument('--frames', type=int, default=49, help='predicted frames')
    parser.add_argument('--view', action='store_true',
                        help='show it all on a web page too, which stays open until Ctrl-C')
    return parser.parse_args()


def bundled(everything: bool) -> list[Path]:
    """Return the bundled episodes: all, or two successes and one of each other kind."""
    paths = sorted((REPOSITORY / 'data' / 'episodes').glob('*.mcap'))
    return [path for path in paths if everything or path.stem in DEFAULT_EPISODES]


def failed(process: subprocess.Popen, log: Path) -> str:
    """Describe a node that ended on its own, with the last lines it wrote."""
    tail = '\n'.join(log.read_text(errors='replace').splitlines()[-15:])
    return f'{log.stem} ended with exit code {process.returncode}; from {log}:\n{tail}'


def watch(subscriber, processes: dict[Path, subprocess.Popen], until, seconds: float,
          what: str) -> None:
    """Spin until a condition holds; stop with a reason when a node dies or time is up."""
    import rclpy

    deadline = time.monotonic() + seconds
    while not until():
        rclpy.spin_once(subscriber, timeout_sec=0.1)
        for log, process in processes.items():
            if process.poll() not in (None, 0):
                raise SystemExit(failed(process, log))
        if time.monotonic() > deadline:
            logs = ', '.join(str(log) for log in processes)
            raise SystemExit(f'waited {seconds:.0f} s for {what}; see {logs}')


def warm_up(console, path: Path, frames: int) -> None:
    """Compile here what the nodes need, and Numba keeps: else the first verdict waits for it."""
    from kinema4d_ros.cli.show import compiled_code
    from kinema4d_ros.episodes import Episode
    from kinema4d_ros.evaluation.prechecks import EpisodePrechecker
    from kinema4d_ros.evaluation.report.depict import EpisodePredictor

    if compiled_code()[1]:
        return
    console.print('compiling, the first time only ...')
    EpisodePrechecker()(path)
    EpisodePredictor('kinematic', frames)(Episode.open(path))


def main() -> int:
    """Run the demo; return the exit code."""
    options = arguments()
    paths = options.episodes or bundled(options.all)
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        there = ', '.join(path.name for path in bundled(True)) or 'none'
        print(f'no such episode: {", ".join(map(str, missing)) or "none is bundled"}\n'
              f'bundled in data/episodes: {there}', file=sys.stderr)
        return 2
    stay_alone()
    use_large_messages()

    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rich.console import Console

    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from demo_results import results_table, write_results
    from demo_subscriber import DemoSubscriber

    from kinema4d_ros.evaluation.report import write_report
    from kinema4d_ros.evaluation.report.depict import EpisodePredictor
    from kinema4d_ros.world_model.physics import why_not_available

    console = Console(width=None if sys.stdout.isatty() else 120)
    (options.out / 'log').mkdir(parents=True, exist_ok=True)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    subscriber = DemoSubscriber()
    rows, reports, baseline = [], [], EpisodePredictor('frozen', options.frames)
    pusher = None      # shows beside the others what is pushed and tips over
    if options.world_model != 'physics' and why_not_available() is None:
        pusher = EpisodePredictor('physics', options.frames)
    try:
        with contextlib.ExitStack() as nodes:
            running = {}
            if options.view:
                log = options.out / 'log' / 'viewer.log'
                running[log] = nodes.enter_context(beside('viewer', log=log))
                watch(subscriber, running, lambda: ADDRESS.search(log.read_text()), PATIENCE,
                      'the web page')
                console.print(ADDRESS.search(log.read_text())[0])
            warm_up(console, paths[0], options.frames)
            log = options.out / 'log' / 'shadow_sim.log'
            running[log] = nodes.enter_context(beside(
                'shadow_sim', f'world_model:={options.world_model}', f'frames:={options.frames}',
                'required_tiers:=[0, 1]', 'diagnostics_rate:=5.0', log=log))
            console.print('starting shadow_sim ...')
            watch(subscriber, running, subscriber.ready, PATIENCE, 'the world model')
            for number, path in enumerate(paths, 1):
                console.print(f'[{number}/{len(paths)}] {path.stem}: playing ...')
                subscriber.begin()
                player_log = options.out / 'log' / f'player_{path.stem}.log'
                with beside('episode_player', f'episode:={path.resolve()}',
                            f'lead_in:={LEAD_IN}', 'wait_for_ready:=[shadow_sim]',
                            f'ready_timeout:={PATIENCE}', log=player_log) as player:
                    both = {**running, player_log: player}
                    watch(subscriber, both, subscriber.finished, PATIENCE, 'a prediction')
                    if options.view:     # what really happens is worth seeing as well
                        watch(subscriber, both, lambda: player.poll() is not None, PATIENCE,
                              'the end of the episode')
                row, report = write_results(path, subscriber.take(), options.out, baseline,
                                            pusher)
                rows.append(row)
                reports.append(report)
                console.print(f'    {row.sentence}')
            console.print(results_table(rows))
            page = options.out / 'report.html'
            write_report(page, reports, title='Predicted motions against what really happened',
                         note='Recorded episodes, played as a live robot into the nodes.')
            console.print(f'videos, sheets, clouds and bags: {options.out}\n'
                          f'all of it on one page: {page}')
            if options.view:
                console.print('the page stays open; Ctrl-C ends all')
                watch(subscriber, running, lambda: False, float('inf'), 'Ctrl-C')
    except KeyboardInterrupt:
        console.print('stopped; all nodes are ended')
        return 130
    finally:
        subscriber.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
