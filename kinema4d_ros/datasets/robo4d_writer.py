# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes clips in the Robo4D-200k layout, each file as a whole or not at all."""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.datasets.robo4d import (clip_path, FILES, IMAGE_LIST, is_name, LATENTS, MASK_LIST,
                                          PIXELS, VALIDATION_LIST, VIDEO_LIST)
from kinema4d_ros.errors import DatasetError

if TYPE_CHECKING:
    import torch

FRAMES_PER_SECOND = 24.0      # nominal, whatever the clip's own
NOTES = 'kinema4d_ros'        # folder of what we know besides, which the official trainer ignores


@dataclass(frozen=True, eq=False)
class ClipPixels:
    """A clip before it is encoded, all of T frames of the model's size."""

    name: str                        # no folder, no suffix, neither 'videos' nor 'mp4'
    video: np.ndarray                # (T, H, W, 3) uint8 RGB
    robot_video: np.ndarray          # (T, H, W, 3) uint8 RGB, black where no robot
    pointmap: np.ndarray             # (T, H, W, 3) float32 in [-1, 1]
    robot_pointmap: np.ndarray       # (T, H, W, 3) float32 in [-1, 1], background where no robot
    mask: np.ndarray                 # (T, H, W) bool
    notes: Mapping[str, Any]         # of JSON: normalisation, source, times


@dataclass(frozen=True, eq=False)
class ClipLatents:
    """A clip encoded; latents are (16, F, h, w), VAE-normalised, saved in their own dtype."""

    video: torch.Tensor
    robot_video: torch.Tensor
    pointmap: torch.Tensor
    robot_pointmap: torch.Tensor
    image_tokens: torch.Tensor       # (257, 1280)


class Robo4DWriter:
    """
    Writes clips below a root, and the lists of all that are there when it is closed.

    A clip that is there as a whole is left as it is (`has`), so a run that was cut off goes on.
    """

    def __init__(self, root: str | Path, *, seed: int = 42):
        """
        Make the folders.

        :param seed: of the order of the lists.
        """
        self.root, self._seed = Path(root), seed
        for folder in [*(folder for folder, _ in FILES.values()), NOTES]:
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def has(self, name: str, kinds: Iterable[str] = tuple(FILES)) -> bool:
        """Return whether all files of a clip are there, or those `kinds`, each as a whole."""
        return all(clip_path(self.root, kind, name).is_file() for kind in kinds)

    def add(self, pixels: ClipPixels, latents: ClipLatents, *, videos: bool = True) -> None:
        """
        Write a clip.

        :param videos: False leaves the four videos empty; the trainer only wants to see that one
            of them is there.
        :raises DatasetError: for a name that the official scripts would take apart.
        :raises OSError: the disk is full.
        """
        self.add_pixels(pixels, videos=videos)
        self._add_latents(pixels.name, latents)

    def add_pixels(self, pixels: ClipPixels, *, videos: bool = True) -> None:
        """
        Write a clip without latents, which training computes when it begins; as `add` else.

        :raises DatasetError: for a name that the official scripts would take apart.
        :raises OSError: the disk is full.
        """
        name = pixels.name
        if not is_name(name) or 'videos' in name or 'mp4' in name:
            raise DatasetError(
                f'{name!r} is no name for a clip: the official scripts replace the words "videos" '
                'and "mp4" in paths, so neither may be in it, and it has letters, digits, "_", '
                '"." and "-" only, and not ".."')
        for kind, frames in (('video', pixels.video), ('mask_video', pixels.robot_video),
                             ('pointmap', as_rgb(pixels.pointmap)),
                             ('mask_pointmap', as_rgb(pixels.robot_pointmap))):
            with whole_file(clip_path(self.root, kind, name)) as path:
                write_mp4v(path, frames) if videos else path.touch()
        self._add_images(pixels)

    def add_derived(self, pixels: ClipPixels, latents: ClipLatents) -> None:
        """Add what is made of the videos of a clip that are there: first frame, mask, latents."""
        self._add_images(pixels)
        self._add_latents(pixels.name, latents)

    def write_lists(self, validation: tuple[str, ...] = (), kinds: Iterable[str] = tuple(FILES)
                    ) -> tuple[str, ...]:
        """
        Write the lists of all complete clips below the root, shuffled; return their names.

        :param validation: names that go to `val_sel.txt` and to no list of training.
        :param kinds: of files that a complete clip has.
        """
        kinds = tuple(kinds)
        folder, suffix = FILES['video']
        there = sorted(path.name.removesuffix(suffix)
                       for path in (self.root / folder).glob(f'*{suffix}'))
        complete = [name for name in there if self.has(name, kinds)]
        order = np.random.default_rng(self._seed).permutation(len(complete))
        names = tuple(complete[i] for i in order if complete[i] not in validation)
        images, image_suffix = FILES['first_frame']
        for file, lines in (
                (VIDEO_LIST, [f'{folder}/{name}{suffix}' for name in names]),
                (MASK_LIST, [f'{folder}/{name}{suffix}' for name in names]),
                (IMAGE_LIST, [f'{images}/{name}{image_suffix}' for name in names]),
                (VALIDATION_LIST, [f'{folder}/{name}{suffix}' for name in validation])):
            with whole_file(self.root / file) as path:
                path.write_text(''.join(f'{line}\n' for line in lines))
        return names

    def _add_images(self, pixels: ClipPixels) -> None:
        """Write first frame, mask and notes."""
        import cv2
        encoded, picture = cv2.imencode('.png', pixels.video[0, ..., ::-1])
        assert encoded
        with whole_file(clip_path(self.root, 'first_frame', pixels.name)) as path:
            path.write_bytes(picture.tobytes())
        with whole_file(clip_path(self.root, 'mask', pixels.name)) as path, \
                path.open('wb') as file:
            np.save(file, pixels.mask[..., None].astype(np.uint8), allow_pickle=False)
        with whole_file(self.root / NOTES / f'{pixels.name}.json') as path:
            path.write_text(json.dumps(dict(pixels.notes), indent=1) + '\n')

    def _add_latents(self, name: str, latents: ClipLatents) -> None:
        """Write the four latent files; the first, which the CLIP tokens share, last."""
        import torch
        from safetensors.torch import save_file
        for kind, tensor in (('mask_pointmap_latents', latents.robot_pointmap),
                             ('pointmap_latents', latents.pointmap)):
            with whole_file(clip_path(self.root, kind, name)) as path:
                torch.save(tensor.detach().clone().contiguous().cpu(), path)
        for kind, tensors in (
                ('mask_video_latents', {'encoded_video': latents.robot_video}),
                ('video_latents', {'encoded_video': latents.video,
                                   'image_embedding': latents.image_tokens})):
            with whole_file(clip_path(self.root, kind, name)) as path:
                save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, path)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes `path` when the block ends well."""
    partial = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def as_rgb(values: np.ndarray) -> np.ndarray:
    """Return pointmap values in [-1, 1] as the 8-bit RGB of the layout."""
    return ((values + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def write_mp4v(path: Path, frames: np.ndarray) -> None:
    """
    Write (T, H, W, 3) uint8 RGB as the official scripts do (MPEG-4 part 2, 24 frames a second).

    :raises DatasetError: OpenCV cannot write it here.
    """
    import cv2
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), FRAMES_PER_SECOND,
                             (width, height))
    if not writer.isOpened():
        raise DatasetError(f'{path} cannot be written: this OpenCV has no MPEG-4 encoder, or the '
                           'folder cannot be written to')
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def read_mp4(path: Path) -> np.ndarray:
    """
    Read a video, (T, H, W, 3) uint8 RGB.

    :raises DatasetError: it has no frame that can be decoded.
    """
    import cv2
    reader, frames = cv2.VideoCapture(str(path)), []
    while (found := reader.read())[0]:
        frames.append(found[1][..., ::-1])
    reader.release()
    if not frames:
        raise DatasetError(f'{path} is no video, or holds none that can be decoded')
    return np.stack(frames)


def seed_of(name: str) -> int:
    """Return the seed of a clip's sampled latents: the same each time, another for each name."""
    return int.from_bytes(hashlib.md5(name.encode(), usedforsecurity=False).digest()[:4], 'big')


assert set(PIXELS) | set(LATENTS) == set(FILES)
