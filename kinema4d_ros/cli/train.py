# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d train`: Kinema4D tuned on one's own recordings, or on the Robo4D-200k layout."""
from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit

if TYPE_CHECKING:
    from kinema4d_ros.training import TrainingSettings
    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint

HELP = 'tune a Kinema4D checkpoint on recordings of your robot'
EPILOG = """\
Recordings become clips in the layout of Robo4D-200k, encoded once (OUT/clips, or --clips); a folder
that is in that layout already is taken as it is, its videos encoded where latents are missing. A
LoRA and the added weights learn; every checkpoint (OUT/checkpoints/step-...) is a folder for
`kinema4d engine --weights`, for the node, and for the official loader. Memory and time are
estimated before it starts. Ctrl-C saves; the same command with --resume goes on to the bit.

Several GPUs: accelerate starts a process for each (ZeRO-2, FSDP and several nodes are its own
options); make the clips first, with --prepare-only, in one process:

  accelerate launch --multi_gpu --num_processes 8 --no_python kinema4d train out/clips ...

examples:
  kinema4d train monday tuesday --base DIR --weights DIR --out out/tuned --estimate
  kinema4d train monday tuesday --base DIR --weights DIR --out out/tuned --prepare-only
  kinema4d train out/tuned/clips --base DIR --weights DIR --out out/tuned
  kinema4d train out/tuned/clips --base DIR --weights DIR --out out/tuned --resume
  kinema4d train robo4d-200k --base DIR --from-4dnex DIR --variant pmcond --out out/new"""
_MEANINGS = {
    'steps': 'optimiser steps', 'batch': 'clips per process and forward pass',
    'accumulation': 'forward passes per optimiser step', 'learning_rate': 'of AdamW',
    'weight_decay': 'of AdamW', 'recipe': 'intended: warm-up over 100 steps, then constant, betas '
    '0.9 and 0.95, as the official script says; effective: what its DeepSpeed config makes of it, '
    'logarithmic warm-up over 100 steps times processes, then a line to 0, betas 0.9 and 0.999',
    'warm_up': 'steps; times the number of processes in the effective recipe',
    'clip_norm': 'of the gradient', 'rank': 'of a new LoRA', 'soft_share': "of the mask's cells "
    'that are set to one half', 'timestep_shift': 'of the noise levels; 1 is uniform, as trained',
    'sample_condition': 'a sample of the VAE for the first frame, as trained, not its mean',
    'gradient_checkpointing': 'compute blocks again going backward: a third more time, far less '
    'memory', 'mixed_precision': 'no or bf16', 'seed': 'of the order and of all chance',
    'save_every': 'steps', 'keep': 'checkpoints; samples differ between steps, so keep several',
    'validate_every': 'steps; 0 for never', 'validation_steps': 'of sampling; 0 for losses only',
    'validation_clips': 'of the held-out ones'}
_CLIPS = {
    'normaliser': 'range of the pointmaps: scene or per_frame', 'background': 'value of pixels '
    'without robot, -1 (black) to 1', 'fit': 'how other image shapes become 3:2: crop, pad or '
    'stretch', 'padding': 'of short clips: reverse or hold',
    'seconds': 'length of a clip; 0 for the whole motion'}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; every setting of the training is an option."""
    from kinema4d_ros.training import ClipSettings, Recipe, TrainingSettings

    parser.add_argument('data', metavar='DATA', nargs='+', type=Path,
                        help='episodes (.mcap files, or folders of them), or one folder in the '
                             'Robo4D-200k layout')
    parser.add_argument('--base', type=Path, required=True, metavar='DIR',
                        help='base model (Wan2.1-I2V-14B-480P) in diffusers layout')
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument('--weights', type=Path, metavar='DIR',
                       help='start from this Kinema4D folder: released, or a checkpoint of a run')
    start.add_argument('--from-4dnex', type=Path, metavar='DIR',
                       help='start from the LoRA and the domain embeddings of 4DNeX, the robot new')
    parser.add_argument('--variant', default='pmcond', choices=('default', 'pmcond'),
                        help='with --from-4dnex: robot RGB and pointmap, or pointmap only '
                             '(%(default)s)')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR',
                        help='checkpoints, log and what is kept of encoding')
    parser.add_argument('--clips', type=Path, metavar='DIR',
                        help='where clips of episodes go (OUT/clips)')
    parser.add_argument('--conditions', type=Path, metavar='DIR',
                        help='where encoded first frames are kept, for several runs '
                             '(OUT/conditions)')
    parser.add_argument('--held-out', type=int, default=1, metavar='N',
                        help='episodes, the last by name, that are only validated on '
                             '(%(default)s)')
    parser.add_argument('--videos', action=argparse.BooleanOptionalAction, default=True,
                        help='write the videos of the clips too, to look at')
    parser.add_argument('--device', default='auto', help='auto or cpu (%(default)s)')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages of recorded robots are; may be repeated')
    parser.add_argument('--estimate', action='store_true',
                        help='print memory and time, and stop')
    parser.add_argument('--prepare-only', action='store_true', help='make the clips, and stop')
    parser.add_argument('--resume', action='store_true', help='go on from the last checkpoint')
    parser.add_argument('--check-memory', action=argparse.BooleanOptionalAction, default=True,
                        help='refuse to start what is estimated not to fit')
    parser.add_argument('--tensorboard', action='store_true',
                        help='write OUT/tensorboard beside OUT/log.jsonl (needs tensorboardX)')
    for title, kind, meanings in (('training', TrainingSettings, _MEANINGS),
                                  ('clips of episodes', ClipSettings, _CLIPS)):
        group = parser.add_argument_group(title)
        for field in dataclasses.fields(kind):
            default: Any = field.default
            flag = f'--{field.name.replace("_", "-")}'
            text = f'{meanings[field.name]} ({default!s})'
            if isinstance(default, bool):
                group.add_argument(flag, action=argparse.BooleanOptionalAction, default=default,
                                   help=text)
            elif field.name == 'recipe':
                group.add_argument(flag, choices=list(Recipe), default=default, type=Recipe,
                                   help=text)
            else:
                group.add_argument(flag, type=type(default), default=default, help=text)


def run(options: argparse.Namespace) -> Exit:
    """Estimate, make the clips, train."""
    from kinema4d_ros.training import ClipSettings, TrainingSettings
    from kinema4d_ros.training.settings import TrainingPaths
    from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint

    settings = of_fields(TrainingSettings, options)
    settings.check()
    clip_settings = of_fields(ClipSettings, options)
    clip_settings.check()
    leads = int(os.environ.get('RANK', '0')) == 0
    weights = start_weights(options, settings, leads)
    checkpoint = Checkpoint(options.base, weights)
    if leads:
        print_estimate(options, settings, checkpoint)
    if options.estimate:
        return Exit.PASS
    clips = make_clips(options, clip_settings, checkpoint)
    if options.prepare_only:
        return Exit.PASS

    from kinema4d_ros.training.sharding import why_not_sharded
    from kinema4d_ros.training.trainer import Trainer

    trainer = Trainer(TrainingPaths(options.base, weights, clips, options.out,
                                    options.conditions), settings,
                      device=options.device, resume=options.resume,
                      tensorboard=options.tensorboard)
    if leads and (why := why_not_sharded(options.device)) is not None:
        print(f'note: {why}')
    if leads:
        print(f'training on {len(trainer.samples)} clips, {trainer.processes} processes, from step '
              f'{trainer.step}')
    last = trainer.run(show_step)
    for name, why in trainer.samples.broken.items():
        print(f'left out {name}: {why}')
    if leads:
        print(f'written: {last}\nnext: kinema4d engine EPISODE --base {options.base} '
              f'--weights {last}')
    return Exit.PASS


def show_step(step: int, values: dict[str, Any]) -> None:
    """Print one line for a step."""
    more = ' '.join(f'{name} {value:.4g}' for name, value in values.items()
                    if name not in ('loss', 'learning_rate', 'gradient_norm', 'seconds', 'clips',
                                    'broken_clips') and value is not None)
    print(f'step {step}: loss {values["loss"]:.5f}, {values["seconds"]:.2f} s'
          + (f'; {more}' if more else ''), flush=True)


def of_fields(kind: type[Any], options: argparse.Namespace) -> Any:
    """Return a dataclass of the options of the same names."""
    return kind(**{field.name: getattr(options, field.name)
                   for field in dataclasses.fields(kind)})


def start_weights(options: argparse.Namespace, settings: TrainingSettings, leads: bool) -> Path:
    """Return the folder to start from; of 4DNeX, it is written once below OUT."""
    if options.weights is not None:
        return Path(options.weights)
    from kinema4d_ros.training.network import write_start
    from kinema4d_ros.world_model.kinema4d.config import Variant

    folder = options.out / f'start_{options.variant}'
    if leads and not (folder / 'pytorch_lora_weights.safetensors').is_file():
        write_start(options.base, folder, ancestor=options.from_4dnex,
                    variant=Variant(options.variant), rank=settings.rank, seed=settings.seed)
    wait_for_all(options.device)
    return Path(folder)


def print_estimate(options: argparse.Namespace, settings: TrainingSettings,
                   checkpoint: Checkpoint) -> None:
    """Print memory, disk and time; refuse what cannot fit."""
    from kinema4d_ros.training.estimate import check_device, estimate_training
    from kinema4d_ros.training.sharding import is_sharded
    from kinema4d_ros.world_model.kinema4d.estimate import free_memory
    from kinema4d_ros.world_model.kinema4d.stack import pick_device

    spread = is_sharded(options.device)
    need = estimate_training(
        checkpoint.config, checkpoint.stock.shapes,
        {**checkpoint.added.shapes, **checkpoint.lora.shapes}, settings,
        2 if settings.mixed_precision == 'bf16' else 4,
        shards=int(os.environ.get('WORLD_SIZE', '1')) if spread else 1)
    print('\n'.join(need.lines(settings)), flush=True)
    if options.check_memory and not (options.estimate or options.prepare_only):
        check_device(need, free_memory(pick_device(options.device))[0])


def make_clips(options: argparse.Namespace, settings: Any, checkpoint: Checkpoint) -> Path:
    """Return the root of the clips, after making what is missing; one process works."""
    from kinema4d_ros.cli import show
    from kinema4d_ros.datasets.robo4d import VIDEO_LIST
    from kinema4d_ros.training.encoding import (ClipEncoder, encode_layout, prepare_episodes,
                                                sizes_of)

    ready = len(options.data) == 1 and (options.data[0] / VIDEO_LIST).is_file()
    root = options.data[0] if ready else options.clips or options.out / 'clips'
    if int(os.environ.get('RANK', '0')) == 0:
        def encoder() -> ClipEncoder:
            return ClipEncoder(checkpoint, options.device)

        with show.progress('train') as report:
            done = (encode_layout(root, encoder, sizes_of(checkpoint), padding=settings.padding,
                                  vae=checkpoint.vae_fingerprint, report=report) if ready else
                    prepare_episodes(episodes_of(options.data), root, encoder, checkpoint,
                                     settings, held_out=options.held_out, videos=options.videos,
                                     package_paths=options.package_path, report=report))
        for name, why in done.broken.items():
            print(f'left out {name}: {why}')
        print(f'{len(done.written)} clips written to {root}, {len(done.kept)} were there')
    wait_for_all(options.device)
    return Path(root)


def episodes_of(data: list[Path]) -> list[Path]:
    """
    Return the episodes that paths name: files, recordings, folders of several, bundled ones.

    :raises EpisodeError: one names none.
    """
    from kinema4d_ros.episodes import find_episode

    found = []
    for path in data:
        inside = sorted(path.glob('*.mcap')) if path.is_dir() else []
        found += inside if len(inside) > 1 else [find_episode(path)]
    return found


def wait_for_all(device: str) -> None:
    """Wait for the other processes of a launcher, where there are some."""
    if int(os.environ.get('WORLD_SIZE', '1')) > 1:
        from accelerate import PartialState

        PartialState(cpu=device == 'cpu').wait_for_everyone()
