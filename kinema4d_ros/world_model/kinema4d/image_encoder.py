# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the first image looks like to CLIP: the image tokens of the cross-attention."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from kinema4d_ros.errors import WorldModelError

if TYPE_CHECKING:
    from transformers import CLIPVisionModel


class ImageEncoder:
    """
    Runs the CLIP vision model on one image.

    The preparation (resize of the shorter edge, centre crop, normalisation) is written out here
    from the checkpoint's preprocessor_config.json, because the library's image processor pulls in
    a further package.
    """

    def __init__(self, model: CLIPVisionModel, processor: Mapping[str, Any]):
        """
        Make an encoder of a CLIP vision model.

        :param processor: content of preprocessor_config.json.
        :raises WorldModelError: when the file lacks what is needed.
        """
        self.model = model
        try:
            self._edge = int(processor['size']['shortest_edge'])
            crop = processor.get('crop_size', self._edge)
            self._crop = ((int(crop['height']), int(crop['width'])) if isinstance(crop, Mapping)
                          else (int(crop), int(crop)))
            self._mean = np.asarray(processor['image_mean'], np.float32)
            self._std = np.asarray(processor['image_std'], np.float32)
            self._resample = Image.Resampling(processor.get('resample', 3))
        except (KeyError, TypeError, ValueError) as error:
            raise WorldModelError(
                'image_processor/preprocessor_config.json is not that of a CLIP image processor '
                f'(size.shortest_edge, crop_size, image_mean, image_std): {error!r}') from error
        self.encodes = 0

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return the network's input, (1, 3, crop, crop) float32, of (H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        if height <= width:
            size = (int(self._edge * width / height), self._edge)
        else:
            size = (self._edge, int(self._edge * height / width))
        picture = np.asarray(Image.fromarray(image).resize(size, self._resample))
        top, left = (size[1] - self._crop[0]) // 2, (size[0] - self._crop[1]) // 2
        picture = picture[top:top + self._crop[0], left:left + self._crop[1]]
        value = (picture.astype(np.float32) / 255 - self._mean) / self._std
        return value.transpose(2, 0, 1)[None]

    def encode(self, image: np.ndarray) -> torch.Tensor:
        """Return the last but one hidden state, (1, tokens, dim) float32 on the CPU."""
        self.encodes += 1
        pixels = torch.from_numpy(self.prepare(image)).to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            states = self.model(pixel_values=pixels, output_hidden_states=True).hidden_states
        return states[-2].float().cpu()
