# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world model `kinema4d`: one observation and the robot's exact motion -> a 4D future."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.base import check_camera, check_still_camera, WorldModel
from kinema4d_ros.world_model.card import Metres, ModelCard
from kinema4d_ros.world_model.kinema4d import pointmap_codec
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.extra_lora import ExtraLora
from kinema4d_ros.world_model.kinema4d.frames import (FrameMaker, ModelView, padded, plan_windows,
                                                        Window)
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack

if TYPE_CHECKING:      # torch is imported once the checkpoint was checked
    import torch

    from kinema4d_ros.world_model.kinema4d.conditioning import ImageCondition
    from kinema4d_ros.world_model.kinema4d.engine import Engine


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One of the trajectories that are predicted together."""

    view: ModelView
    normalisation: pointmap_codec.Normalisation
    maker: FrameMaker
    generator: torch.Generator      # of its soft cells and its noise


class Kinema4D(WorldModel):
    """
    Generates the future with the Kinema4D diffusion transformer.

    The constructor loads the checkpoint. What depends on the observation alone (its VAE and CLIP
    encodings) is computed once for all candidate trajectories from the same Observation object.
    More frames than the model has run in chained windows. The camera must stand still, as in the
    model's training data.
    """

    name = 'kinema4d'
    card = ModelCard(
        inputs='RGB, the exact robot as pictures and points; depth for the range of the points',
        outputs='RGB and points with sigma, windows of 49 frames of 720x480',
        metres=Metres.FITTED, views='the first, still camera',
        code_licence='Apache-2.0 (here and theirs, not used)',
        weights_licence='Apache-2.0 (Kinema4D by its repository, Wan2.1 by its card)',
        memory='33 GB of weights in bf16, and more while it samples; less with offload (doctor)',
        time='4.5 min a window on an H100, from published throughputs',
        run_here='tiny random weights on CPU, against the official program in float32; never the '
                 'released ones')
    settings = {
        'base': ('', 'directory of the base model (Wan2.1-I2V-14B-480P) in diffusers layout'),
        'weights': ('', 'directory with added_weights and pytorch_lora_weights of Kinema4D'),
        'variant': ('auto', 'auto, default (RGB and pointmap) or pmcond (pointmap only)'),
        'device': ('auto', 'auto, cpu, cuda, cuda:1, ...'),
        'dtype': ('auto', 'auto, bfloat16, float16 or float32'),
        'robot_dtype': ('auto', "of the robot's encoding: auto (float16 on a GPU, as the released "
                        'data; else float32), float16, float32 or bfloat16'),
        'steps': (0, 'denoising steps, 1 to 1000; 0 for what the checkpoint says (50)'),
        'guidance': ('auto', 'auto, single_pass (as trained) or reference (as released, 2x cost)'),
        'guidance_scale': (0.0, 'weight of the first pass of reference; 0 for the checkpoint (5)'),
        'scheduler': ('checkpoint', 'sampler: checkpoint, unipc or euler'),
        'flow_shift': (0.0, "of the sampler's noise levels; 0 for the checkpoint's own"),
        'extra_lora': ('', 'file of a further LoRA to merge, such as one for 4 to 8 steps'),
        'extra_lora_scale': (1.0, 'of that LoRA'),
        'attention_backend': ('native', 'kernel of the attentions, by its name in diffusers'),
        'cache': ('none', 'none, first_block, mag (needs ratios) or mag_calibrate'),
        'cache_threshold': (0.05, 'how much change a cache ignores; larger is faster and coarser'),
        'quantization': ('none', 'none, float8 or int8, of the linear layers of the blocks'),
        'compile': ('none', 'none, or the backend of torch.compile, for example inductor'),
        'offload': ('none', 'none, model (parts by turns on the GPU) or group (block by block)'),
        'context_parallel': (1, 'GPUs that share one sequence; start with torchrun'),
        'parallel_kind': ('ulysses', 'how they share it: ulysses or ring (flash or cuDNN kernels)'),
        'check_memory': (True, 'refuse to load what is estimated not to fit'),
        'image_fit': ('crop', 'how other image shapes become 3:2: crop, pad or stretch'),
        'normaliser': ('scene', 'range of the pointmaps: scene, per_frame or fixed'),
        'pointmap_x': (0.0, 'of fixed: centre to the right, in the camera frame [m]'),
        'pointmap_y': (0.0, 'of fixed: centre downwards [m]'),
        'pointmap_z': (1.0, 'of fixed: centre forwards [m]'),
        'pointmap_scale': (1.0, 'of fixed: half of the range [m]'),
        'pointmap_background': (-1.0, 'value of pixels without robot, -1 (black) to 1'),
        'padding': ('hold', 'of clips that are too short: hold (the robot stands still) or reverse '
                    '(back again, as the released weights were trained)'),
        'mask_dilation': (0, 'pixels by which the robot mask is made larger; the released weights '
                          'were trained on masks about 11 % too large (median 6 px of fuzz)'),
        'soft_mask': (0.0, "share of the robot mask's cells set to one half, 0 to 1; 0.1 for a "
                           'badly calibrated camera'),
    }

    def __init__(self, **values: Any) -> None:
        """
        Make the model: settings checked, checkpoint loaded.

        :raises WorldModelError: for a bad setting, a missing package, a checkpoint that does not
            match, too little memory, or an option that does not take effect.
        """
        super().__init__(**values)
        self._normaliser = self._pick_normaliser()
        for key, low, high in (('pointmap_background', -1.0, 1.0), ('soft_mask', 0.0, 1.0)):
            if not low <= self.setting[key] <= high:
                raise WorldModelError(
                    f'{key} must be from {low:g} to {high:g}, got {self.setting[key]:g}')
        padded(1, 1, self.setting['padding'])
        if not 0 <= self.setting['mask_dilation'] <= 64:
            raise WorldModelError(
                f'mask_dilation must be 0 to 64 px, got {self.setting["mask_dilation"]}')
        # Before torch is imported, which takes seconds: a wrong folder is reported at once.
        checkpoint = Checkpoint(*(self.setting[key] for key in ('base', 'weights', 'variant')))
        require_stack()
        from kinema4d_ros.world_model.kinema4d.engine import Engine
        self.engine: Engine | None = Engine(self.setting, checkpoint)
        self.fingerprint = checkpoint.fingerprint
        if self.setting['extra_lora']:       # other weights, wherever the file lies
            self.fingerprint += f'+{ExtraLora(self.setting["extra_lora"]).fingerprint}'
        self._seen: tuple[Observation, ImageCondition] | None = None

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """
        Yield the frames; the first come while the last are still being decoded.

        Stages reported: 'encode', 'denoise' (before every network evaluation), 'decode'.
        """
        for _, frame in self.predict_all(observation, [robot], seed=seed, report=report):
            yield frame

    def predict_all(self, observation: Observation, robots: Sequence[RobotRollout], *,
                    seed: int = 0, report: Report = silent
                    ) -> Iterator[tuple[int, PredictedFrame]]:
        """
        Yield (candidate, frame) of several candidate trajectories, denoised as one batch.

        Each candidate becomes what `predict` makes of it alone, up to rounding; the frames of
        each come in order. A batch of K needs the activations of K.

        :param robots: all with the same number of frames.
        :raises WorldModelError: as `predict`, and for rollouts of different lengths.
        """
        engine = self.engine
        if engine is None:
            raise WorldModelError('this kinema4d model is closed; make a new one')
        for robot in robots:
            self._check(observation, robot)
        if len(lengths := sorted({len(robot.times) for robot in robots})) != 1:
            raise WorldModelError(
                f'candidates that are predicted together need the same number of frames, got '
                f'{", ".join(map(str, lengths)) or "no candidate"}')
        with memory_guard('predicting'):
            yield from self._predict(engine, observation, robots, seed, report)

    def close(self) -> None:
        """Free the device."""
        self.engine = self._seen = None
        torch = require_stack()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _predict(self, engine: Engine, observation: Observation, robots: Sequence[RobotRollout],
                 seed: int, report: Report) -> Iterator[tuple[int, PredictedFrame]]:
        """Run the windows one after the other, all candidates at once."""
        import torch

        from kinema4d_ros.world_model.kinema4d.conditioning import stacked
        count = len(robots[0].times)
        size = engine.checkpoint.config.geometry
        candidates = [_Candidate(
            view := ModelView(observation, robot, size, self.setting['image_fit']),
            how := self._normaliser(view.scene_points(), robot.pointmap), FrameMaker(view, how),
            torch.Generator().manual_seed(seed)) for robot in robots]
        windows = plan_windows(count, size.frames, self.setting['padding'])
        last: list[np.ndarray] = []
        for number, window in enumerate(windows):
            report('encode', number, len(windows))
            image = (self._see(engine, observation, candidates[0].view) if not last
                     else stacked([engine.encode_image(picture) for picture in last]))
            arms = torch.cat([self._encode_robot(engine, one, window) for one in candidates])
            latents = engine.sample(image, arms, [one.generator for one in candidates], report)
            last = []
            for at, one in enumerate(candidates):
                for index, picture, values in engine.decode(latents[at:at + 1]):
                    if index >= window.emit.stop:
                        break
                    if index in window.emit:
                        frame = int(window.indices[index])
                        report('decode', frame, count)
                        yield at, one.maker.make(frame, picture, values)
                    newest = picture
                last.append(newest)
        report('decode', count, count)

    def _see(self, engine: Engine, observation: Observation, view: ModelView) -> ImageCondition:
        """Return the encoded observation, kept for the next candidate."""
        if self._seen is None or self._seen[0] is not observation:
            self._seen = observation, engine.encode_image(view.image)
        return self._seen[1]

    def _encode_robot(self, engine: Engine, candidate: _Candidate,
                      window: Window) -> torch.Tensor:
        """Encode the robot's motion in one window."""
        robot = candidate.view.robot_frames(window.indices)
        values = candidate.normalisation.encode(robot.pointmap, window.indices,
                                                self.setting['pointmap_background'])
        return engine.encode_robot(values, robot.mask, robot.image, self.setting['soft_mask'],
                                   candidate.generator, self.setting['mask_dilation'])

    def _pick_normaliser(self) -> pointmap_codec.Normaliser:
        """Return the normaliser that the settings name."""
        name = self.setting['normaliser']
        table = {'scene': pointmap_codec.per_clip, 'per_frame': pointmap_codec.per_frame,
                 'fixed': pointmap_codec.fixed(
                     tuple(self.setting[f'pointmap_{axis}'] for axis in 'xyz'),
                     self.setting['pointmap_scale'])}
        if name not in table:
            raise WorldModelError(
                f'normaliser {name!r} does not exist; choose one of: {", ".join(table)}')
        return table[name]

    def _check(self, observation: Observation, robot: RobotRollout) -> None:
        """Refuse input that the model cannot be conditioned on."""
        check_camera(observation, robot)
        mask = robot.link_id >= 0
        if not mask.any():
            raise WorldModelError(
                'the robot is in no frame of the camera image, and this model is steered by its '
                'picture; check the camera pose, or choose the world model kinematic')
        if not np.isfinite(robot.pointmap[mask]).all():
            raise WorldModelError(
                'the robot pointmap has NaN inside the robot mask; render it again '
                '(kinema4d_ros.camera.RobotRenderer leaves NaN only outside)')
        check_still_camera(robot, 'this model knows no other than cameras that stand still')
