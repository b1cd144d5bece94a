# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A further LoRA on the base model, such as one that was distilled to sample in few steps."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import listed
from kinema4d_ros.world_model.kinema4d.weights import hash_file, WeightFiles

if TYPE_CHECKING:
    import torch

_KEY = re.compile(r'(?:transformer\.|diffusion_model\.)?(?P<name>.+)\.'
                  r'(?:lora_(?P<side>[AB])(?:\.default)?\.weight|(?P<alpha>alpha))')


class ExtraLora:
    """
    A LoRA file in diffusers' names: ``[transformer.]NAME.lora_A.weight``, ``lora_B`` and alpha.

    `NAME` is a linear layer of the base transformer. The change is scale x alpha / rank x B A,
    alpha being the rank where the file does not say it. Files in other names are converted with
    diffusers first (load them into its Wan pipeline, and save them again).
    """

    def __init__(self, path: str | Path, scale: float = 1.0):
        """
        Read the header of a file.

        :raises WorldModelError: when it is missing, damaged, or holds no pairs of a LoRA.
        """
        self.path, self._scale = Path(path), scale
        if not self.path.is_file():
            raise WorldModelError(f'extra_lora: there is no file {str(path)!r}')
        self._files = WeightFiles([self.path])
        self._of: dict[str, dict[str, str]] = {}
        strange = []
        for key in self._files:
            if (found := _KEY.fullmatch(key)) is None:
                strange.append(key)
            else:
                self._of.setdefault(found['name'], {})[found['side'] or 'alpha'] = key
        strange += [name for name, sides in self._of.items() if not {'A', 'B'} <= set(sides)]
        if strange or not self._of:
            raise WorldModelError(
                f'{path} is not a LoRA in the names of diffusers (NAME.lora_A.weight and '
                f'NAME.lora_B.weight); not understood: {listed(sorted(strange))}')

    @property
    def fingerprint(self) -> str:
        """Short hash of the file."""
        digest = hashlib.sha256()
        hash_file(digest.update, self.path)
        return digest.hexdigest()[:16]

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise WorldModelError where it does not fit the base transformer's shapes."""
        wrong = []
        for name, sides in self._of.items():
            a, b = (self._files.shapes[sides[side]] for side in 'AB')
            weight = shapes.get(f'{name}.weight')
            if weight != (b[0], a[1]) or a[0] != b[1]:
                wrong.append(f'{name} ({b} x {a}, the base has {weight})')
        if wrong:
            raise WorldModelError(f'{self.path} does not fit the base: {listed(sorted(wrong))}')

    def __contains__(self, key: str) -> bool:
        """Return whether it changes the weight of that key."""
        return key.endswith('.weight') and key.removesuffix('.weight') in self._of

    def delta(self, key: str, device: str = 'cpu') -> torch.Tensor:
        """Return what is added to the weight of that key, float32."""
        sides = self._of[key.removesuffix('.weight')]
        a, b = (self._files.read(sides[side], device).float() for side in 'AB')
        alpha = float(self._files.read(sides['alpha'])) if 'alpha' in sides else float(len(a))
        return self._scale * alpha / len(a) * (b @ a)
