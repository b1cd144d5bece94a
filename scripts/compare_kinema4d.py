#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compare Kinema4D with tensors that another implementation dumped: a table of differences.

    python scripts/compare_kinema4d.py DUMPS --base DIR --weights DIR

DUMPS is a folder of .safetensors files, of which any may be missing. Give the other implementation
the same base and weights (float32, CPU), and write what went in and what came out:

  forward     in: hidden_states (B,36,F,H,2W), timestep (B,), arm (B,20,F,H,A), image_embeds (B,N,D)
              out: output; output_double where the robot's residual was added twice
  conditions  in: image (H,W,3) uint8; out: condition (1,20,F,H,2W), image_embeds (1,N,D)
              in: robot_pointmap (T,H,W,3) float32 in [-1,1], robot_mask (T,H,W) uint8,
              robot_image (T,H,W,3) uint8; out: arm (1,20,F,H,A)
  lora        out: merged weights by name, blocks.0.attn1.to_q.weight, ...
  sampling    in: condition, image_embeds, arm, seed (), steps (), guidance_scale () (0 for one
              pass); out: timesteps (steps,), noise, latents
  decoder     in: latents (1,16,F,H,2W) as sampling gives; out: picture (T,H,W,3) uint8,
              pointmap (T,H,W,3) in [-1,1]
  loss        in: as forward, and target; out: loss ()
  gradients   in: as loss; out: gradients by the names of the released files

The exit code is 1 where a relative difference exceeds --limit, or nothing was compared.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint, lora_targets
from kinema4d_ros.world_model.kinema4d.conditioning import ConditionEncoder, ImageCondition
from kinema4d_ros.world_model.kinema4d.config import Guidance
from kinema4d_ros.world_model.kinema4d.image_encoder import ImageEncoder
from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline, SamplingSettings
from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec

Dump = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Difference:
    """How far ours is from theirs."""

    part: str
    name: str
    rms: float
    worst: float
    relative: float      # rms of the difference by the rms of theirs

    @classmethod
    def of(cls, part: str, name: str, ours: torch.Tensor, theirs: torch.Tensor) -> Difference:
        """Compare two tensors; shapes that differ are an infinite difference."""
        if ours.shape != theirs.shape:
            return cls(part, f'{name}: {tuple(ours.shape)} against {tuple(theirs.shape)}',
                       float('inf'), float('inf'), float('inf'))
        ours, theirs = ours.double(), theirs.double()
        apart = ours - theirs
        rms, size = (float(value.square().mean().sqrt()) for value in (apart, theirs))
        return cls(part, name, rms, float(apart.abs().max()),
                   rms / size if size else (0.0 if rms == 0 else float('inf')))


class Ours:
    """Our implementation in float32 on the CPU; parts are loaded when a dump needs them."""

    def __init__(self, base: str, weights: str):
        """Open the checkpoint."""
        self.checkpoint = Checkpoint(base, weights)
        self.config = self.checkpoint.config
        self._parts: dict[str, object] = {}

    def _once(self, name: str, make: Callable[[], object]):
        if name not in self._parts:
            self._parts[name] = make()
        return self._parts[name]

    @property
    def transformer(self):
        """The network, LoRA merged."""
        return self._once('transformer', lambda: self.checkpoint.load_transformer(
            'cpu', torch.float32))

    @property
    def codec(self):
        """The VAE."""
        return self._once('codec', lambda: VideoCodec(self.checkpoint.load_vae(
            'cpu', torch.float32)))

    def _velocity(self, model, dump: Dump, times: int = 1) -> torch.Tensor:
        return model(dump['hidden_states'].float(), dump['timestep'], dump['arm'].float(),
                     dump['image_embeds'].float(), residual_times=times, return_dict=False)[0]

    def forward(self, dump: Dump) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield what the network makes of the input."""
        with torch.no_grad():
            for name, times in (('output', 1), ('output_double', 2)):
                if name in dump:
                    yield name, self._velocity(self.transformer, dump, times)

    def conditions(self, dump: Dump) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield what image and robot are encoded to."""
        images = ImageEncoder(self.checkpoint.load_image_encoder('cpu'),
                              self.config.image_processor)
        encoder = ConditionEncoder(self.config, self.codec, images)
        if 'image' in dump:
            found = encoder.image(dump['image'].numpy())
            yield 'condition', found.condition
            yield 'image_embeds', found.image_embeds
        if 'robot_pointmap' in dump:
            yield 'arm', encoder.robot(dump['robot_pointmap'].float().numpy(),
                                       dump['robot_mask'].numpy().astype(bool),
                                       dump['robot_image'].numpy())

    def lora(self, dump: Dump) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the merged weights that the dump names."""
        state = self.transformer.state_dict()
        known = {f'{name}.weight' for name in lora_targets(self.config.transformer['num_layers'])}
        if unknown := sorted(set(dump) - known):
            raise WorldModelError(f'lora: no weight is merged into {unknown[0]}')
        for name in sorted(dump):
            yield name, state[name]

    def sampling(self, dump: Dump) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield noise, timesteps and the result of the whole loop."""
        scheduler, seed = self.checkpoint.make_scheduler(), int(dump['seed'])
        steps, scale = int(dump['steps']), float(dump['guidance_scale'])
        pipeline = Pipeline(self.transformer, scheduler, 'cpu', torch.float32)
        image = ImageCondition(dump['condition'].float(), dump['image_embeds'].float())
        latents = pipeline.sample(
            image, dump['arm'].float(), SamplingSettings(
                steps, Guidance.REFERENCE if scale else Guidance.SINGLE_PASS, scale),
            torch.Generator().manual_seed(seed))
        yield 'timesteps', scheduler.timesteps
        yield 'noise', torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
        yield 'latents', latents

    def decoder(self, dump: Dump) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield picture and pointmap of a joint latent."""
        sampling = self.config.sampling
        left, right = dump['latents'].float().chunk(2, dim=4)
        right = right * sampling.pointmap_std + sampling.pointmap_mean
        video = torch.cat(list(self.codec.decode(torch.cat([left, right], dim=4))), dim=2)
        picture, points = video[0].permute(1, 2, 3, 0).chunk(2, dim=2)
        yield 'picture', ((picture + 1) * 127.5).round().clamp(0, 255)
        yield 'pointmap', points

    def loss(self, dump: Dump) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the loss of the batch."""
        with torch.no_grad():
            velocity = self._velocity(self.transformer, dump)
        yield 'loss', (velocity - dump['target'].float()).square().mean()

    def gradients(self, dump: Dump) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the gradient of all that learns."""
        from kinema4d_ros.training.network import learning, load_for_training, released_names
        model = load_for_training(self.checkpoint, 'cpu', torch.float32)
        velocity = self._velocity(model, dump)
        (velocity - dump['target'].float()).square().mean().backward()
        added, lora = released_names({name: value.grad for name, value
                                      in learning(model).items()})
        yield from sorted((added | lora).items())


PARTS = ('forward', 'conditions', 'lora', 'sampling', 'decoder', 'loss', 'gradients')


def compare(folder: Path, ours: Ours) -> Iterator[Difference]:
    """
    Yield a row for each tensor that both have.

    :raises WorldModelError: a dump lacks an input.
    """
    for part in PARTS:
        path = folder / f'{part}.safetensors'
        if not path.is_file():
            continue
        dump = load_file(path)
        try:
            for name, tensor in getattr(ours, part)(dump):
                if name in dump:
                    yield Difference.of(part, name, tensor.detach(), dump[name])
        except KeyError as error:
            raise WorldModelError(f'{path} lacks {error}; --help says what it must hold') from error


def as_table(rows: list[Difference], most: int) -> str:
    """Return the rows for people; of a part with many tensors, the worst."""
    lines = [f'{"part":<11}{"rms":>11}{"max":>11}{"relative":>11}  tensor']
    for part in PARTS:
        of_part = sorted((row for row in rows if row.part == part), key=lambda row: -row.relative)
        lines += [f'{row.part:<11}{row.rms:11.2e}{row.worst:11.2e}{row.relative:11.2e}  {row.name}'
                  for row in of_part[:most]]
        if len(of_part) > most:
            lines.append(f'{part:<11}{"":33}  and {len(of_part) - most} closer ones')
    return '\n'.join(lines)


def main(words: list[str] | None = None) -> int:
    """Compare, print the table, and say whether all is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dumps', type=Path, metavar='DUMPS', help='folder of .safetensors files')
    parser.add_argument('--base', required=True, help='base model in diffusers layout')
    parser.add_argument('--weights', required=True, help='folder of added weights and LoRA')
    parser.add_argument('--limit', type=float, default=1e-3,
                        help='of the relative difference (%(default)s)')
    parser.add_argument('--most', type=int, default=8, help='rows of a part (%(default)s)')
    options = parser.parse_args(words)
    try:
        rows = list(compare(options.dumps, Ours(options.base, options.weights)))
    except WorldModelError as error:
        print(error, file=sys.stderr)
        return 2
    if not rows:
        print(f'nothing to compare in {options.dumps}: none of '
              f'{", ".join(f"{part}.safetensors" for part in PARTS)}', file=sys.stderr)
        return 1
    print(as_table(rows, options.most))
    worst = float(np.max([row.relative for row in rows]))
    print(f'{len(rows)} tensors compared, largest relative difference {worst:.2e}, '
          f'limit {options.limit:g}')
    return 0 if worst <= options.limit else 1


if __name__ == '__main__':
    sys.exit(main())
