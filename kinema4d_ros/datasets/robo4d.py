# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The Robo4D-200k layout on disk, as the official trainer of Kinema4D reads it.

A clip is a name; its files lie in folders by kind, and lists of text name the clips. Source: the
official program's data set and encoding scripts, commit 801b5fa.
"""
from __future__ import annotations

import json
import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import DatasetError

if TYPE_CHECKING:      # only where a clip is read
    import torch

#: kind -> (folder, suffix)
FILES: Mapping[str, tuple[str, str]] = MappingProxyType({
    'first_frame': ('first_frames', '.png'),
    'video': ('videos', '.mp4'),
    'mask_video': ('mask_videos', '.mp4'),
    'pointmap': ('pointmap', '.mp4'),
    'mask_pointmap': ('mask_pointmap', '.mp4'),
    'video_latents': ('video_latents', '.safetensors'),
    'mask_video_latents': ('mask_video_latents', '.safetensors'),
    'pointmap_latents': ('pointmap_latents', '.pt'),
    'mask_pointmap_latents': ('mask_pointmap_latents', '.pt'),
    'mask': ('arm_masks_npy', '.npy'),
})
PIXELS = ('first_frame', 'video', 'mask_video', 'pointmap', 'mask_pointmap', 'mask')
LATENTS = ('video_latents', 'mask_video_latents', 'pointmap_latents', 'mask_pointmap_latents')
#: what the trainer opens; of the video it only wants to see that it is there
TRAINED = ('first_frame', 'video', 'mask', *LATENTS)
VIDEO_LIST, IMAGE_LIST = 'train_shuffled.txt', 'train_img_shuffled.txt'
MASK_LIST, VALIDATION_LIST = 'train.txt', 'val_sel.txt'
_NAME = re.compile(r'[A-Za-z0-9_.-]+')


@dataclass(frozen=True)
class ClipSizes:
    """Sizes of a clip; the defaults are those of the released model."""

    frames: int = 49
    height: int = 480          # [px], of one half
    width: int = 720
    latent: tuple[int, int, int, int] = (16, 13, 60, 90)
    tokens: tuple[int, int] = (257, 1280)


@dataclass(frozen=True, eq=False)
class Robo4DClip:
    """What the trainer knows of a clip; latents are VAE-normalised, (16, F, h, w) float32."""

    name: str
    first_frame: np.ndarray               # (H, W, 3) uint8 RGB
    mask: np.ndarray                      # (T, H, W) bool, where the robot is
    video: torch.Tensor
    robot_video: torch.Tensor             # of the robot alone, black elsewhere
    pointmap: torch.Tensor                # before (z + 0.17) / 1.36, which is applied when read
    robot_pointmap: torch.Tensor
    image_tokens: torch.Tensor            # (257, 1280) float32, of CLIP


class Robo4D:
    """
    A folder in the layout.

    Opening reads the lists alone. A clip that cannot be read raises DatasetError with its name
    and the reason; it is for the caller to go on with another one, and to say so.
    """

    def __init__(self, root: str | Path, sizes: ClipSizes | None = None, *,
                 video_list: str = VIDEO_LIST):
        """
        Read the lists.

        :param sizes: None for those of the released model.
        :param video_list: file with a line `videos/NAME.mp4` for each clip.
        :raises DatasetError: a list is missing, empty or holds something else, or the list of
            first frames does not name the same clips in the same order.
        """
        self.root, self.sizes = Path(root), ClipSizes() if sizes is None else sizes
        self.names = read_list(self.root / video_list, 'video')
        if video_list == VIDEO_LIST:
            images = read_list(self.root / IMAGE_LIST, 'first_frame')
            if images != self.names:
                at = next((i for i, (one, other) in enumerate(zip(self.names, images))
                           if one != other), min(len(images), len(self.names)))
                raise DatasetError(
                    f'{self.root}: {VIDEO_LIST} ({len(self.names)} lines) and {IMAGE_LIST} '
                    f'({len(images)} lines) must name the same clips in the same order; they '
                    f'differ from line {at + 1} on')

    def path(self, kind: str, name: str) -> Path:
        """Return the file of a clip."""
        return clip_path(self.root, kind, name)

    def why_broken(self, name: str) -> str | None:
        """Return what is wrong with a clip, None where it can be read."""
        try:
            self.read(name)
        except DatasetError as error:
            return str(error)
        return None

    def good_clips(self) -> Iterator[tuple[str, Robo4DClip | str]]:
        """Yield (name, clip) of each clip that can be read, and (name, why not) of the others."""
        for name in self.names:
            try:
                yield name, self.read(name)
            except DatasetError as error:
                yield name, str(error)

    def read(self, name: str) -> Robo4DClip:
        """
        Read what the trainer needs of a clip.

        :raises DatasetError: naming clip, file and what is wrong with it.
        """
        missing = [str(path.relative_to(self.root)) for kind in TRAINED
                   if not (path := self.path(kind, name)).is_file()]
        if missing:
            raise DatasetError(f'clip {name!r} lacks {", ".join(missing)}')
        video = self._safetensors('video_latents', name)
        latents = {'video_latents': video, 'mask_video_latents':
                   self._safetensors('mask_video_latents', name)}
        found = {kind: self._checked(kind, name, tensors.get('encoded_video'), self.sizes.latent)
                 for kind, tensors in latents.items()}
        found |= {kind: self._checked(kind, name, self._torch(kind, name), self.sizes.latent)
                  for kind in ('pointmap_latents', 'mask_pointmap_latents')}
        tokens = self._checked('video_latents', name, video.get('image_embedding'),
                               self.sizes.tokens)
        return Robo4DClip(name, self.first_frame(name), self.mask(name), found['video_latents'],
                          found['mask_video_latents'], found['pointmap_latents'],
                          found['mask_pointmap_latents'], tokens)

    def first_frame(self, name: str) -> np.ndarray:
        """Return the first frame in the model's size, (H, W, 3) uint8 RGB (bilinear)."""
        import cv2
        picture = cv2.imread(str(self.path('first_frame', name)), cv2.IMREAD_COLOR)
        if picture is None:
            raise self._error('first_frame', name, 'is no image')
        size = (self.sizes.width, self.sizes.height)
        if (picture.shape[1], picture.shape[0]) != size:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def mask(self, name: str) -> np.ndarray:
        """Return the robot's mask, (T, H, W) bool; the file is uint8 (T, H, W, 1) of 0 and 1."""
        try:
            mask = np.load(self.path('mask', name), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise self._error('mask', name, str(error)) from error
        wanted = (self.sizes.frames, self.sizes.height, self.sizes.width, 1)
        if mask.dtype != np.uint8 or mask.shape != wanted or mask.max(initial=0) > 1:
            raise self._error('mask', name, f'must be uint8 of shape {wanted} with 0 and 1 only, '
                              f'is {mask.dtype} of {mask.shape}, up to {mask.max(initial=0)}')
        return mask[..., 0].astype(bool)

    def _safetensors(self, kind: str, name: str) -> Mapping[str, Any]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        try:
            return load_file(self.path(kind, name))
        except (OSError, SafetensorError, ValueError, struct.error, json.JSONDecodeError) as error:
            raise self._error(kind, name, str(error)) from error

    def _torch(self, kind: str, name: str) -> Any:
        import torch
        try:
            return torch.load(self.path(kind, name), map_location='cpu', weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise self._error(kind, name, str(error).splitlines()[0]) from error

    def _checked(self, kind: str, name: str, tensor: Any, shape: tuple[int, ...]) -> torch.Tensor:
        """Return a tensor as float32, its shape and values checked."""
        if getattr(tensor, 'shape', None) is None or tuple(tensor.shape) != shape:
            there = tuple(tensor.shape) if hasattr(tensor, 'shape') else type(tensor).__name__
            raise self._error(kind, name, f'must hold a tensor of shape {shape}, holds {there}')
        value = tensor.float()
        if not value.isfinite().all():
            raise self._error(kind, name, 'holds values that are not finite')
        return value

    def _error(self, kind: str, name: str, why: str) -> DatasetError:
        return DatasetError(
            f'clip {name!r}: {self.path(kind, name).relative_to(self.root)}: {why}')


def clip_path(root: Path, kind: str, name: str) -> Path:
    """
    Return where a file of a clip lies.

    :raises DatasetError: the name could lead elsewhere.
    """
    if not is_name(name):
        raise DatasetError(f'{name!r} is no name for a clip: letters, digits, "_", "." and "-" '
                           'only, and not ".."')
    folder, suffix = FILES[kind]
    return root / folder / f'{name}{suffix}'


def is_name(name: str) -> bool:
    """Return whether a clip may be named so: its files lie in their folders, never elsewhere."""
    return _NAME.fullmatch(name) is not None and '..' not in name


def read_list(path: Path, kind: str) -> tuple[str, ...]:
    """
    Return the names of the clips in a list.

    :raises DatasetError: it is missing, empty, or has a line that names no file of that kind, or
        one that could lie elsewhere.
    """
    folder, suffix = FILES[kind]
    try:
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'{path} cannot be read ({error}); a folder in the layout of '
                           f'Robo4D-200k has {VIDEO_LIST} and {IMAGE_LIST}') from error
    strange = [line for line in lines if not (
        line.startswith(f'{folder}/') and line.endswith(suffix)
        and is_name(line.removeprefix(f'{folder}/').removesuffix(suffix)))]
    if strange or not lines:
        raise DatasetError(f'{path} must have a line {folder}/NAME{suffix} for each clip, '
                           + (f'got {strange[0]!r}' if strange else 'and has none'))
    return tuple(line.removeprefix(f'{folder}/').removesuffix(suffix) for line in lines)
