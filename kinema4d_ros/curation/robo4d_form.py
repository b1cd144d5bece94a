# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""4D episodes in the layout of Robo4D-200k, without latents, which training computes."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kinema4d_ros.curation.settings import CurationSettings
from kinema4d_ros.datasets.robo4d import clip_path, PIXELS
from kinema4d_ros.datasets.robo4d_writer import Robo4DWriter
from kinema4d_ros.episodes import Episode
from kinema4d_ros.training.clips import chosen, ClipSettings, EpisodeRobot, make_clip, pieces
from kinema4d_ros.world_model.kinema4d.config import Geometry

_WIDTH, _HEIGHT = 720, 480      # of the released model


def add_to_layout(path: Path, root: Path, name: str, settings: CurationSettings) -> None:
    """
    Add a 4D episode to a folder in the layout; one that is too short runs back from its end.

    :raises DatasetError: the camera moves, or a frame has no depth.
    :raises OSError: the disk is full.
    """
    size = Geometry((settings.frames - 1) // 4 + 1, _HEIGHT // 8, _WIDTH // 8, 1)
    how = ClipSettings()
    episode = Episode.open(path)
    robot = EpisodeRobot(episode, settings.package_paths)
    frames, = pieces(episode, 0.0)
    clip = make_clip(name, episode, robot, chosen(frames, size.frames, how.padding), size, how)
    Robo4DWriter(root).add_pixels(clip)


def remove_from_layout(root: Path, names: Iterable[str]) -> None:
    """Remove clips, as far as they are there."""
    for name in names:
        for kind in PIXELS:
            clip_path(root, kind, name).unlink(missing_ok=True)


def write_lists(root: Path) -> tuple[str, ...]:
    """Write the lists of the clips that are there; return their names."""
    return Robo4DWriter(root).write_lists(kinds=PIXELS)
