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
of each episode by the metrics that papers report, which takes seconds a frame.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
import zlib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from kinema4d_ros.camera import LinkPose  # noqa: E402 - after the path
from kinema4d_ros.episodes import Episode  # noqa: E402
from kinema4d_ros.errors import Kinema4DError  # noqa: E402
from kinema4d_ros.evaluation.degraded_camera import CLEAN, degrade, REALISTIC  # noqa: E402
from kinema4d_ros.evaluation.full_frame import (full_frame, full_frame_markdown,  # noqa: E402
                                                FullFrame)
from kinema4d_ros.evaluation.moved_things import score_things, ThingScore  # noqa: E402
from kinema4d_ros.evaluation.thing_figures import (DEMANDS, REAL_DEMANDS,  # noqa: E402
                                                   SECOND_DEMANDS, thing_figures,
                                                   things_markdown, worse_than)
from kinema4d_ros.robot import Robot  # noqa: E402
from kinema4d_ros.simulator import ShadowSimulator  # noqa: E402
from kinema4d_ros.world_model import load_world_model, WorldModel  # noqa: E402

CAMERAS = {'as recorded': CLEAN, 'real': REALISTIC}
RUNGS = {'as recorded': DEMANDS, 'real': REAL_DEMANDS, 'second': SECOND_DEMANDS}
FRAMES = 49


class Trial:
    """Models side by side on one robot: what is exact is computed once for all of them."""

    def __init__(self, models: list[str], camera: str, frames: int, pictures: int):
        """Load the models."""
        self.models: dict[str, WorldModel] = {name: load_world_model(name) for name in models}
        self.scores: dict[str, list[ThingScore]] = {name: [] for name in models}
        self.pictures: dict[str, list[FullFrame]] = {name: [] for name in models}
        self.members: dict[str, list[tuple[int, int] | None]] = {name: [] for name in models}
        self.seconds: dict[str, list[float]] = {name: [] for name in models}
        self._camera, self._frames, self._most = CAMERAS[camera], frames, pictures
        self._simulators: dict[tuple[str, str], ShadowSimulator] = {}

    def add(self, path: Path) -> str:
        """Predict one episode with each model; return what came of it, for people."""
        episode = Episode.open(path)
        observation = degrade(episode.observation(), self._camera, zlib.crc32(path.stem.encode()))
        key = episode.robot_description, episode.camera_frame
        if key not in self._simulators:
            self._simulators = {key: ShadowSimulator(
                Robot.from_urdf(episode.robot_description), None, frames=self._frames,
                camera_poses=LinkPose(episode.camera_frame).poses)}
        robot = self._simulators[key].roll_out(observation, episode.trajectory)
        words = []
        for name, model in self.models.items():
            begin = time.process_time()
            frames = list(model.predict(observation, robot))
            self.seconds[name].append(time.process_time() - begin)
            scores = score_things(episode, frames, name)
            self.scores[name] += scores
            self.members[name].append(frames[-1].members)
            if self._most:
                self.pictures[name].append(full_frame(episode, frames, robot.camera, self._most))
            moved = [score for score in scores if score.has_moved or score.is_said_to_move]
            words.append(f'{name} ' + (', '.join(
                f'{score.thing or "nothing there"} {score.happened} {100 * score.distance:.1f} cm, '
                f'off {100 * score.final_error:.1f}' for score in moved) or 'nothing moves'))
        return '; '.join(words)


def main() -> int:
    """Evaluate and report."""
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
    parser.add_argument('--strict', action='store_true',
                        help='exit status 1 when the last model misses a demand')
    options = parser.parse_args()
    paths = sorted({path for given in options.episodes for path in (
        given.glob('*.mcap') if given.is_dir() else [given])})
    if not paths:
        parser.error(f'no .mcap file in {", ".join(map(str, options.episodes))}')
    trial = Trial(options.models, options.camera, options.frames, options.pictures)
    failures = []
    for number, path in enumerate(paths, 1):
        try:
            print(f'[{number}/{len(paths)}] {path.stem}: {trial.add(path)}', flush=True)
        except Kinema4DError as error:
            failures.append(f'{path.name}: {error}')
            print(f'[{number}/{len(paths)}] {path.stem}: not predicted: {error}', flush=True)
    return report(trial, options, failures, len(paths))


def report(trial: Trial, options: argparse.Namespace, failures: list[str], count: int) -> int:
    """Write the files, print the table, and return the exit status."""
    demands = RUNGS[options.demands or options.camera]
    figures = {name: thing_figures(trial.scores[name], trial.members[name])
               for name in options.models}
    text = things_markdown(f'Things that move, {count - len(failures)} episodes, depth: '
                           f'{options.camera}', figures, demands)
    last = options.models[-1]
    worse = worse_than(trial.scores[last], trial.scores['kinematic']) \
        if 'kinematic' in options.models[:-1] else []
    text += ''.join(f'\n* {last} is more than 2 cm worse than kinematic: {line}' for line in worse)
    if options.pictures:
        text += '\n' + full_frame_markdown(trial.pictures)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / 'world_models.md').write_text(text)
    (options.out / 'world_models.json').write_text(json.dumps(finite({
        'episodes': count, 'not_predicted': failures, 'camera': options.camera,
        'figures': {name: {key: figure.as_dict() for key, figure in of.items()}
                    for name, of in figures.items()},
        'worse_than_kinematic': worse,
        'cpu_seconds': trial.seconds,
        'pictures': {name: [dataclasses.asdict(row) for row in rows]
                     for name, rows in trial.pictures.items()},
        'things': [dataclasses.asdict(score) for name in options.models
                   for score in trial.scores[name]]}), indent=1) + '\n')
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
