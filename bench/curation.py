# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What 4D episodes cost, and whether a worker keeps its memory.

    python -m bench.curation [SOURCE ...]           recordings for each hour of a core
    python -m bench.curation --copies 1000          memory of a worker, over small recordings
    python -m bench.curation --workers 2 --ray local          either, by Ray Data

The figures of docs/curate.md are its output.
"""
from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from kinema4d_ros.curation import curate, CurationSettings
from kinema4d_ros.episodes import Episode, EpisodeWriter, find_episode
from kinema4d_ros.jobs import JobRecord, PoolSettings, read_jobs
from kinema4d_ros.types import JointTrajectory

EPISODES = ('libero_object_0_0_success', 'libero_object_0_0_missed_grasp',
            'libero_object_1_0_success', 'libero_object_3_0_slip', 'libero_spatial_1_0_success',
            'libero_spatial_2_0_success')
HOUR = 3600.0
ROBO4D = 201_426      # episodes of Robo4D-200k, by its paper
_EVERY, _STEP = 9, 3  # frames, and pixels, that a small recording takes one of


def small(name: str, path: Path) -> None:
    """Write some frames of an episode, small, with depth."""
    whole = Episode.open(find_episode(name))
    stamps, rows = [], []
    with EpisodeWriter(path) as writer:
        begin = int(whole.frames.stamps_ns[0])
        writer.add_metadata(begin, dataclasses.replace(whole.metadata, objects={}, events=()))
        writer.add_robot_description(begin, whole.robot_description)
        camera = whole.calibration.pinhole
        width, height = camera.width // _STEP, camera.height // _STEP
        writer.add_camera_info(begin, whole.camera_frame, camera.resized(width, height))
        for index in range(0, len(whole.frames), _EVERY):
            frame = whole.frames[index]
            assert frame.depth is not None
            row = np.array(list(frame.joint_positions.values()))
            writer.add_image(frame.stamp_ns, whole.camera_frame, cv2.resize(
                frame.image, (width, height), interpolation=cv2.INTER_AREA))
            writer.add_depth(frame.stamp_ns, whole.camera_frame,
                             frame.depth[_STEP // 2::_STEP, _STEP // 2::_STEP])
            writer.add_joint_state(frame.stamp_ns, list(frame.joint_positions), row, 0.0 * row)
            stamps.append((frame.stamp_ns - begin) * 1e-9)
            rows.append(row)
        writer.add_trajectory(begin, JointTrajectory(
            tuple(frame.joint_positions), np.array(stamps), np.array(rows), None))


def cost(sources: list[str], settings: CurationSettings, workers: int, ray: str) -> None:
    """Print what recordings cost, the first of each process left out, which loads and compiles."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        result = curate(sources, Path(folder), settings, PoolSettings(workers, ray, threads=1))
        wall = time.monotonic() - began
        records = sorted(read_jobs(folder, 'curation.jsonl'), key=lambda record: record.written)
        frames = sum(record.quality.frames for record in result.summary.records if record.quality)
        size = sum(path.stat().st_size for path in Path(folder).rglob('*') if path.is_file())
    steady = [record.cpu_seconds for record in records[workers:]] or [
        record.cpu_seconds for record in records]
    mean = float(np.mean(steady))
    print(f'{len(records)} recordings, {frames} frames, {result.summary.kept} kept, '
          f'{workers} workers, {wall:.0f} s: {mean:.2f} s of a core each (the first '
          f'{records[0].cpu_seconds:.1f} s), {HOUR / mean:.0f} an hour of a core, '
          f'{size / len(records) / 2 ** 20:.1f} MiB each; {ROBO4D} of such take '
          f'{ROBO4D * mean / HOUR:.0f} core-hours and {ROBO4D * size / len(records) / 1e12:.2f} TB')


def memory(copies: int, ray: str) -> None:
    """Print the memory of one worker by quarters of many small recordings."""
    with tempfile.TemporaryDirectory() as folder:
        kept = [Path(folder, f'{name}.mcap') for name in EPISODES[:3]]
        for name, path in zip(EPISODES, kept):
            small(name, path)
        many = Path(folder, 'many')
        many.mkdir()
        for number in range(copies):
            (many / f'r{number:05d}.mcap').symlink_to(kept[number % len(kept)])
        curate([many], Path(folder, 'out'), CurationSettings(frames=5),
               PoolSettings(1, ray, threads=1))
        records: list[JobRecord] = list(read_jobs(Path(folder, 'out'), 'curation.jsonl'))
    held = [record.memory for record in records]
    quarter = len(held) // 4
    parts = [f'{np.median(held[at:at + quarter]):.1f}' for at in range(0, 4 * quarter, quarter)]
    seconds = [record.cpu_seconds for record in records[1:]]
    print(f'{copies} recordings by one worker: {", ".join(parts)} MiB (median of each quarter), at '
          f'most {max(held):.1f} MiB; {np.mean(seconds):.2f} s of a core each')


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('sources', nargs='*', default=list(EPISODES))
    parser.add_argument('--copies', type=int, default=0)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--ray', default='', metavar='ADDRESS')
    parser.add_argument('--to', default='mcap')
    parser.add_argument('--package-path', action='append', default=[])
    parser.add_argument('--extrinsics', default='')
    parser.add_argument('--depth-model', default='')
    parser.add_argument('--any-depth', action='store_true', help='whatever its residual')
    options = parser.parse_args()
    if options.copies:
        memory(options.copies, options.ray)
        return
    settings = CurationSettings(
        form=options.to, depth_model=options.depth_model, extrinsics=options.extrinsics,
        package_paths=tuple(options.package_path))
    if options.any_depth:
        settings = dataclasses.replace(settings, residual=100.0, relative_residual=1.0,
                                       scale_sigma=float('inf'))
    cost(options.sources, settings, options.workers, options.ray)


if __name__ == '__main__':
    main()
