# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A depth-estimation model of the library transformers, from a folder of this machine."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.curation.depth_fit import DEPTH, INVERSE_DEPTH
from kinema4d_ros.errors import ConfigurationError

#: model type -> what it answers; of those that are trained for either, the configuration says it
_ANSWERS = {'dpt': INVERSE_DEPTH, 'glpn': DEPTH, 'zoedepth': DEPTH, 'depth_pro': DEPTH}
_OF_TYPE = {'relative': INVERSE_DEPTH, 'metric': DEPTH}
_FILES = ('config.json', 'preprocessor_config.json')
_BLOCK = 1 << 20


class TransformersDepth:
    """
    Depth Anything, DPT (MiDaS), GLPN, ZoeDepth or another model with a head for depth.

    Only files of the folder are read, weights only as safetensors, and no code that comes with
    them is run.
    """

    def __init__(self, folder: Path, quantity: str = '') -> None:
        """
        Load the model, on a GPU where there is one.

        :param quantity: what it answers; '' where the configuration says it.
        :raises ConfigurationError: the folder holds no such model.
        """
        self._check(folder)
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModelForDepthEstimation
            from transformers.utils import logging
        except ImportError as error:
            raise ConfigurationError(
                f'depth models of transformers need the extra [model] ({error}): pip install '
                "'.[model]' in a clone, or -r requirements/model.txt") from error
        logging.disable_progress_bar()
        self._torch = torch
        self._device = 'cuda' if torch.cuda.is_available() else 'cpu'
        try:
            # `backend` keeps it from wanting torchvision
            self._processor: Any = AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, backend='pil')
            self._model: Any = AutoModelForDepthEstimation.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True)
        except Exception as error:      # whatever is in the files
            raise ConfigurationError(f'the depth model in {folder} cannot be loaded: {error}'
                                     ) from error
        self._model.eval().to(self._device)
        self.quantity = quantity or self._known_quantity(folder)
        self.fingerprint = self._hash(folder)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the answer for a picture (H, W, 3) uint8 RGB, (H, W) float32."""
        torch, size = self._torch, image.shape[:2]
        with torch.inference_mode():
            given = self._processor(image, return_tensors='pt').to(self._device)
            answer = self._model(**given).predicted_depth
            if answer.ndim == 3:
                answer = answer[:, None]
            grown = torch.nn.functional.interpolate(answer.float(), size=size, mode='bilinear',
                                                    align_corners=False)
        found: np.ndarray = grown[0, 0].cpu().numpy()
        return found

    @staticmethod
    def _check(folder: Path) -> None:
        lacking = [name for name in _FILES if not (folder / name).is_file()]
        if lacking or not list(folder.glob('*.safetensors')):
            what = lacking or ['*.safetensors']
            raise ConfigurationError(
                f'{folder} holds no depth model: it lacks {", ".join(what)}; give the folder that '
                'a model such as Depth-Anything-V2-Small-hf was downloaded to (--depth-model)')

    def _known_quantity(self, folder: Path) -> str:
        config = self._model.config
        kind = str(getattr(config, 'model_type', ''))
        found = _OF_TYPE.get(str(getattr(config, 'depth_estimation_type', '')), _ANSWERS.get(kind))
        if found is None:
            raise ConfigurationError(
                f'{folder} is a model {kind!r}, of which it is not known whether it answers depth '
                'or inverse depth; say it with --depth-quantity')
        return found

    def _hash(self, folder: Path) -> str:
        """Return a hash of configuration, weights, and what answers with them."""
        import transformers

        digest = hashlib.sha256(json.dumps(
            ['transformers', transformers.__version__, 'torch', self._torch.__version__]).encode())
        for path in sorted([*folder.glob('*.json'), *folder.glob('*.safetensors')]):
            digest.update(path.name.encode())
            with path.open('rb') as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        return digest.hexdigest()[:16]
