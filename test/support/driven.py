# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motions that drive what the hand holds into something, from the middle of a recorded carry."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import KinematicsError
from kinema4d_ros.evaluation.streaming import Chunk, chunks_of, stream
from kinema4d_ros.foresight.attached import body_of
from kinema4d_ros.foresight.hull import depth_in
from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.robot import InverseKinematics
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import HeldObject, JointTrajectory, Verdict

WAYS = {'down': (0, 0, -1), '+x': (1, 0, 0), '-x': (-1, 0, 0), '+y': (0, 1, 0), '-y': (0, -1, 0)}
STEP = 0.01       # [m] between the points of a driven motion
SPEED = 0.1       # [m/s]


@dataclass(frozen=True, eq=False)
class Driven:
    """One motion, and what was said of it."""

    time: float         # [s] in the recording
    way: str
    free: float         # [m] until the held object meets something
    verdict: Verdict


def held_chunks(simulator: ShadowSimulator, episode: Episode, seconds: float
                ) -> Iterator[tuple[Chunk, tuple[HeldObject, ...]]]:
    """Stream an episode; yield each chunk that begins with something in the hand."""
    chunks = {chunk.time: chunk for chunk in chunks_of(episode, seconds)}
    for said in stream(simulator, episode, seconds):
        held = [f for f in said.verdict.findings if f.code.name == 'ATTACHED' and not f.severity]
        if held:
            chunk = dataclasses.replace(chunks[said.time], observation=said.observation)
            yield chunk, simulator.checker().held_at(said.observation)


def straight(simulator: ShadowSimulator, chunk: Chunk, way: np.ndarray, length: float
             ) -> JointTrajectory:
    """Return the motion of the arm that moves the palm along a straight line."""
    robot, palm = simulator.robot, simulator.gripper.palm_link
    start = robot.configuration(chunk.observation.joint_positions, strict=False)
    T = kinematics_of(robot)(start[None])[0, robot.link_names.index(palm)]
    steps = np.linspace(0, length, max(2, round(length / STEP) + 1))
    poses = np.repeat(T[None], len(steps), 0)
    poses[:, :3, 3] += np.outer(steps, way)
    positions = InverseKinematics(robot, palm).solve(poses[1:], start)
    arm = [name for name in robot.joint_names if 'finger' not in name]
    index = [robot.joint_names.index(name) for name in arm]
    return JointTrajectory(tuple(arm), steps / SPEED,
                           np.vstack([start, positions])[:, index])


def free_way(vertices: np.ndarray, planes: np.ndarray, points: np.ndarray, way: np.ndarray,
             most: float = 0.3) -> float:
    """Return how far a hull can go before it meets points (N, 3) that it was clear of [m]."""
    center, radius = vertices.mean(0), np.ptp(vertices, axis=0).max()
    near = points[np.linalg.norm(points - center, axis=1) < most + radius]
    near = near[depth_in(near, planes, np.eye(4)) > 0.004]
    # Only what lies no farther beside its way than a vertex can come inside of it.
    beside = np.cross(near - center, way)
    near = near[np.linalg.norm(beside, axis=1)
                <= np.linalg.norm(vertices - center, axis=1).max() + 0.001]
    for length in np.arange(0, most, 0.005):
        if len(near) and depth_in(near - length * way, planes, np.eye(4)).min() <= 0:
            return float(length)
    return np.inf


def driven(simulator: ShadowSimulator, episode: Episode, depth: float = 0.05, *,
           every: float = 0.5, ways: tuple[str, ...] = tuple(WAYS)) -> Iterator[Driven]:
    """
    Judge motions that drive what is held `depth` [m] into what the first look showed.

    :param every: [s] between the chunks whose beginning they start from.
    """
    points = others_of(simulator, episode)
    for chunk, held in held_chunks(simulator, episode, every):
        robot = simulator.robot
        start = robot.configuration(chunk.observation.joint_positions, strict=False)
        T = kinematics_of(robot)(start[None])[0, robot.link_names.index(held[0].link)]
        body = body_of(held[0], T)
        for name in ways:
            way = np.array(WAYS[name], float)
            # Sliding over what it stands on is not driving it into something.
            others = points if way[2] else points[points[:, 2] > body.bottom + 0.015]
            free = free_way(body.vertices, body.planes, others, way)
            if not np.isfinite(free):
                continue
            try:
                motion = straight(simulator, chunk, way, free + depth)
            except KinematicsError:
                continue
            yield Driven(chunk.time, name, free, simulator.precheck(chunk.observation, motion))


def others_of(simulator: ShadowSimulator, episode: Episode) -> np.ndarray:
    """Return points (N, 3) [m] base that the first look shows, without what will be carried."""
    observation = episode.observation(-episode.start_index)
    fresh = ShadowSimulator(simulator.robot, None, meshes=simulator._meshes)
    points = fresh.checker().scene_of(observation).points.points_base.astype(np.float64)
    _, poses = episode.truth.object_poses[episode.metadata.carried_object]
    return points[np.linalg.norm(points - poses[0][:3, 3], axis=1) > 0.09]
