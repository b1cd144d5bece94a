# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d engine`: the future of a recorded episode by a Kinema4D checkpoint, without ROS."""
from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli import precheck

if TYPE_CHECKING:
    from kinema4d_ros.diagnosis import Diagnosis
    from kinema4d_ros.episodes import Episode
    from kinema4d_ros.types import PredictedFrame
    from kinema4d_ros.world_model.kinema4d.model import Kinema4D

#: other world models with a checkpoint -> their doctor, module:function of their settings
OTHERS = {'cosmos': 'kinema4d_ros.world_model.cosmos.doctor:check_cosmos',
          'tesseract': 'kinema4d_ros.world_model.tesseract.doctor:check_tesseract'}
HELP = 'predict an episode with a Kinema4D checkpoint, or check machine and checkpoint'
EPILOG = """\
Writes a video, key frames beside what really happened, the cloud of the last frame and a summary.
--doctor accounts for every key of the checkpoint, estimates memory and time, and stops; exit code
1 where something will not work. Several GPUs share one sequence with --context-parallel; torchrun
starts a process for each:

  torchrun --nproc-per-node 2 --no-python kinema4d engine EPISODE ... --context-parallel 2

examples:
  kinema4d engine --doctor --base DIR --weights DIR
  kinema4d engine --doctor --world-model cosmos --set directory=DIR --set domain=droid
  kinema4d engine libero_object_0_0_success --base DIR --weights DIR --out out/kinema4d"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; every setting of the model is an option."""
    from kinema4d_ros.world_model.kinema4d.model import Kinema4D

    parser.add_argument('episode', metavar='EPISODE', nargs='?',
                        help='.mcap file, folder of a bag, or name of a bundled episode')
    parser.add_argument('--doctor', action='store_true',
                        help='check machine and checkpoint, estimate memory and time, and stop')
    parser.add_argument('--world-model', choices=('kinema4d', *OTHERS), default='kinema4d',
                        help='with --doctor: whose checkpoint it is (%(default)s)')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='a setting of another world model than kinema4d; may be repeated')
    parser.add_argument('--out', type=Path, default=Path('out/kinema4d'),
                        help='where video, key frames, cloud and summary go (%(default)s)')
    parser.add_argument('--frames', type=precheck.frames, default=49, metavar='N',
                        help='predicted frames (%(default)s)')
    parser.add_argument('--seed', type=int, default=42, help='of the noise (%(default)s)')
    parser.add_argument('--calibrate', action='store_true',
                        help="measure MagCache's ratios and write them to OUT/kinema4d.json")
    group = parser.add_argument_group('settings of the model')
    for name, (default, meaning) in Kinema4D.settings.items():
        flag = f'--{name.replace("_", "-")}'
        text = f'{meaning} ({default!r})'.replace('%', '%%')
        if isinstance(default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=default,
                               help=text)
        else:
            group.add_argument(flag, type=type(default), default=default, help=text)


def run(options: argparse.Namespace) -> Exit:
    """Predict, or check machine and checkpoint."""
    from kinema4d_ros.episodes import Episode, find_episode
    from kinema4d_ros.errors import ConfigurationError
    from kinema4d_ros.world_model.kinema4d.model import Kinema4D

    setting = {name: getattr(options, name) for name in Kinema4D.settings}
    if options.doctor:
        return print_checks(options, setting)
    if options.world_model != 'kinema4d':
        raise ConfigurationError(
            f'this predicts with kinema4d; with {options.world_model} use --doctor here, and '
            f'kinema4d precheck EPISODE --tiers 0,1,2 --world-model {options.world_model}')
    if options.episode is None:
        raise ConfigurationError('name an episode (.mcap file or bundled), or use --doctor')
    episode = Episode.open(find_episode(options.episode))
    if options.calibrate:
        setting['cache'] = 'mag_calibrate'
    leads = join_processes(setting)
    predict_episode(options, setting, episode, leads)
    return Exit.PASS


def print_checks(options: argparse.Namespace, setting: dict[str, Any]) -> Exit:
    """Print what the doctor of the engine finds."""
    from kinema4d_ros.diagnosis import Level

    code = Exit.PASS
    for found in checks(options, setting):
        is_good = found.level != Level.ERROR
        print(f'{"ok " if is_good else "BAD"} {found.name:<11}{found.message}')
        code = code if is_good else Exit.FAIL
    return code


def checks(options: argparse.Namespace, setting: dict[str, Any]) -> Iterator[Diagnosis]:
    """Yield what the doctor of the chosen world model finds."""
    from kinema4d_ros.errors import ConfigurationError
    from kinema4d_ros.world_model import model_class

    if options.world_model == 'kinema4d':
        from kinema4d_ros.world_model.kinema4d.doctor import check_engine
        return check_engine(setting)
    known = model_class(options.world_model).settings
    given = precheck.settings_of(options.set)
    if unknown := sorted(set(given) - set(known)):
        raise ConfigurationError(f'{options.world_model} has no setting {", ".join(unknown)}; it '
                                 f'has: {", ".join(sorted(known))}')
    merged = {name: default for name, (default, _) in known.items()} | given
    module, _, name = OTHERS[options.world_model].partition(':')
    found: Iterator[Diagnosis] = getattr(importlib.import_module(module), name)(merged)
    return found


def join_processes(setting: dict[str, Any]) -> bool:
    """Join the other processes of torchrun, where there are some; return whether we lead."""
    rank = int(os.environ.get('RANK', '0'))
    if setting['context_parallel'] > 1 and 'WORLD_SIZE' in os.environ:
        from kinema4d_ros.world_model.kinema4d.stack import require_stack

        torch = require_stack()
        cuda = torch.cuda.is_available() and setting['device'] != 'cpu'
        if cuda:
            torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
        setting['device'] = f'cuda:{os.environ["LOCAL_RANK"]}' if cuda else 'cpu'
        torch.distributed.init_process_group('nccl' if cuda else 'gloo')
    return rank == 0


def predict_episode(options: argparse.Namespace, setting: dict[str, Any], episode: Episode,
                    leads: bool) -> None:
    """Predict the episode's trajectory and write what came out."""
    from kinema4d_ros.camera import LinkPose
    from kinema4d_ros.robot import Robot
    from kinema4d_ros.simulator import ShadowSimulator
    from kinema4d_ros.world_model.kinema4d.model import Kinema4D

    started = time.perf_counter()
    model = Kinema4D(**setting)
    loaded = time.perf_counter() - started
    assert model.engine is not None      # that is when it is closed
    for line in model.engine.active if leads else ():
        print(line)
    simulator = ShadowSimulator(
        Robot.from_urdf(episode.robot_description), model, frames=options.frames,
        camera_poses=LinkPose(episode.camera_frame).poses)
    started, first = time.perf_counter(), 0.0
    frames: list[PredictedFrame] = []

    def report(stage: str, step: int, total: int) -> None:
        if leads:
            end = '\n' if step == total else ''
            print(f'\r{stage} {step}/{total}  {time.perf_counter() - started:.1f} s ', end=end,
                  flush=True)

    for frame in simulator.predict(episode.observation(), episode.trajectory, seed=options.seed,
                                   report=report):
        first = first or time.perf_counter() - started
        frames.append(frame)
    seconds = {'loading': loaded, 'first_frame': first,
               'all_frames': time.perf_counter() - started}
    if leads:
        write(options, model, episode, frames, seconds)


def write(options: argparse.Namespace, model: Kinema4D, episode: Episode,
          frames: list[PredictedFrame], seconds: dict[str, float]) -> None:
    """Write video, key frames beside the real ones, the last frame's cloud, and a summary."""
    import numpy as np

    from kinema4d_ros.episodes.video_file import write_video
    from kinema4d_ros.evaluation import pictures

    out, engine = options.out, model.engine
    assert engine is not None
    out.mkdir(parents=True, exist_ok=True)
    duration = max(frames[-1].time, 1e-3)
    write_video(out / 'prediction.mp4', (frame.image for frame in frames),
                max(1.0, (len(frames) - 1) / duration))
    chosen = frames[::max(1, (len(frames) - 1) // 6)]
    real = episode.truth.future([frame.time for frame in chosen])
    pictures.write_png(out / 'key_frames.png', pictures.sheet(
        [('predicted', [frame.image for frame in chosen]),
         ('real', [frame.image for frame in real])],
        [frame.time for frame in chosen], episode.metadata.task_text))
    known = np.isfinite(frames[-1].pointmap[..., 2])
    pictures.write_cloud(out / 'last_frame.ply', frames[-1].pointmap[known],
                         frames[-1].image[known])
    errors = [frame.action_following for frame in frames if frame.action_following is not None]
    summary = {
        'episode': episode.path.name, 'frames': len(frames), 'seed': options.seed,
        'variant': str(engine.checkpoint.config.variant),
        'fingerprint': model.fingerprint, 'steps': engine.sampling.steps,
        'guidance': str(engine.sampling.guidance), 'active': engine.active, 'seconds': seconds,
        'action_following_median_m': float(np.median(errors)) if errors else None,
        'action_following_worst_m': max(errors, default=None)}
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    if options.calibrate:
        from kinema4d_ros.world_model.kinema4d.acceleration import measured_ratios
        (out / 'kinema4d.json').write_text(json.dumps(
            {'mag_ratios': measured_ratios(engine.transformer)}, indent=2) + '\n')
    print(json.dumps(summary, indent=2))
    print(f'written to {out}')
