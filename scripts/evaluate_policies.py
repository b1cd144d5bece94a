#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Run policies in the LIBERO simulator and in the predicted world, and compare what comes of it.

`starts` and `simulate` need the simulator (see scripts/record_libero.py for its environment);
`predict` and `compare` need this package as it is installed:

  sim() { MUJOCO_GL=egl .venv-sim/bin/python scripts/evaluate_policies.py "$@"; }
  sim starts --task libero_90/36,libero_90/65 --init 3,9 --out out/starts
  sim simulate --starts out/starts --out out/true
  .venv/bin/python scripts/evaluate_policies.py predict --starts out/starts --world kinematic \
      --out out/kinematic
  .venv/bin/python scripts/evaluate_policies.py compare --true out/true \
      --predicted out/kinematic --out out/policies

Runs are made by the pool of `kinema4d rollout`, with --workers processes or on a Ray cluster. Each
is a line of FOLDER/records.jsonl: stopped by Ctrl-C or anything else, the same command goes on from
there. Runs that break say why, and are tried again then.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import re
import sys
import time
import zlib
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.episodes import Episode  # noqa: E402 - after the path
from kinema4d_ros.errors import Kinema4DError, PolicyError  # noqa: E402
from kinema4d_ros.jobs import ended_by_sigterm, shown_progress  # noqa: E402
from kinema4d_ros.policy.closed_loop import RunLimits  # noqa: E402
from kinema4d_ros.policy.closed_loop.plan import planned_runs, RolloutSettings  # noqa: E402
from kinema4d_ros.policy.closed_loop.record import RolloutRecord  # noqa: E402
from kinema4d_ros.policy.closed_loop.records import read_records  # noqa: E402
from kinema4d_ros.policy.closed_loop.rollouts import run_rollouts  # noqa: E402
from kinema4d_ros.policy.preset import PolicyPreset  # noqa: E402
from kinema4d_ros.policy.scripted import SCRIPTED  # noqa: E402
from kinema4d_ros.policy.state_policies import (LIBERO, policy_address,  # noqa: E402
                                                sees_pictures, world_address)
from kinema4d_ros.policy.task_start import TaskStart  # noqa: E402
from kinema4d_ros.robot.robot import Robot  # noqa: E402

KEPT_APART = range(30, 50)      # initial states that nothing is recorded of or tuned on
PICTURE_PRESET = REPOSITORY / 'scripts' / 'picture_policy.yaml'      # of policies that see


def numbers(text: str) -> list[int]:
    """Parse '3', '0-9' or '0,2,5-7'."""
    spans = [part.split('-') for part in text.split(',')]
    found = [n for span in spans for n in range(int(span[0]), int(span[-1]) + 1)]
    if not found:
        raise ValueError
    return found


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    starts = commands.add_parser('starts', help='write what is seen first, one episode each')
    starts.add_argument('--task', required=True, help='suite/number, separated by commas')
    starts.add_argument('--init', type=numbers, required=True, help='initial states, 0-29')
    starts.add_argument('--displaced', type=float, default=0.0, metavar='M', help='put the object '
                        'up to so far from its place, along x and y each')
    starts.add_argument('--copies', type=int, default=1, help='of each, displaced otherwise')
    demonstrate = commands.add_parser('demonstrate', help='record the scripted expert with '
                                      'pictures, for policies that see')
    demonstrate.add_argument('--starts', type=Path, required=True, help='folder of episodes')
    demonstrate.add_argument('--repeats', type=int, default=2, help='of each start')
    for name, what in ('simulate', 'the truth'), ('predict', 'the predicted world'):
        command = commands.add_parser(name, help=f'run policies in {what}')
        command.add_argument('--starts', type=Path, required=True, help='folder of episodes')
        command.add_argument('--policy', default=','.join(SCRIPTED),
                             help=f'of: {", ".join(SCRIPTED)}, or files NAME.npz of trained ones')
        command.add_argument('--seed', type=numbers, default=[0], help='of the policies')
        command.add_argument('--horizon', type=float, default=25.0, metavar='S',
                             help="seconds of the robot's time (default: %(default)s)")
        command.add_argument('--workers', '--jobs', type=int, default=min(2, os.cpu_count() or 1),
                             metavar='N', help='processes at once, 0 for this one alone (default: '
                             '%(default)s)')
        command.add_argument('--ray', default='', metavar='ADDRESS',
                             help='on a Ray cluster (the extra [cluster]) in place of processes of '
                             'this machine; `local` for one that is started here')
        if name == 'predict':
            command.add_argument('--world', default='kinematic', help='world model: kinematic, '
                                 'physics, ...')
    train = commands.add_parser('train', help='clone the scripted expert, as it moves from the '
                                'first observation of recorded episodes')
    taught = train.add_mutually_exclusive_group(required=True)
    taught.add_argument('--starts', type=Path, nargs='+', help='folders of episodes: policies that '
                        'see states')
    taught.add_argument('--demonstrations', type=Path, nargs='+', help='folders of what '
                        '`demonstrate` wrote: policies that see pictures')
    train.add_argument('--steps', type=numbers, default=[300, 1500, 12000],
                       help='after which a policy is written each')
    serve = commands.add_parser('serve', help='serve one policy in the dialect of openpi')
    serve.add_argument('--start', type=Path, required=True, help='episode that it begins from')
    serve.add_argument('--policy', default='expert', help='as for `predict`')
    serve.add_argument('--port', type=int, default=8000)
    compare = commands.add_parser('compare', help='tables, JSON and a page')
    compare.add_argument('--true', type=Path, required=True, help='records of `simulate`')
    compare.add_argument('--predicted', type=Path, nargs='+', required=True,
                         help='records of `predict`, a folder for each world model')
    for name, command in commands.choices.items():
        if name != 'serve':
            command.add_argument('--out', type=Path, required=True)
    options = parser.parse_args()
    if options.command == 'starts':
        if bad := [task for task in options.task.split(',') if not re.fullmatch(r'\w+/\d+', task)]:
            starts.error(f'--task {",".join(bad)} is not of the form SUITE/NUMBER')
        if options.copies > 1 and not options.displaced:
            starts.error('--copies are alike without --displaced')
    return options


def write_starts(options: argparse.Namespace) -> None:
    """Write the first observation of each task in each initial state."""
    if bad := sorted(set(options.init) & set(KEPT_APART)):
        raise PolicyError(f'initial states {bad} are kept apart; choose some of 0-29')
    from kinema4d_ros.policy.simulated.libero_world import LiberoWorld

    urdf = (REPOSITORY / 'urdf' / 'panda' / 'panda.urdf').read_text()
    robot = Robot.from_urdf(urdf)
    for task in options.task.split(','):
        suite, number = task.split('/')
        scene = scene_of(suite, int(number))
        for init in options.init:
            for copy in range(options.copies):
                name = f'{suite}_{number}_{init}' + (f'_d{copy}' if options.displaced else '')
                path = options.out / f'{name}.mcap'
                if path.exists():
                    continue
                world = LiberoWorld(scene, robot, init)
                if options.displaced:
                    displace(world, options.displaced, zlib.crc32(name.encode()))
                world.write_start(path, urdf)
                print(path, flush=True)


def displace(world, most: float, seed: int) -> None:
    """Put the goal's object elsewhere, where it stands upright and pushes nothing away."""
    random = np.random.default_rng(seed)
    for _ in range(20):
        world.reset()
        if world.put_aside(random.uniform(-most, most, 2)):
            return
    raise PolicyError(f'no place within {most} m of where it is for the object of {world.name}')


def scene_of(suite: str, task: int):
    """Return the simulated scene of a task, without what the simulator prints."""
    from kinema4d_ros.episodes.libero.scene import LiberoScene

    with contextlib.redirect_stdout(io.StringIO()):
        return LiberoScene(suite, task)


def demonstrate_all(options: argparse.Namespace) -> None:
    """Record the expert from each start, as often as asked."""
    from kinema4d_ros.episodes.libero.render import SceneRenderer
    from kinema4d_ros.policy.simulated.demonstration import demonstrate, write_demonstration

    scene = renderer = None
    for path in sorted(options.starts.glob('*.mcap')):
        wanted = [repeat for repeat in range(options.repeats)
                  if not (options.out / f'{path.stem}_{repeat}.npz').exists()]
        if not wanted:
            continue
        episode = Episode.open(path)
        meta, start = episode.metadata, TaskStart.of(episode)
        if meta.init in KEPT_APART:
            raise PolicyError(f'{path} begins from an initial state that is kept apart')
        if scene is None or (scene.suite, scene.task) != (meta.suite, meta.task):
            if renderer is not None:
                renderer.close()
            scene = scene_of(meta.suite, meta.task)
            camera = episode.observation().view.camera
            renderer = SceneRenderer(scene, meta.camera, camera.height, camera.width)
        robot = Robot.from_urdf(episode.robot_description)
        for repeat in wanted:
            noted = demonstrate(scene, robot, start, meta.init, renderer, repeat)
            print(path.stem, repeat, len(noted['pictures']), noted['success'], flush=True)
            write_demonstration(options.out / f'{path.stem}_{repeat}.npz', start.instruction,
                                noted)


def run_all(options: argparse.Namespace) -> None:
    """Make the runs of all policies from all starts that have no record yet."""
    starts = [str(path) for path in sorted(options.starts.glob('*.mcap'))]
    if not starts:
        raise PolicyError(f'{options.starts} holds no starts (*.mcap); write some with '
                          '`evaluate_policies.py starts`')
    is_true = options.command == 'simulate'
    names = options.policy.split(',')
    policies: dict[str, str] = {}
    for name in names:
        address = policy_address(name)
        if (known := policies.setdefault(Path(name).stem, address)) != address:
            raise PolicyError(f'two policies are called {Path(name).stem}, {known} and {address}; '
                              'rename one of the files')
    simulator = LIBERO + ('?pictures=yes' if any(map(sees_pictures, names)) else '')
    settings = RolloutSettings(simulator if is_true else world_address(options.world),
                               limits=RunLimits(horizon=options.horizon))
    with shown_progress('policies', 'runs') as show, ended_by_sigterm():

        def told(record: RolloutRecord | None, done: int, total: int) -> None:
            if record is None:
                print(f'{done} of {total} runs are there already')
            else:
                print(f'{record.start} {record.policy} {record.seed}: '
                      f'{record.error or record.outcome.success}, grasped '
                      f'{record.outcome.grasped}, gap {record.outcome.gap_at_closing:.3f} m, '
                      f'{record.ended}, {record.wall_seconds:.1f} s', flush=True)
            show(done, total, '')

        records = run_rollouts(planned_runs(policies, starts, options.seed), settings, options.out,
                               jobs=options.workers, ray=options.ray, progress=told)
    if broken := [record for record in records if record.error]:
        raise PolicyError(f'{len(broken)} of {len(records)} runs gave no result; the same command '
                          f'tries them again. {broken[0].policy} from {broken[0].start}: '
                          f'{broken[0].error}')


def train_policies(options: argparse.Namespace) -> None:
    """Train a policy, and write it after each number of steps."""
    from kinema4d_ros.policy.cloning import save, train

    if options.demonstrations:
        train_seeing(options)
        return
    starts = []
    for path in sorted(path for folder in options.starts for path in folder.glob('*.mcap')):
        with contextlib.suppress(PolicyError):      # no pick-and-place
            starts.append(TaskStart.of(Episode.open(path)))
    print(f'{len(starts)} starts', flush=True)
    for steps, layers, loss in train(starts, options.steps):
        path = options.out / f'cloned_{steps}.npz'
        save(path, layers)
        print(f'{path}: mean squared error {loss:.4f}', flush=True)


def train_seeing(options: argparse.Namespace) -> None:
    """Train a policy that sees pictures, and write it after each number of steps."""
    from kinema4d_ros.policy.picture_cloning import Demonstrations, save_pictures, train_pictures

    paths = sorted(path for folder in options.demonstrations for path in folder.glob('*.npz'))
    robot = Robot.from_file(REPOSITORY / 'urdf' / 'panda' / 'panda.urdf')
    shown = Demonstrations.read(paths, robot)
    print(f'{len(paths)} demonstrations, {len(shown.pictures)} pictures', flush=True)
    for steps, arrays, off in train_pictures(shown, options.steps):
        path = options.out / f'seeing_{steps}.npz'
        save_pictures(path, arrays)
        print(f'{path}: places off by {100 * off:.1f} cm, {time.process_time():.0f} s', flush=True)


def serve(options: argparse.Namespace) -> None:
    """
    Serve a policy until Ctrl-C, each client one of its own, since these remember what they did.

    One that sees states is asked with all joint positions [rad or m] in order.
    """
    from kinema4d_ros.policy.closed_loop.makers import make_policy, RunContext
    from kinema4d_ros.policy.wire import (ObservationKeys, PolicyServer, preset_keys, StateKey,
                                          Translator)
    from kinema4d_ros.policy.wire.server import PolicySession

    episode = Episode.open(options.start)
    start, robot = TaskStart.of(episode), Robot.from_urdf(episode.robot_description)
    address, context = policy_address(options.policy), RunContext(robot, episode)
    make_policy(address, context)       # what is wrong with it shows at once
    keys = ObservationKeys(states=(StateKey(('observation/joint_position',),
                                            tuple(start.joint_positions)),))
    if sees_pictures(options.policy):
        preset = PolicyPreset.load(PICTURE_PRESET)
        keys = preset_keys(preset, robot, preset.action_format(robot))
    translator = Translator(keys, robot)
    with PolicyServer(lambda: PolicySession(make_policy(address, context), translator),
                      port=options.port) as server, \
            contextlib.suppress(KeyboardInterrupt):
        asked = dict.fromkeys('/'.join(key.path) for key in (*keys.pictures, *keys.states))
        print(f'{server.address}: asked with {", ".join(asked)}; prompt "{start.instruction}"',
              flush=True)
        server.wait()


def compare(options: argparse.Namespace) -> None:
    """Write tables, JSON and a page."""
    from kinema4d_ros.evaluation import policies

    true, tables, figures = read_records(options.true), [], {}
    for path in options.predicted:
        if path.stem in figures:
            raise PolicyError(f'two of --predicted are called {path.stem}; rename one of them')
        runs = policies.pair(read_records(path), true)
        figures[path.stem] = policies.summarize(runs)
        tables.append(policies.markdown(path.stem, figures[path.stem]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / 'policies.md').write_text('\n'.join(tables))
    (options.out / 'policies.json').write_text(json.dumps(policies.as_json(figures), indent=1))
    policies.write_page(options.out / 'policies.html', figures, {
        path.stem: policies.pair(read_records(path), true) for path in options.predicted})
    print('\n'.join(tables))


def main() -> int:
    """Do what is asked; return 1 where it cannot be done."""
    options = arguments()
    logging.disable(logging.WARNING)      # robosuite complains about its optional macro file
    try:
        {'starts': write_starts, 'demonstrate': demonstrate_all, 'simulate': run_all,
         'predict': run_all, 'train': train_policies, 'serve': serve,
         'compare': compare}[options.command](options)
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on from there', file=sys.stderr)
        return 130
    except Kinema4DError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
