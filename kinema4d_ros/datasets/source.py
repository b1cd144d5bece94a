# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every reader gives: one episode of a data set as it is written there, nothing believed."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class FrameStream(Protocol):
    """
    The pictures of one camera in time; each pass decodes them anew, one at a time.

    Colour is (H, W, 3) uint8 RGB, depth (H, W) float32 [m] with NaN where it is unknown.
    """

    @property
    def is_depth(self) -> bool:
        """Whether it is depth."""

    @property
    def count(self) -> int | None:
        """How many pictures the file says that it has; None where it does not say."""

    @property
    def rate(self) -> float | None:
        """Pictures a second, as the file says; None where it does not say."""

    @property
    def times(self) -> np.ndarray | None:
        """When each was taken, (F,) float64 [s] from the first row; None where nobody says."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """
        Yield the pictures.

        :raises DatasetError: one of them is damaged or too large.
        """


@dataclass(frozen=True, eq=False)
class SourceCamera:
    """What a set says of a camera, where it says something."""

    K: np.ndarray | None = None                 # (3, 3) float64 [px], of an image of `size`
    T_base_camera: np.ndarray | None = None     # (4, 4) float64, optical axes
    size: tuple[int, int] | None = None         # (width, height) that K is for; None: the image's
    D: tuple[float, ...] = ()                   # distortion as OpenCV has it
    distortion_model: str = ''
    origin: str = ''                            # where the numbers come from
    pose_fault: str = ''                        # what is wrong with the pose that the set has


@dataclass(frozen=True, eq=False)
class SourceEpisode:
    """One episode as a set has it. Rows are moments at which the robot was asked for its state."""

    name: str                                   # unique in the set, fit for the name of a file
    times: np.ndarray                           # (N,) float64 [s] from the first row
    #: (N, k) float64 by the name that the set has for them, parts joined by dots
    columns: Mapping[str, np.ndarray]
    videos: Mapping[str, FrameStream]           # by the name of the camera
    #: what the set calls the k values of a column, where it says so
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cameras: Mapping[str, SourceCamera] = field(default_factory=dict)
    text: str = ''                              # the instruction in words
    success: bool | None = None                 # None where nobody says
    origin: str = ''                            # set, file and episode, for people
    licence: str = ''
    robot: str = ''                             # as the set calls it
    robot_description: str = ''                 # the URDF, where the set has one
    stated_rows: int = 0                        # as a list of episodes says; 0 where none does


class DatasetSource(Protocol):
    """A data set: names of its episodes, read one at a time."""

    @property
    def form(self) -> str:
        """Layout, for people, such as 'LeRobot v3.0'."""

    def episode_names(self) -> Sequence[str]:
        """Return the names of all episodes, without reading them."""

    def read(self, name: str) -> SourceEpisode:
        """
        Read one episode; pictures are decoded when they are iterated over.

        :raises DatasetError: it is damaged, or lacks something.
        """
