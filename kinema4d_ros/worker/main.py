# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The process that owns the world model: ``python -m kinema4d_ros.worker.main PIPE MEMORY ...``.

It imports no ROS. Its main thread builds the model and does all the work; a second thread
reads the pipe, so that cancelling and giving slots back work during a prediction. It ends when
the pipe does. Ctrl-C is left to the node, which then ends this process.
"""
from __future__ import annotations

import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from kinema4d_ros.errors import Kinema4DError, PredictionCancelled, WorldModelError
from kinema4d_ros.precheck import Assessment, PrecheckSettings
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import LinkMesh, load_meshes, Robot
from kinema4d_ros.scene import SceneMemory
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (JointTrajectory, LocalClearance, Observation, PinholeCamera,
                                PredictedFrame, RobotRollout)
from kinema4d_ros.worker.frame_memory import FrameMemory
from kinema4d_ros.worker.message_memory import MessageMemory
from kinema4d_ros.worker.pipe_reader import PipeReader
from kinema4d_ros.worker.protocol import (Ended, Failed, Forget, FrameReady, PredictionTask,
                                          Progress, Ready, Remember, Remembered, RobotReady,
                                          SetRobot, Survey, Surveyed, Work,
                                          WorkerSettings)
from kinema4d_ros.worker.rollout_frame import RolloutFrame
from kinema4d_ros.worker.tasks import run_task, seen_robots
from kinema4d_ros.world_model import registry
from kinema4d_ros.world_model.base import WorldModel

_PROGRESS_PERIOD = 0.05    # [s] between two reports of one stage: each wakes the node


class Worker:
    """Does what the messages say, one at a time, in the thread that made it."""

    def __init__(self, pipe: Connection, memory: FrameMemory,
                 messages: MessageMemory | None = None):
        """
        Start the thread that reads the pipe; no model or robot is loaded yet.

        :param messages: that of the sender; None where all comes through the pipe.
        """
        self._pipe, self._memory = pipe, memory
        self._pipe_reader = PipeReader(pipe, messages or MessageMemory())
        self._pipe_reader.start()
        self._model: WorldModel | None = None
        self._simulator_settings: Mapping[str, Any] = {}
        self._settings = PrecheckSettings()     # to prepare for; each job brings its own
        self._checks = True
        self._robot: Robot | None = None
        self._robot_error = 'no robot description has been received'
        self._meshes: dict[str, LinkMesh] = {}
        self._simulator: ShadowSimulator | None = None
        self._observation: Observation | None = None
        self._scene = SceneMemory()

    def run(self) -> None:
        """Work until the pipe says stop or ends."""
        while (message := self._pipe_reader.next_work()) is not None:
            match message:
                case WorkerSettings():
                    self._build(message)
                case SetRobot():
                    self._set_robot(message)
                case Work():
                    self._work(message)
                case Remember():
                    self._remember(message)
                case Survey():
                    self._survey(message)
                case Forget():
                    self._scene.clear()
                    if self._simulator is not None:
                        self._simulator.forget()
        if self._model is not None:
            self._model.close()

    def _build(self, settings: WorkerSettings) -> None:
        os.nice(settings.niceness)   # of this thread and those that it starts; the pipe is read on
        try:
            if settings.world_model:
                self._model = make_model(settings)
            self._simulator_settings = dict(settings.simulator_settings)
            self._settings, self._checks = settings.precheck, settings.checks
            _warm_up(self._model, settings.checks)
        except Kinema4DError as error:
            self._pipe.send(Failed(str(error)))
            return
        except Exception as error:   # the same would happen after each restart
            traceback.print_exc()
            self._pipe.send(Failed(f'{type(error).__name__}: {error}'))
            return
        model, device = self._model, settings.model_settings.get('device')
        if model is None:
            self._pipe.send(Ready())
            return
        note = f'; it runs on no device, so {device!r} is ignored' \
            if device and 'device' not in model.settings else ''
        self._pipe.send(Ready(model.name, str(model.fingerprint), note))

    def _set_robot(self, message: SetRobot) -> None:
        self._robot = self._simulator = self._observation = None
        self._scene.clear()
        try:
            robot = Robot.from_urdf(message.urdf, package_paths=message.package_paths)
            if message.description_hash not in ('', robot.description_hash):
                raise WorldModelError(
                    f'the process read a robot with hash {robot.description_hash}, the node one '
                    f'with {message.description_hash}; publish robot_description again')
            self._meshes = meshes = load_meshes(robot)
            self._robot, self._robot_error = robot, ''
            checker = self._simulate().checker(self._settings)
            warnings = (*robot.warnings, *meshes.warnings)
            if self._checks:      # else the process that checks tells what hulls make of the robot
                checker.warm_up()
                warnings += checker.self_collision.warnings
        except Exception as error:   # reported to the node; the process stays usable
            if not isinstance(error, Kinema4DError):
                traceback.print_exc()
            self._robot, self._robot_error = None, f'{type(error).__name__}: {error}'
            self._pipe.send(RobotReady('', (), self._robot_error))
            return
        self._pipe.send(RobotReady(robot.description_hash, warnings))

    def _simulate(self) -> ShadowSimulator:
        """Return the simulator of the robot."""
        if self._robot is None:
            raise WorldModelError(f'the robot cannot be simulated: {self._robot_error}')
        if self._simulator is None:
            self._simulator = ShadowSimulator(self._robot, self._model, meshes=self._meshes,
                                              **self._simulator_settings)
        return self._simulator

    def _remember(self, message: Remember) -> None:
        """Add a look to the scene memory; a bad one must not end the process."""
        seen = {}
        try:
            observation = message.observation
            checker = self._simulate().checker(self._settings)
            # Where a camera does not see the robot in its place, the robot would be remembered as
            # scene, and scene be taken for robot: it has no mask.
            self._scene.update(observation, checker.robot_masks(observation))
            if message.compares:
                seen = seen_robots(checker, observation)
        except Exception as error:
            print(f'worker: cannot remember the scene: {error}', file=sys.stderr)
        self._pipe.send(Remembered(seen))

    def _survey(self, message: Survey) -> None:
        """Measure the free space around the robot; what fails is why there is none."""
        seen, robot_hash = message.observation, message.robot_hash
        try:
            checker = self._simulate().checker(message.settings)
            if checker.robot.description_hash != robot_hash:
                raise WorldModelError('the robot description changed')
            found = checker.local_clearance(self._scene.remembered(seen))
        except Exception as error:
            if not isinstance(error, Kinema4DError):
                traceback.print_exc()
            found = LocalClearance(seen.stamp_ns, robot_hash,
                                   problem=f'{type(error).__name__}: {error}')
        self._pipe.send(Surveyed(found))

    def _work(self, message: Work) -> None:
        started, assessment = time.perf_counter(), Assessment()
        cancelled, error, is_worn_out = False, '', False
        try:
            self._do(message, started, assessment)
        except PredictionCancelled as why:
            cancelled = self._pipe_reader.is_over(message.job)
            error = '' if cancelled else f'the world model stopped by itself: {why}'
        except Exception as why:   # reported to the node; the model stays loaded
            if not isinstance(why, Kinema4DError):
                traceback.print_exc()
            error, is_worn_out = f'{type(why).__name__}: {why}', _is_out_of_memory(why)
        if isinstance(message.task, PredictionTask):
            assessment.took('total', time.perf_counter() - started)
        self._pipe.send(Ended(message.job, assessment, cancelled, error, is_worn_out))

    def _do(self, message: Work, started: float, assessment: Assessment) -> None:
        job = message.job
        observation = self._observation_of(message) if message.task.looks else None
        simulator = self._simulate()
        if message.robot_hash not in ('', simulator.robot.description_hash):
            raise WorldModelError('the robot description changed: the motion is meant for '
                                  f'{message.robot_hash}, this process has '
                                  f'{simulator.robot.description_hash}')
        if isinstance(message.task, PredictionTask):
            self._memory.attach(message.slots, message.slot_bytes)
            self._pipe_reader.slots_free(message.slots)

        last_stage, last_at = '', 0.0

        def report(stage: str, step: int, total: int) -> None:
            nonlocal last_stage, last_at
            self._pipe_reader.check(job)
            now = time.perf_counter()
            # Of a stage of one step what follows says that it is over, and is not to wait for that.
            if stage != last_stage or step >= total > 1 or now - last_at >= _PROGRESS_PERIOD:
                last_stage, last_at = stage, now
                self._pipe.send(Progress(job, stage, step, total))
            if (stage, step) == ('robot', total) and 'robot' not in assessment.latencies:
                assessment.took('robot', time.perf_counter() - started)

        def show(robot: RobotRollout, frame: PredictedFrame) -> None:
            slot = self._pipe_reader.free_slot(job)
            stored = self._memory.write(slot, RolloutFrame.of(frame, robot))
            self._pipe.send(FrameReady(job, slot, stored))
            if 'first frame' not in assessment.latencies:
                assessment.took('first frame', time.perf_counter() - started)

        self._settings = message.settings     # what is remembered from now on is judged by these
        run_task(assessment, simulator, simulator.checker(message.settings), observation,
                 message.trajectory, message.task, report, show)

    def _observation_of(self, message: Work) -> Observation:
        """Return what a job is to be judged on, with the scene that is remembered."""
        if message.observation is not None:
            self._observation = None     # not the one before, where this one is unusable
            # What is remembered of a camera is from where that camera is now, or is left out.
            self._observation = self._scene.remembered(message.observation)
        if self._observation is None:
            raise WorldModelError('the observation of this job has not arrived')
        return self._observation


def make_model(settings: WorkerSettings) -> WorldModel:
    """
    Return a registered world model, or one of the user's own given as module:Class.

    A device is left out for one that runs on none: it is said of whichever model there is.
    """
    name = settings.world_model
    if ':' in name:
        module, _, attribute = name.partition(':')
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise WorldModelError(f'world model {name!r} cannot be imported: {error}') from error
    else:
        found = registry.model_class(name)
    model: WorldModel = found(**registry.without_needless_device(found, settings.model_settings))
    return model


def main(arguments: list[str]) -> None:
    """Take over the inherited file descriptors and work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})     # for what it may start
    pipe_fd, memory_fd, *message_fds = (int(argument) for argument in arguments)
    pipe = Connection(pipe_fd)
    try:
        Worker(pipe, FrameMemory(memory_fd), MessageMemory((message_fds[0], message_fds[1]))).run()
    except (BrokenPipeError, ConnectionResetError):
        pass   # the node has gone; nobody is left to report to


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether memory is short, on whatever device; by name, to import no library for it."""
    return any(kind.__name__ in ('MemoryError', 'OutOfMemoryError')
               for kind in type(error).__mro__)


def _warm_up(model: WorldModel | None, checks: bool) -> None:
    """
    Compile now what requests need: with the demo arm, in a picture of some pixels.

    It takes some seconds the first time after an installation, and then comes from a cache. The
    first request, or the first robot, should not wait for it. What predicts needs the renderer
    alone; what checks a whole precheck, of a motion close to a wall, in which the arm is seen.
    """
    robot = Robot.from_urdf((share_dir() / 'urdf' / 'demo_arm.urdf').read_text(encoding='utf-8'))
    size = 192 if checks else 8
    camera = PinholeCamera(size, size, float(size), float(size), (size - 1) / 2, (size - 1) / 2)
    start = robot.configuration({})
    motion = JointTrajectory(robot.joint_names, np.array([0.0, 1.0]),
                             np.stack([start, start + 0.2 * (np.arange(len(start)) == 1)]))
    T_base_camera = np.array(  # noqa: N806
        [[0.0, 0.0, -1.0, 1.2], [1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.5], [0.0, 0.0, 0.0, 1.0]])
    joints = dict(zip(robot.joint_names, start.tolist()))
    picture = np.zeros((size, size, 3), np.uint8)
    simulator = ShadowSimulator(robot, model, frames=2)
    seen = simulator.roll_out(
        Observation.from_rgbd(picture, None, camera, T_base_camera, joints), motion)
    if checks:
        wall = 0.65 + 0.004 * np.add.outer(np.arange(size), np.arange(size))    # it leans
        depth = np.where(seen.mask[0], seen.pointmap[0, ..., 2], wall).astype(np.float32)
        simulator.precheck(
            Observation.from_rgbd(picture, depth, camera, T_base_camera, joints), motion)


if __name__ == '__main__':
    main(sys.argv[1:])
