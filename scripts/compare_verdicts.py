#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compare verdicts and predicted frames of this tree with those of another commit, bit by bit.

Both trees judge every bundled episode in a process of their own: by tiers 0 and 1, and by tiers
0 to 2 with each of the world models; once with the observation alone, once with a background
memory filled from frames of the whole recording, in which the robot is elsewhere. Every field of
the verdicts is compared, and the SHA-256 of each predicted frame. Times that things took are left
out. Differences go to stdout, one a line; exit status 1 when there are any.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import enum
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = ('kinematic', 'frozen')
_REMEMBERED = 10     # every so many frames of a recording go into the background memory
_SHOWN = 60          # characters of a value in a difference
#: what a verdict must say in both trees
REQUIRED = frozenset((
    'status', 'summary', 'findings', 'tiers_passed', 'deciding_tier', 'trajectory_hash',
    'robot_hash', 'scene_stamp_ns', 'outcome', 'safe_prefix', 'speed_factor', 'min_clearance',
    'clearance_sigma', 'success', 'action_following', 'clearance'))
#: how long things took, which differs from run to run
_LEFT_OUT = frozenset(('latencies',))
#: part of a clearance sample -> its names: of the field of a sample, of the tuple of all (0.1)
SAMPLE = {'time': ('time', 'clearance_times'),
          'distance': ('distance', 'clearances'),
          'sigma': ('sigma', 'clearance_sigmas'),
          'link': ('link', 'clearance_links'),
          'point_base': ('point_base', 'clearance_points_base'),
          'robot_point_base': ('robot_point_base', 'clearance_robot_points_base')}


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('old', metavar='OLD_COMMIT', nargs='?', default='HEAD',
                        help='what to compare this tree with (default: %(default)s)')
    parser.add_argument('--episodes', type=Path, nargs='+', metavar='PATH',
                        default=[REPOSITORY / 'data' / 'episodes'],
                        help='folders of .mcap files, or such files (default: the bundled ones)')
    parser.add_argument('--frames', type=int, default=25, metavar='N',
                        help='frames of a prediction (default: %(default)s)')
    parser.add_argument('--dump', type=Path, metavar='FILE',
                        help='do not compare: write what the tree on PYTHONPATH says as JSON')
    options = parser.parse_args()
    paths = sorted({path.resolve() for given in options.episodes for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if not paths:
        parser.error(f'no .mcap file in {", ".join(map(str, options.episodes))}')
    if options.dump:
        dump(paths, options.frames, options.dump)
        return 0
    with tempfile.TemporaryDirectory() as folder, checked_out(options.old, folder) as tree:
        trees = {Path(folder) / 'old.json': tree, Path(folder) / 'new.json': REPOSITORY}
        running = {file: started(root, file, paths, options.frames)
                   for file, root in trees.items()}
        failed = [file.stem for file, process in running.items() if process.wait()]
        if failed:
            print(f'the {" and the ".join(failed)} tree failed; see above', file=sys.stderr)
            return 2
        old, new = (json.loads(file.read_text()) for file in trees)
    count = 0
    for line in differences(old, new):
        count += 1
        print(line)
    print(f'{len(paths)} episodes, {sum(map(leaves, new.values()))} values: '
          f'{count or "no"} difference{"" if count == 1 else "s"}', file=sys.stderr)
    return 1 if count else 0


@contextlib.contextmanager
def checked_out(commit: str, folder: str) -> Iterator[Path]:
    """Check a commit out into a git worktree beside this one, for as long as it is needed."""
    tree = Path(folder) / 'old'
    git = ['git', '-C', str(REPOSITORY), 'worktree']
    subprocess.run([*git, 'add', '--quiet', '--detach', str(tree), commit], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, 'remove', '--force', str(tree)], check=True)


def started(tree: Path, file: Path, paths: list[Path], frames: int) -> subprocess.Popen:
    """Start the process that dumps what a tree says; no installed package may mix with it."""
    others = [entry for entry in os.environ.get('PYTHONPATH', '').split(os.pathsep)
              if entry and not Path(entry, 'kinema4d_ros').exists()]
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(tree), *others])}
    return subprocess.Popen(
        [sys.executable, __file__, '--dump', str(file), '--frames', str(frames), '--episodes',
         *map(str, paths)], env=environment, cwd=tree)


# ------------------------------------------------------------------ what one tree says

def found(*places: str) -> Any:
    """Return the first of some 'module:name' that this tree has; names differ by commit."""
    for place in places:
        module, name = place.split(':')
        with contextlib.suppress(ModuleNotFoundError, AttributeError):
            return getattr(importlib.import_module(module), name)
    raise SystemExit(f'this tree has none of {", ".join(places)}; add its name to {__file__}')


def dump(paths: list[Path], frames: int, file: Path) -> None:
    """Write what the tree on the path says of the episodes."""
    simulators: dict[tuple[str, ...], Any] = {}
    said: dict[str, Any] = {}
    for number, path in enumerate(paths):
        print(f'{file.stem}: {number + 1}/{len(paths)} {path.stem}', file=sys.stderr, flush=True)
        said |= {f'{path.stem}: {key}': value
                 for key, value in said_of(path, frames, simulators)}
    file.write_text(json.dumps(said))


def said_of(path: Path, frames: int, simulators: dict[tuple[str, ...], Any]
            ) -> Iterator[tuple[str, Any]]:
    """Yield what is said of one episode: (what it is, value of plain types)."""
    episode = found('kinema4d_ros.episodes:Episode').open(path)
    goal = found('kinema4d_ros.precheck:Goal').of(episode.metadata.goal, str(path))
    alone = episode.observation()
    remembering = None
    for name in MODELS:
        key = name, episode.robot_description, episode.camera_frame
        if key not in simulators:
            simulators[key] = simulator_of(episode, name, frames)
        simulator = simulators[key]
        remembering = remembering or with_memory(episode, alone, simulator)
        for kind, observation in (('alone', alone), ('with memory', remembering)):
            if name == MODELS[0]:
                yield f'tiers 0, 1, {kind}', plain_verdict(simulator.precheck(
                    observation, episode.trajectory, tiers=(0, 1), goal=goal))
            yield f'tiers 0, 1, 2, {name}, {kind}', plain_verdict(simulator.precheck(
                observation, episode.trajectory, tiers=(0, 1, 2), goal=goal))
            future = simulator.predict(observation, episode.trajectory)
            yield f'frames, {name}, {kind}', [
                plain(frame) for frame in (getattr(item, 'predicted', item) for item in future)]


def simulator_of(episode: Any, world_model: str, frames: int) -> Any:
    """Return a simulator of the robot of an episode."""
    simulator = found('kinema4d_ros.simulator:ShadowSimulator',
                      'kinema4d_ros.shadow:ShadowSimulator')
    robot = found('kinema4d_ros.robot:Robot').from_urdf(episode.robot_description)
    model = found('kinema4d_ros.world_model:create', 'kinema4d_ros.world_model:load_world_model')
    pose = found('kinema4d_ros.camera:LinkPose')(episode.camera_frame)
    return simulator(robot, model(world_model), frames=frames, camera_poses=pose.poses)


def with_memory(episode: Any, alone: Any, simulator: Any) -> Any:
    """Return an observation with what the whole recording shows of the scene behind the robot."""
    memory = found('kinema4d_ros.scene:SceneMemory', 'kinema4d_ros.camera:SceneMemory')()
    for index in range(0, len(episode.frames), _REMEMBERED):
        seen = episode.observation(index - episode.start_index)
        memory.update(seen, simulator.robot_mask(seen))
    memory.update(alone, simulator.robot_mask(alone))
    if hasattr(alone, 'with_view'):
        return alone.with_view(background=memory.background)
    return dataclasses.replace(alone, background=memory.background)


def plain_verdict(verdict: Any) -> dict[str, Any]:
    """Return a verdict as plain types, its clearance as samples whatever form it has."""
    fields = {item.name: getattr(verdict, item.name) for item in dataclasses.fields(verdict)
              if item.name not in _LEFT_OUT}
    if 'clearance_times' in fields:     # parallel tuples, as in 0.1
        samples = list(zip(*(fields.pop(name) for _, name in SAMPLE.values())))
        samples = [dict(zip(SAMPLE, sample)) for sample in samples]
    else:
        samples = [{part: getattr(sample, name) for part, (name, _) in SAMPLE.items()}
                   for sample in fields.pop('clearances')]
    return {**plain(fields), 'clearance': plain(samples)}


def plain(value: Any) -> Any:
    """Return a value in types of JSON that keep every bit: floats in hex, arrays as their hash."""
    if isinstance(value, enum.Enum):
        return value.name
    if dataclasses.is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, np.ndarray) and value.size > 16:
        data = np.ascontiguousarray(value)
        return f'{data.dtype} {data.shape} {hashlib.sha256(data.tobytes()).hexdigest()}'
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return f'{value:.6g} = {value.hex()}'
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(item) for item in value]
    return value


# ------------------------------------------------------------------ two trees

def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each value that differs; a field that only one tree has counts once."""
    alone: set[str] = set()
    for key in {**old, **new}:
        if key not in old or key not in new:
            yield f'{key}: only in the {"old" if key in old else "new"} tree'
        elif isinstance(new[key], dict):
            for field in {**old[key], **new[key]}:
                if field in old[key] and field in new[key]:
                    yield from compared(f'{key}: {field}', old[key][field], new[key][field])
                elif field in REQUIRED:
                    yield f'{key}: {field}: only in one tree'
                else:
                    alone.add(f'{field}, only in the {"old" if field in old[key] else "new"} tree')
        else:
            yield from compared(key, old[key], new[key])
    for field in sorted(alone):
        print(f'not compared: the field {field}', file=sys.stderr)


def compared(where: str, old: Any, new: Any) -> Iterator[str]:
    """Yield a line for each plain value that differs between two trees of such values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            # A field that one tree does not have is as good as one that is not set.
            yield from compared(f'{where}.{key}', old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new)):
            yield from compared(f'{where}[{index}]', *pair)
    elif old != new:
        yield f'{where}: {shown(old)} | {shown(new)}'


def shown(value: Any) -> str:
    """Return a value for people, shortened."""
    text = f'{len(value)} values' if isinstance(value, list) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN - 3] + '...'


def leaves(value: Any) -> int:
    """Count the plain values in a tree of such values."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(
        value, list) else None
    return 1 if inside is None else sum(map(leaves, inside))


if __name__ == '__main__':
    sys.exit(main())
