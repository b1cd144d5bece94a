# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Encodes clips once: VAE latents and CLIP tokens, written beside their pixels."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.datasets.robo4d import clip_path, ClipSizes, read_list, VIDEO_LIST
from kinema4d_ros.datasets.robo4d_writer import (ClipLatents, ClipPixels, read_mp4, Robo4DWriter,
                                                 seed_of, whole_file)
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import DatasetError, EpisodeError
from kinema4d_ros.training.clips import clips_of_episode, ClipSettings
from kinema4d_ros.types import Report, silent
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.frames import padded
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, pick_device, pick_robot_dtype

if TYPE_CHECKING:
    import torch

#: how the clips of a folder were made, so that they are not mixed with others
MADE_BY = 'kinema4d_clips.json'
ADVICE = 'encode on a device with more memory, or on the CPU with --device cpu'


@dataclass
class Prepared:
    """What became of the clips."""

    written: list[str]
    kept: list[str]              # were there already
    broken: dict[str, str]       # name of clip or episode -> why it was left out


class ClipEncoder:
    """The VAE and the image encoder of a checkpoint, on a device."""

    def __init__(self, checkpoint: Checkpoint, device: str = 'auto', dtype: str = 'auto'):
        """
        Load both.

        :param dtype: of the VAE; auto is float16 on a GPU, as the official writer, else float32.
        """
        from kinema4d_ros.world_model.kinema4d.image_encoder import ImageEncoder
        from kinema4d_ros.world_model.kinema4d.video_codec import VideoCodec
        where = pick_device(device)
        self.size = checkpoint.config.geometry
        self.dtype = pick_robot_dtype(dtype, where)
        self._codec = VideoCodec(checkpoint.load_vae(where, self.dtype))
        self._image_encoder = ImageEncoder(checkpoint.load_image_encoder(where),
                                           checkpoint.config.image_processor)

    def encode(self, clip: ClipPixels) -> ClipLatents:
        """
        Encode a clip: samples of the VAE's distribution, as the official writer draws.

        They are saved as float16, as it does; which sample is drawn follows from the name.
        """
        import torch

        from kinema4d_ros.world_model.kinema4d.conditioning import to_range
        generator = torch.Generator().manual_seed(seed_of(clip.name))

        def latent(video: torch.Tensor) -> torch.Tensor:
            return self._codec.encode(video[None], generator)[0].half()

        def points(values: np.ndarray) -> torch.Tensor:
            return latent(torch.from_numpy(np.ascontiguousarray(values)).permute(3, 0, 1, 2))

        with memory_guard('encoding clips', ADVICE):
            return ClipLatents(
                latent(to_range(clip.video).movedim(1, 0)),
                latent(to_range(clip.robot_video).movedim(1, 0)), points(clip.pointmap),
                points(clip.robot_pointmap), self._image_encoder.encode(clip.video[0])[0])


def prepare_episodes(episodes: Iterable[Path], root: Path, make_encoder: Callable[[], ClipEncoder],
                     size_of: Checkpoint, settings: ClipSettings, *, held_out: int = 1,
                     videos: bool = True, package_paths: Sequence[str | Path] = (),
                     report: Report = silent) -> Prepared:
    """
    Write the clips of episodes in the Robo4D layout; those that are there, made alike, stay.

    :param make_encoder: called when the first clip is to be encoded.
    :param size_of: the checkpoint that the sizes come from.
    :param package_paths: folders to look for mesh packages of the robots in.
    :param held_out: how many episodes, the last by name, are for validation only.
    :raises DatasetError: not one clip could be made, or those that are there were made otherwise.
    """
    settings.check()
    if not (root / MADE_BY).is_file() and any(
            clip_path(root, 'video_latents', '_').parent.glob('*.safetensors')):
        raise DatasetError(f'{root} has clips, and no {MADE_BY} that says how they were made; '
                           'choose another folder with --clips')
    refuse_others(root, {**dataclasses.asdict(settings), 'vae': size_of.vae_fingerprint})
    writer, done = Robo4DWriter(root), Prepared([], [], {})
    paths = sorted(episodes, key=lambda path: path.name)
    if twice := sorted({path.stem for path in paths
                        if sum(path.stem == other.stem for other in paths) > 1}):
        raise DatasetError(f'episodes need names of their own, for the clips are named by them; '
                           f'twice: {", ".join(twice)}')
    encoder: ClipEncoder | None = None
    validation: list[str] = []

    def wanted(name: str) -> bool:
        names.append(name)
        if writer.has(name):
            done.kept.append(name)
            return False
        return True

    for number, path in enumerate(paths):
        report('clips', number, len(paths))
        names: list[str] = []
        try:
            for clip in clips_of_episode(Episode.open(path), size_of.config.geometry, settings,
                                         wanted, package_paths=package_paths):
                encoder = make_encoder() if encoder is None else encoder
                writer.add(clip, encoder.encode(clip), videos=videos)
                done.written.append(clip.name)
        except (DatasetError, EpisodeError) as error:
            done.broken[path.name] = str(error)
        if number >= len(paths) - held_out:
            validation += [name for name in names if writer.has(name)]
    report('clips', len(paths), len(paths))
    if not writer.write_lists(tuple(validation)):
        why = '; '.join(f'{name}: {why}' for name, why in done.broken.items())
        raise DatasetError(f'no clip for training in {len(paths)} episodes, of which the last '
                           f'{held_out} by name are held out' + (f' ({why})' if why else ''))
    return done


def encode_layout(root: Path, make_encoder: Callable[[], ClipEncoder], size: ClipSizes, *,
                  padding: str = 'reverse', vae: str = '', report: Report = silent) -> Prepared:
    """
    Encode the clips of a Robo4D folder that has videos and no latents yet.

    The mask comes from `arm_masks_npy` where that is there and of the same frames, else from the
    robot's video: any channel that is not zero, as in the official script, noise of the lossy
    video included.

    :param vae: fingerprint of the VAE; '' to not compare it with that of the clips that are there.
    :raises DatasetError: those that are there were made otherwise, as far as that is known.
    """
    known = (root / MADE_BY).is_file()
    if known and vae:
        refuse_others(root, {'vae': vae})
    writer, done = Robo4DWriter(root), Prepared([], [], {})
    names = read_list(root / VIDEO_LIST, 'video')
    encoder: ClipEncoder | None = None
    for number, name in enumerate(names):
        report('encode', number, len(names))
        if writer.has(name):
            done.kept.append(name)
            continue
        try:
            clip = clip_of_videos(root, name, size, padding)
        except DatasetError as error:
            done.broken[name] = str(error)
            continue
        if encoder is None:
            if vae and (known or not done.kept):
                refuse_others(root, {'vae': vae, 'padding': padding})
            encoder = make_encoder()
        writer.add_derived(clip, encoder.encode(clip))
        done.written.append(name)
    report('encode', len(names), len(names))
    return done


def refuse_others(root: Path, wanted: Mapping[str, object]) -> None:
    """
    Write how the clips of a folder are made, or compare it with how those that are there were.

    :raises DatasetError: they differ, or the file is damaged.
    """
    path = root / MADE_BY
    if not path.is_file():
        root.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_text(json.dumps(dict(wanted), indent=1) + '\n')
        return
    try:
        there = json.loads(path.read_text())
        different = [f'{name} {there[name]!r} there, {value!r} now'
                     for name, value in wanted.items() if there.get(name, value) != value]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(f'{path} cannot be read: {error}; choose another folder with --clips'
                           ) from error
    if different:
        raise DatasetError(f'the clips in {root} were made with other settings: '
                           f'{", ".join(different)}; choose another folder with --clips, or the '
                           'settings of then')


def clip_of_videos(root: Path, name: str, size: ClipSizes, padding: str) -> ClipPixels:
    """
    Return the clip of four videos: the middle frames of one that is too long.

    :raises DatasetError: a video is missing, they differ in length, or the mask is damaged.
    """
    import cv2
    read, lengths = {}, {}
    for kind in ('video', 'mask_video', 'pointmap', 'mask_pointmap'):
        path = clip_path(root, kind, name)
        if not path.is_file():
            raise DatasetError(f'clip {name!r} lacks {path.relative_to(root)}')
        read[kind] = read_mp4(path)
        lengths[kind] = len(read[kind])
    if len(set(lengths.values())) != 1:
        raise DatasetError(f'clip {name!r}: its videos differ in length: {lengths}')
    length = lengths['video']
    start = max(0, (length - size.frames) // 2)
    frames = start + padded(min(length, size.frames), size.frames, padding)

    def sized(video: np.ndarray, how: int) -> np.ndarray:
        if video.shape[1:3] == (size.height, size.width):
            return video[frames]
        return np.stack([cv2.resize(video[i], (size.width, size.height), interpolation=how)
                         for i in frames])

    robot = sized(read['mask_video'], cv2.INTER_AREA)
    beside = mask_of_file(root, name, size, length)
    mask: np.ndarray = np.asarray(robot.any(axis=-1)) if beside is None else beside
    points, robot_points = (sized(read[kind], cv2.INTER_NEAREST).astype(np.float32) / 127.5 - 1
                            for kind in ('pointmap', 'mask_pointmap'))
    return ClipPixels(name, sized(read['video'], cv2.INTER_AREA), robot, points, robot_points,
                      mask, {'source': 'videos of the layout', 'frames': frames.tolist()})


def mask_of_file(root: Path, name: str, size: ClipSizes, length: int) -> np.ndarray | None:
    """
    Return the mask (T, H, W) bool that lies beside the videos of a clip; None for one of no use.

    The official files have the first frames of a clip, ours the middle ones: the same where the
    clip is not too long.

    :param length: frames of the videos.
    :raises DatasetError: it is damaged.
    """
    path = clip_path(root, 'mask', name)
    if not path.is_file():
        return None
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f'clip {name!r}: {path.relative_to(root)}: {error}') from error
    wanted = (size.frames, size.height, size.width, 1)
    if length > size.frames or getattr(found, 'shape', None) != wanted:
        return None
    return np.asarray(found[..., 0] > 0)


def sizes_of(checkpoint: Checkpoint) -> ClipSizes:
    """Return the sizes of clips that a checkpoint takes."""
    config = checkpoint.config
    size = config.geometry
    return ClipSizes(
        size.frames, size.height, size.width,
        (config.transformer['out_channels'], size.latent_frames, size.latent_height,
         size.latent_width),
        (config.image_tokens, config.image_encoder['hidden_size']))
