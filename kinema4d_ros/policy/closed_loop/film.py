# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A run as an episode, which everything here reads, and as a video for people."""
from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from kinema4d_ros.episodes import Episode, EpisodeMetadata, EpisodeWriter
from kinema4d_ros.episodes.topics import CAMERA
from kinema4d_ros.episodes.video_file import side_by_side, write_video
from kinema4d_ros.policy.closed_loop.plan import RolloutSettings
from kinema4d_ros.policy.closed_loop.record import RolloutRecord
from kinema4d_ros.policy.closed_loop.views import DrawnView, PolicyView
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory

_MOST_WORD = 50             # [characters] of each word of a name, which files limit to 255 in all
_BEGIN = 1_000_000_000      # [ns] stamp at which the motion starts

Frame = tuple[float, dict[str, DrawnView]]


@runtime_checkable
class Filmed(Protocol):
    """A world that can show its run once more."""

    robot: Robot
    views: Sequence[PolicyView]

    @property
    def executed(self) -> JointTrajectory:
        """The motion since the beginning."""

    def film(self, rate: float) -> Iterator[Frame]:
        """Yield time [s] and pictures of all views, at that rate [Hz] at most."""


def film_run(world: Filmed, record: RolloutRecord, settings: RolloutSettings,
             episode: Episode) -> RolloutRecord:
    """
    Write what the settings ask for of a run, and return the record that names the files.

    :param episode: that the run started from.
    """
    name = film_name(record)
    frames = list(world.film(settings.film_rate))
    if settings.episodes:
        path = Path(settings.episodes) / f'{name}.mcap'
        write_episode(path, world, frames, record, episode)
        record = dataclasses.replace(record, episode=str(path))
    if settings.videos:
        path = Path(settings.videos) / f'{name}.mp4'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, (side_by_side([view.image for view in views.values()])
                           for _, views in frames), settings.film_rate)
        record = dataclasses.replace(record, video=str(path))
    return record


def film_name(record: RolloutRecord) -> str:
    """
    Return the name of a run's files without its ending.

    It has world, start, policy and seed for people, and for those that read alike a hash.
    """
    words = (record.world, record.start, record.policy, str(record.seed))
    digest = hashlib.sha256(json.dumps(record.key).encode()).hexdigest()[:8]
    return '_'.join([*(re.sub(r'[^\w.-]+', '-', word)[:_MOST_WORD] for word in words), digest])


def write_episode(path: Path, world: Filmed, frames: Sequence[Frame], record: RolloutRecord,
                  episode: Episode) -> None:
    """
    Write a run as an episode: what was predicted in place of what a camera would have seen.

    The first camera is the first view that stands; its name in the file is as in any episode.
    """
    views = sorted(world.views, key=lambda view: bool(view.link))
    names = {view.name: view.name if number else CAMERA for number, view in enumerate(views)}
    before = episode.metadata
    frames_of = {view.name: f'{view.name}_optical_frame' for view in views}
    for view in views:      # a camera of the start is a link of its robot
        if view.taken is not None and view.taken.name in {each.name for each in episode.cameras}:
            frames_of[view.name] = episode.camera(view.taken.name).frame
    metadata = EpisodeMetadata(
        robot=before.robot, task_text=before.task_text, kind='rollout', success=record.success,
        camera=before.camera, carried_object=before.carried_object,
        goal_object=before.goal_object, goal=before.goal,
        source=f'{record.policy} in {record.world}, from {record.start}, seed {record.seed}',
        licence=before.licence, trajectory_note='as the policy asked for it, chunk after chunk',
        suite=before.suite, task=before.task, init=before.init, seed=record.seed,
        cameras=tuple(names.values()) if len(names) > 1 else ())
    motion = world.executed
    start = dict(zip(motion.joint_names, motion.positions[0].tolist()))
    times = np.array([time for time, _ in frames])
    sampled = sample_trajectory(motion, world.robot, times, start)
    with EpisodeWriter(path) as writer:
        writer.add_metadata(0, metadata)
        writer.add_robot_description(0, episode.robot_description)
        root = world.robot.link_names[0]
        for view in views:
            frame = frames_of[view.name]
            if f'"{frame}"' not in episode.robot_description:
                writer.add_static_transform(0, view.link or root, frame, view.T_link_camera)
            writer.add_camera_info(0, frame, view.camera, name=names[view.name])
        for index, (time, pictures) in enumerate(frames):
            stamp = _BEGIN + round(time * 1e9)
            writer.add_joint_state(stamp, sampled.joint_names, sampled.positions[index],
                                   sampled.velocities[index])
            for view in views:
                drawn = pictures[view.name]
                writer.add_image(stamp, frames_of[view.name], drawn.image, name=names[view.name])
                if drawn.depth is not None:
                    writer.add_depth(stamp, frames_of[view.name], drawn.depth,
                                     name=names[view.name])
        writer.add_trajectory(_BEGIN, motion)
