# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loaded pipeline of Cosmos 3: all torch work of one rollout."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers import CosmosActionCondition
from PIL import Image

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import PinholeCamera, Report
from kinema4d_ros.world_model.cosmos.checkpoint import CosmosCheckpoint
from kinema4d_ros.world_model.cosmos.estimate import estimate_cosmos
from kinema4d_ros.world_model.kinema4d.diffusers_compat import action_canvas, action_tiers
from kinema4d_ros.world_model.kinema4d.estimate import check_memory, free_memory
from kinema4d_ros.world_model.kinema4d.stack import pick_device, pick_dtype

OFFLOADS = ('none', 'model')
VIEW_POINTS = ('auto', 'third_person_view', 'ego_view', 'wrist_view', 'concat_view')


class CosmosEngine:
    """A checkpoint on a device, ready to roll windows of actions out."""

    def __init__(self, setting: Mapping[str, Any], checkpoint: CosmosCheckpoint):
        """
        Load the pipeline.

        :param setting: the settings of `Cosmos`.
        :raises WorldModelError: for a setting that does not fit the checkpoint or this machine.
        """
        check_settings(setting, checkpoint)
        self.device = pick_device(setting['device'])
        self.dtype = pick_dtype(setting['dtype'], self.device)
        if setting['offload'] == 'model' and torch.device(self.device).type == 'cpu':
            raise WorldModelError('offload=model needs a GPU to bring the parts to; the device is '
                                  f'{self.device}; use offload=none')
        if setting['check_memory']:
            need = estimate_cosmos(checkpoint, setting['resolution'], setting['chunk'],
                                   self.dtype.itemsize, offload=setting['offload'],
                                   on_cpu=torch.device(self.device).type == 'cpu')
            check_memory(need, *free_memory(self.device))
        self.checkpoint, self._setting = checkpoint, setting
        self.pipeline = checkpoint.load_pipeline(
            self.device, self.dtype, flow_shift=setting['flow_shift'], offload=setting['offload'])
        self.steps_done = 0      # denoising steps so far

    def size_for(self, camera: PinholeCamera) -> tuple[int, int]:
        """
        Return the (width, height) in which pictures of a camera go in and come out [px].

        As large as they are, or as the tier allows, in whole latent pixels.
        """
        scale = self.checkpoint.spatial_scale
        width, height = action_canvas(self._setting['resolution'], camera.width, camera.height)
        factor = min(width / camera.width, height / camera.height, 1.0)
        wide, high = (int(factor * side + 0.5) // scale * scale
                      for side in (camera.width, camera.height))
        if not wide or not high:
            raise WorldModelError(
                f'an image of {camera.width} x {camera.height} pixels is too small for cosmos, '
                f'which sees cells of {scale} pixels')
        return wide, high

    def roll_out(self, image: np.ndarray, actions: np.ndarray, generator: torch.Generator,
                 report: Report) -> np.ndarray:
        """
        Return the frames of one window, (chunk + 1, H, W, 3) uint8; the first shows `image`.

        `report('denoise', step, steps)` is called before the first and after each denoising step;
        what it raises ends the sampling there.

        :param image: (H, W, 3) uint8, of the size of `size_for`.
        :param actions: (chunk, 10) in the range that the model was trained on.
        :raises WorldModelError: the result is not finite, or not of that size.
        """
        setting, steps = self._setting, self._setting['steps']
        view_point = setting['view_point']

        def after(pipeline: object, step: int, timestep: object,
                  values: dict[str, Any]) -> dict[str, Any]:
            self.steps_done += 1
            report('denoise', step + 1, steps)
            return {}

        report('denoise', 0, steps)
        condition = CosmosActionCondition(
            mode='forward_dynamics', chunk_size=len(actions),
            domain_name=self.checkpoint.domain.name, resolution_tier=setting['resolution'],
            raw_actions=torch.from_numpy(np.asarray(actions, np.float32)),
            image=Image.fromarray(image),
            view_point=self.checkpoint.domain.view_point if view_point == 'auto' else view_point)
        with torch.inference_mode():
            video = self.pipeline(
                prompt=setting['prompt'], action=condition, fps=self.checkpoint.domain.rate,
                num_inference_steps=steps, guidance_scale=setting['guidance_scale'],
                generator=generator, output_type='np', callback_on_step_end=after,
                enable_safety_check=False).video
        if not np.isfinite(video).all():
            raise WorldModelError('cosmos produced values that are not finite; use dtype=bfloat16 '
                                  'or float32, and look whether the weights are whole')
        if video.shape != (len(actions) + 1, *image.shape):
            raise WorldModelError(
                f'cosmos returned frames of the shape {video.shape} for an image {image.shape} and '
                f'{len(actions)} actions; this diffusers works in another way than the one that '
                'this was written for')
        pictures: np.ndarray = np.rint(video * 255).astype(np.uint8)
        return pictures


def check_settings(setting: Mapping[str, Any], checkpoint: CosmosCheckpoint) -> None:
    """
    Refuse settings that the pipeline would refuse late, or not at all.

    :raises WorldModelError: naming the value and the valid ones.
    """
    for name, choices in (('offload', OFFLOADS), ('view_point', VIEW_POINTS),
                          ('resolution', action_tiers())):
        if setting[name] not in choices:
            raise WorldModelError(f'{name} {setting[name]!r} does not exist; choose one of: '
                                  f'{", ".join(map(str, choices))}')
    if not 1 <= setting['steps'] <= 1000:
        raise WorldModelError(f'steps must be 1 to 1000, got {setting["steps"]}')
    scale = checkpoint.temporal_scale
    if setting['chunk'] < scale or setting['chunk'] % scale:
        raise WorldModelError(f'chunk must be a multiple of {scale}, the frames in one latent '
                              f'frame, got {setting["chunk"]}; the model was trained with 16')
    for name, least in (('guidance_scale', 0.0), ('flow_shift', 0.0)):
        if not (np.isfinite(setting[name]) and setting[name] > least):
            raise WorldModelError(f'{name} must be more than {least:g}, got {setting[name]}')
