#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Run policies in the LIBERO simulator and in the predicted world, and compare what comes of it.

`starts` and `simulate` need the simulator (see scripts/record_libero.py for its environment);
`predict` and `compare` need this package as it is installed:

  sim() { MUJOCO_GL=egl .venv-sim/bin/python scripts/evaluate_policies.py "$@"; }
  sim starts --task libero_90/36 --init 3,9 --out out/starts
  sim simulate --starts out/starts --out out/true.jsonl
  .venv/bin/python scripts/evaluate_policies.py predict --starts out/starts --world kinematic \
      --out out/kinematic.jsonl
  .venv/bin/python scripts/evaluate_policies.py compare --true out/true.jsonl \
      --predicted out/kinematic.jsonl --out out/policies

Runs that a file of records has are kept, so that an interrupted batch goes on where it stopped.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import logging
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros import __version__  # noqa: E402 - after the path
from kinema4d_ros.episodes import Episode  # noqa: E402
from kinema4d_ros.errors import Kinema4DError, PolicyError  # noqa: E402 - after the path
from kinema4d_ros.policy.closed_loop.record import RolloutRecord  # noqa: E402
from kinema4d_ros.policy.closed_loop.records import read_records  # noqa: E402
from kinema4d_ros.policy.closed_loop.run import run_task, RunLimits  # noqa: E402
from kinema4d_ros.policy.cloned import ClonedPolicy  # noqa: E402
from kinema4d_ros.policy.picture_policy import PicturePolicy, VIEW  # noqa: E402
from kinema4d_ros.policy.preset import PolicyPreset  # noqa: E402
from kinema4d_ros.policy.scripted import SCRIPTED, ScriptedPolicy  # noqa: E402
from kinema4d_ros.policy.task_start import TaskStart  # noqa: E402
from kinema4d_ros.policy.types import Policy, TaskWorld  # noqa: E402
from kinema4d_ros.precheck import DynamicsRules, PrecheckSettings  # noqa: E402
from kinema4d_ros.robot.robot import Robot  # noqa: E402
from kinema4d_ros.serialization import to_plain  # noqa: E402

KEPT_APART = range(30, 50)      # initial states that nothing is recorded of or tuned on
HORIZON = 25.0                  # [s]
PICTURE_PRESET = REPOSITORY / 'scripts' / 'picture_policy.yaml'      # of policies that see


def numbers(text: str) -> list[int]:
    """Parse '3', '0-9' or '0,2,5-7'."""
    spans = [part.split('-') for part in text.split(',')]
    return [n for span in spans for n in range(int(span[0]), int(span[-1]) + 1)]


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    starts = commands.add_parser('starts', help='write what is seen first, one episode each')
    starts.add_argument('--task', required=True, help='suite/number, separated by commas')
    starts.add_argument('--init', type=numbers, required=True, help='initial states, 0-29')
    demonstrate = commands.add_parser('demonstrate', help='record the scripted expert with '
                                      'pictures, for policies that see')
    demonstrate.add_argument('--starts', type=Path, required=True, help='folder of episodes')
    demonstrate.add_argument('--repeats', type=int, default=2, help='of each start')
    starts.add_argument('--displaced', type=float, default=0.0, metavar='M', help='put the object '
                        'up to so far from its place, along x and y each')
    starts.add_argument('--copies', type=int, default=1, help='of each, displaced otherwise')
    for name, what in ('simulate', 'the truth'), ('predict', 'the predicted world'):
        command = commands.add_parser(name, help=f'run policies in {what}')
        command.add_argument('--starts', type=Path, required=True, help='folder of episodes')
        command.add_argument('--policy', default=','.join(SCRIPTED),
                             help=f'of: {", ".join(SCRIPTED)}, or files NAME.npz of trained ones')
        command.add_argument('--seed', type=numbers, default=[0], help='of the policies')
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
                         help='records of `predict`, a file for each world model')
    for name, command in commands.choices.items():
        if name != 'serve':
            command.add_argument('--out', type=Path, required=True)
    return parser.parse_args()


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


def sees(name: str) -> bool:
    """Return whether a policy is one that looks at pictures: the file of one."""
    if not name.endswith('.npz') or not Path(name).is_file():
        return False
    with np.load(name, allow_pickle=False) as file:
        return 'instructions' in file.files


def policy_of(name: str, start: TaskStart) -> Policy:
    """Return a policy by its name, for a start."""
    if name in SCRIPTED:
        return ScriptedPolicy(start, SCRIPTED[name])
    if sees(name):
        return PicturePolicy.load(Path(name), Robot.from_urdf(start.robot_description))
    if name.endswith('.npz'):
        return ClonedPolicy.load(Path(name), start)
    raise PolicyError(f'unknown policy {name}; known: {", ".join(SCRIPTED)}, or a file NAME.npz')


def simulated_worlds(paths: list[Path], with_pictures: bool
                     ) -> Iterator[tuple[TaskStart, str, TaskWorld]]:
    """Yield the simulator at each start, with the name of the task."""
    from kinema4d_ros.episodes.libero.render import SceneRenderer
    from kinema4d_ros.policy.simulated.libero_world import LiberoWorld

    scene, views = None, {}
    for path in paths:
        episode = Episode.open(path)
        start, meta = TaskStart.of(episode), episode.metadata
        if scene is None or (scene.suite, scene.task) != (meta.suite, meta.task):
            scene = scene_of(meta.suite, meta.task)
            if with_pictures:
                for view in views.values():
                    view.close()
                camera = episode.observation().view.camera
                views = {VIEW: SceneRenderer(scene, meta.camera, camera.height, camera.width)}
        yield start, f'{meta.suite}/{meta.task}', LiberoWorld(
            scene, Robot.from_urdf(episode.robot_description), meta.init, views,
            start.T_base_object)


def predicted_worlds(paths: list[Path], model: str) -> Iterator[tuple[TaskStart, str, TaskWorld]]:
    """Yield the world as a model predicts it from each start, with the name of the task."""
    from kinema4d_ros.policy.closed_loop.starts import goal_of
    from kinema4d_ros.policy.closed_loop.world import PredictedWorld
    from kinema4d_ros.simulator import ShadowSimulator

    settings = settings_of(model)
    for path in paths:
        episode = Episode.open(path)
        meta = episode.metadata
        with ShadowSimulator(Robot.from_urdf(episode.robot_description), model,
                             settings=settings) as simulator:
            yield TaskStart.of(episode), f'{meta.suite}/{meta.task}', PredictedWorld(
                simulator, episode.observation(), instruction=meta.task_text,
                goal=goal_of(episode))


def settings_of(model: str) -> PrecheckSettings:
    """Return by what tier 1 foresees in the world of a model."""
    return PrecheckSettings(physics=DynamicsRules(outcome=model == 'physics'))


def address_of(name: str) -> str:
    """Return what a policy is, so that records tell: its errors, or the file of a trained one."""
    if name in SCRIPTED:
        return f'scripted:{name}?' + '&'.join(
            f'{key}={value}' for key, value in to_plain(SCRIPTED[name]).items())
    return str(Path(name).resolve())


class UntilFinished:
    """A predicted world that is asked once, at the end: these policies say when they are done."""

    def __init__(self, world: TaskWorld):
        self._world, self.robot = world, world.robot
        self.reset, self.execute, self.outcome = world.reset, world.execute, world.outcome

    def is_solved(self) -> bool:
        """Return False: what is foreseen of the whole motion counts."""
        return False


def run_all(options: argparse.Namespace) -> None:
    """Run all policies from all starts, one record a line."""
    is_true = options.command == 'simulate'
    label = 'libero' if is_true else f'predicted:{options.world}'
    known = finished(options.out)
    wanted = list(itertools.product(options.policy.split(','), options.seed))
    paths = [path for path in sorted(options.starts.glob('*.mcap'))
             if any((label, Path(name).stem, path.stem, seed) not in known
                    for name, seed in wanted)]
    if not any(options.starts.glob('*.mcap')):
        raise PolicyError(f'{options.starts} holds no starts (*.mcap); write some with '
                          '`evaluate_policies.py starts`')
    print(f'{len(paths)} starts to do')
    options.out.parent.mkdir(parents=True, exist_ok=True)
    version = json.dumps({'package': __version__, 'world': label, 'horizon': HORIZON}
                         | ({} if is_true else {'precheck': to_plain(settings_of(options.world))}),
                         sort_keys=True)
    worlds = simulated_worlds(paths, any(sees(name) for name, _ in wanted)) if is_true \
        else predicted_worlds(paths, options.world)
    for start, task, world in worlds:
        for name, seed in wanted:
            if (label, Path(name).stem, start.name, seed) in known:
                continue
            begun = time.perf_counter()
            run = run_task(policy_of(name, start), world if is_true else UntilFinished(world),
                           seed=seed, limits=RunLimits(horizon=HORIZON))
            record = RolloutRecord(
                policy=Path(name).stem, task=task, start=start.name, seed=seed, world=label,
                outcome=run.outcome, ended=run.ended, world_version=version,
                policy_address=address_of(name), instruction=start.instruction,
                chunks=run.chunks, actions=run.actions, duration=run.duration,
                unseen=run.unseen, drift=run.drift, policy_seconds=run.policy_seconds,
                world_seconds=run.world_seconds, wall_seconds=time.perf_counter() - begun)
            with options.out.open('a') as file:
                file.write(record.to_json() + '\n')
            print(f'{start.name} {record.policy} {seed}: {record.outcome.success}, grasped '
                  f'{record.outcome.grasped}, gap {record.outcome.gap_at_closing:.3f} m, '
                  f'{record.ended}, {record.wall_seconds:.1f} s', flush=True)


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
    """Serve a policy until Ctrl-C; it is asked with all joint positions [rad or m] in order."""
    from kinema4d_ros.policy.wire import ObservationKeys, preset_keys, serve_policy, StateKey

    start = TaskStart.of(Episode.open(options.start))
    policy, robot = policy_of(options.policy, start), Robot.from_urdf(start.robot_description)
    keys = ObservationKeys(states=(StateKey(('observation/joint_position',),
                                            tuple(start.joint_positions)),))
    if sees(options.policy):
        preset = PolicyPreset.load(PICTURE_PRESET)
        keys = preset_keys(preset, robot, preset.action_format(robot))
    with serve_policy(policy, keys, robot=robot, port=options.port) as server, \
            contextlib.suppress(KeyboardInterrupt):
        asked = dict.fromkeys('/'.join(key.path) for key in (*keys.pictures, *keys.states))
        print(f'{server.address}: asked with {", ".join(asked)}; prompt "{start.instruction}"',
              flush=True)
        server.wait()


def finished(path: Path) -> set[tuple[str, str, str, int]]:
    """Return the keys of the runs that a file has; a last line that was cut off is taken away."""
    if not path.exists():
        return set()
    content = path.read_bytes()
    if not content.endswith(b'\n'):
        path.write_bytes(content[:content.rfind(b'\n') + 1])
    return {record.key for record in read_records(path)}


def compare(options: argparse.Namespace) -> None:
    """Write tables, JSON and a page."""
    from kinema4d_ros.evaluation import policies

    true, tables, figures = read_records(options.true), [], {}
    for path in options.predicted:
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
    except Kinema4DError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
