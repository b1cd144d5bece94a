# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Observation and exact robot motion -> what the transformer is conditioned on."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from kinema4d_ros.world_model.kinema4d.config import ModelConfig, Variant
from kinema4d_ros.world_model.kinema4d.image_encoder import ImageEncoder
from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec

MASK = 4


@dataclass(frozen=True, eq=False)
class ImageCondition:
    """What depends on the first image alone; serves all candidate trajectories."""

    condition: torch.Tensor      # (1, 20, F, H, 2 W) float32: mask 4, image latent 16
    image_embeds: torch.Tensor   # (1, image tokens, dim) float32


def stacked(images: list[ImageCondition]) -> ImageCondition:
    """Return the conditions of several images as one batch."""
    return ImageCondition(torch.cat([one.condition for one in images]),
                          torch.cat([one.image_embeds for one in images]))


class ConditionEncoder:
    """Turns images and robot signals into the transformer's inputs, all float32 on the CPU."""

    def __init__(self, config: ModelConfig, codec: VideoCodec, image_encoder: ImageEncoder,
                 robot_codec: VideoCodec | None = None):
        """
        Make an encoder of a VAE and a CLIP model, with the sizes of `config`.

        :param robot_codec: of the robot's pictures, where that is to work in another dtype.
        """
        self._config, self._codec, self._image_encoder = config, codec, image_encoder
        self._robot_codec = codec if robot_codec is None else robot_codec

    def image(self, image: np.ndarray) -> ImageCondition:
        """
        Encode the first image, (H, W, 3) uint8 RGB of the model's size.

        It is put beside a synthetic pointmap and followed by frames of zeros (mid-grey), as one
        video of double width.
        """
        size = self._config.geometry
        video = torch.zeros(1, 3, size.frames, size.height, 2 * size.width)
        video[0, :, 0, :, :size.width] = to_range(image)
        video[0, :, 0, :, size.width:] = initial_pointmap(size.height, size.width)
        latent = self._codec.encode(video)
        mask = torch.zeros(1, MASK, *size.joint_latent)
        mask[:, :, 0, :, :size.latent_width] = 1.0
        mask[:, :, 0, :, size.latent_width:] = 0.5   # the first pointmap is half known
        return ImageCondition(torch.cat([mask, latent], dim=1), self._image_encoder.encode(image))

    def robot(self, pointmap: np.ndarray, mask: np.ndarray, image: np.ndarray, *,
              soft_share: float = 0.0, dilation: int = 0,
              generator: torch.Generator | None = None) -> torch.Tensor:
        """
        Encode the robot's motion.

        :param pointmap: (T, H, W, 3) float32 in the model's range [-1, 1], background filled in.
        :param mask: (T, H, W) bool.
        :param image: (T, H, W, 3) uint8, robot only, black elsewhere; unused by pmcond.
        :param soft_share: share of the mask's cells that are set to 0.5 (in training: 0.1).
        :param dilation: by how many pixels the mask is made larger than the robot.
        :param generator: of the soft cells.
        :return: (1, 20, F, H, A): mask 4, robot latent 16; A = 2 W, for pmcond W.
        """
        sampling = self._config.sampling
        points = torch.from_numpy(np.ascontiguousarray(pointmap)).permute(3, 0, 1, 2)[None]
        latent = self._robot_codec.encode(points)
        latent = (latent - sampling.pointmap_mean) / sampling.pointmap_std
        packed = pack_mask(dilate(mask, dilation), self._config.geometry.spatial_scale,
                           self._config.geometry.temporal_scale)
        packed = soften(packed, soft_share, generator)
        packed = packed.expand(-1, MASK, -1, -1, -1)
        if self._config.variant is Variant.DEFAULT:
            video = to_range(image).movedim(1, 0)[None]
            latent = torch.cat([self._robot_codec.encode(video), latent], dim=4)
            packed = torch.cat([packed, packed], dim=4)
        return torch.cat([packed, latent], dim=1)


def initial_pointmap(height: int, width: int) -> torch.Tensor:
    """
    Return the made-up pointmap of frame 0, (3, H, W) in [-1, 1].

    X grows to the right, Y downwards, and Z is far at the top and near at the bottom.
    """
    points = torch.empty(3, height, width)
    points[0] = torch.linspace(0, 1, width)[None, :]
    points[1] = torch.linspace(0, 1, height)[:, None]
    points[2] = torch.linspace(1, 0, height)[:, None]
    return 2 * points - 1


def pack_mask(mask: np.ndarray, spatial: int = 8, temporal: int = 4) -> torch.Tensor:
    """
    Bring a mask to the size of the latent.

    Nearest in space (the upper left pixel of each cell); in time frame 0 alone, then the
    maximum of each group of four.

    :param mask: (T, H, W) bool, T = 1 + 4 k.
    :return: (1, 1, 1 + k, H / 8, W / 8) float32.
    """
    small = torch.from_numpy(np.ascontiguousarray(mask[:, ::spatial, ::spatial])).float()
    rest = small[1:].unflatten(0, (-1, temporal)).amax(dim=1)
    return torch.cat([small[:1], rest])[None, None]


def soften(packed: torch.Tensor, share: float,
           generator: torch.Generator | None = None) -> torch.Tensor:
    """
    Return a packed mask of which a share of the ones is 0.5: a fixed count, drawn over the batch.

    :param packed: of one channel, before it is repeated; both halves and all channels agree.
    """
    ones = torch.nonzero(packed.flatten() == 1).flatten()
    chosen = ones[torch.randperm(len(ones), generator=generator)[:int(share * len(ones))]]
    soft = packed.flatten().clone()
    soft[chosen] = 0.5
    return soft.view(packed.shape)


def dilate(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return a mask (T, H, W) bool that reaches `pixels` further on all sides."""
    if not pixels:
        return mask
    import cv2      # of all that the network needs, for this alone
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.stack([cv2.dilate(one.astype(np.uint8), disc) for one in mask]).astype(bool)


def to_range(image: np.ndarray) -> torch.Tensor:
    """Map (..., H, W, 3) uint8 to (..., 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(image.astype(np.float32)).movedim(-1, -3) / 127.5 - 1
