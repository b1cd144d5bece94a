# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small recordings of a simulated Panda for curation, and a depth network that knows the truth."""
from __future__ import annotations

import dataclasses
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from kinema4d_ros.episodes import Episode, EpisodeWriter, find_episode
from kinema4d_ros.episodes.transforms import with_camera
from kinema4d_ros.types import JointTrajectory

NAME = 'libero_object_0_0_success'
WIDTH, HEIGHT = 120, 80
START_NS = 10**9
#: what the network of `KnowingNetwork` answers: GAIN / depth + OFFSET
GAIN, OFFSET = 0.4, 0.15


@cache
def source() -> Episode:
    """Return the bundled episode that all are cut from."""
    return Episode.open(find_episode(NAME))


def recording(path: Path, *, frames: int = 14, every: int = 5, depth: bool = True,
              success: bool | None = True, camera_known: bool = True,
              T_base_camera: np.ndarray | None = None, scale: int = 1, mesh: str = '') -> Path:
    """
    Write some frames of a bundled episode, small, with the depth that the simulator knows.

    :param T_base_camera: where the camera is said to be, in place of where it was.
    :param scale: of the pictures, times 120x80.
    :param mesh: URI of one that the hand has besides.
    """
    whole = source()
    size = WIDTH * scale, HEIGHT * scale
    camera = whole.calibration.pinhole.resized(*size)
    frame_id, urdf = whole.camera_frame, whole.robot_description
    if T_base_camera is not None:
        frame_id = 'said_optical_frame'
        urdf = with_camera(urdf, frame_id, 'panda_link0' if 'panda_link0' in urdf else 'world',
                           T_base_camera)
    if mesh:
        urdf = urdf.replace('<link name="panda_hand">', '<link name="panda_hand"><visual><geometry>'
                            f'<mesh filename="{mesh}"/></geometry></visual>')
        assert mesh in urdf
    with EpisodeWriter(path) as writer:
        writer.add_metadata(START_NS, dataclasses.replace(
            whole.metadata, success=success, camera_known=camera_known, objects={}, events=()))
        writer.add_robot_description(START_NS, urdf)
        writer.add_camera_info(START_NS, frame_id, camera)
        times, names, positions = whole.joint_states
        stamps, rows = [], []
        for number in range(frames):
            frame = whole.frames[number * every]
            stamp = START_NS + round((frame.time - whole.frames[0].time) * 1e9)
            row = positions[np.abs(times - frame.time).argmin()]
            stamps.append((stamp - START_NS) * 1e-9)
            rows.append(row)
            writer.add_image(stamp, frame_id, cv2.resize(frame.image, size,
                                                         interpolation=cv2.INTER_AREA))
            if depth:
                writer.add_depth(stamp, frame_id, small_depth(frame.depth, size))
            writer.add_joint_state(stamp, names, row, np.zeros(len(row)))
        writer.add_trajectory(START_NS, JointTrajectory(
            names, np.array(stamps), np.array(rows), np.zeros((frames, len(names)))))
    return path


def small_depth(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a depth image in a size that it is an odd multiple of: each middle pixel."""
    step = depth.shape[1] // size[0]
    return depth[step // 2::step, step // 2::step]


class KnowingNetwork:
    """
    A depth backend that is told the truth: `truth.npz` in its folder has pictures and depths.

    It answers the inverse depth up to GAIN and OFFSET, blurred as networks blur, and
    wrong on the fingers, which it sees where they are not.
    """

    def __init__(self, folder: Path, quantity: str = '') -> None:
        self.quantity = quantity or 'inverse_depth'
        self.fingerprint = 'knowing'
        with np.load(folder / 'truth.npz') as file:
            self._pictures, self._depths = file['pictures'], file['depths']
            self._noise = float(file['noise'])

    def __call__(self, image: np.ndarray) -> np.ndarray:
        small = self._pictures.astype(int) - image
        at = int(np.abs(small).mean(axis=(1, 2, 3)).argmin())
        answer = (GAIN / self._depths[at] + OFFSET).astype(np.float32)
        noise = np.random.default_rng(at).normal(1.0, self._noise) if self._noise else 1.0
        return cv2.GaussianBlur(answer, (0, 0), 0.7) * np.float32(noise)


def knowing_model(folder: Path, path: Path, noise: float = 0.0) -> Path:
    """Write the truth about a recording that has depth; `noise` is the gain's, frame by frame."""
    episode = Episode.open(path)
    folder.mkdir(parents=True)
    frames = list(episode.frames)
    np.savez(folder / 'truth.npz', pictures=np.stack([frame.image for frame in frames]),
             depths=np.stack([frame.depth for frame in frames]), noise=noise)
    return folder


def install_backend(folder: Path, monkeypatch, name: str = 'knowing') -> None:
    """Make a package that registers the network, as any package may, and put it on the path."""
    info = folder / f'{name}_depth-1.0.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}-depth\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(
        f'[kinema4d_ros.depth_backends]\n{name} = small_recordings:KnowingNetwork\n')
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])


