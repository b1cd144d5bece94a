# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The process that owns the world model: ``python -m kinema4d_ros.nodes.worker PIPE MEMORY``.

It imports no ROS. Its main thread builds the model and does all the predicting; a second thread
reads the pipe, so that cancelling and giving slots back work during a prediction. It ends when
the pipe does. Ctrl-C is left to the node, which then ends this process.
"""
from __future__ import annotations

import collections
import dataclasses
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from kinema4d_ros.camera import LinkPose, SceneMemory
from kinema4d_ros.errors import Kinema4DError, PredictionCancelled, WorldModelError
from kinema4d_ros.nodes.frame_memory import FrameMemory
from kinema4d_ros.nodes.protocol import (Cancel, Ended, Failed, Forget, FrameReady, Predict,
                                         Progress, Ready, Release, Remember, Remembered,
                                         RobotReady, SetRobot, Stop, WorkerSettings)
from kinema4d_ros.precheck.examiner import guarded
from kinema4d_ros.precheck.self_contact import check_self_contact
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.shadow import ShadowSimulator
from kinema4d_ros.types import (Finding, JointTrajectory, Observation, PinholeCamera,
                                PredictedFrame, RobotRollout)
from kinema4d_ros.world_model import registry
from kinema4d_ros.world_model.base import WorldModel

_LAST_CHANCE = 5.0   # [s] the main thread has to end when the node is gone


class Inbox(threading.Thread):
    """Reads the pipe: work is queued for the main thread, the rest takes effect at once."""

    def __init__(self, pipe: Connection):
        """Prepare the thread; `start` it."""
        super().__init__(name='inbox', daemon=True)
        self._pipe = pipe
        self._changed = threading.Condition()
        self._work: collections.deque = collections.deque()
        self._free: set[int] = set()
        self._cancelled = -1
        self._stopped = False

    def run(self) -> None:
        """Read until the pipe ends or says stop."""
        try:
            while self._take(self._pipe.recv()):
                pass
        except (EOFError, OSError):
            pass
        # Nobody is there to kill this process any more, should the model never look up again.
        alarm = threading.Timer(_LAST_CHANCE, os._exit, (1,))
        alarm.daemon = True
        alarm.start()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _take(self, message) -> bool:
        with self._changed:
            match message:
                case Stop():
                    return False
                case Cancel(job):
                    self._cancelled = max(self._cancelled, job)
                case Release(slot):
                    self._free.add(slot)
                case _:
                    self._work.append(message)
            self._changed.notify_all()
        return True

    def next_work(self):
        """Wait for and return the next message of work; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._work or self._stopped)
            return None if self._stopped else self._work.popleft()

    def slots_free(self, slots: int) -> None:
        """Declare slots 0..slots-1 free, at the begin of a job."""
        with self._changed:
            self._free = set(range(slots))

    def free_slot(self, job: int) -> int:
        """Wait for a slot and take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._is_over(job))
            self._check(job)
            return self._free.pop()

    def check(self, job: int) -> None:
        """:raises PredictionCancelled: when `job` is to stop."""
        with self._changed:
            self._check(job)

    def _check(self, job: int) -> None:
        if self._is_over(job):
            raise PredictionCancelled(f'job {job} was asked to stop')

    def _is_over(self, job: int) -> bool:
        return self._stopped or self._cancelled >= job


class Worker:
    """Does what the messages say, one at a time, in the thread that made it."""

    def __init__(self, pipe: Connection, memory: FrameMemory):
        """Start reading the pipe."""
        self._pipe, self._memory = pipe, memory
        self._inbox = Inbox(pipe)
        self._inbox.start()
        self._model: WorldModel | None = None
        self._simulator_settings: Mapping = {}
        self._robot: Robot | None = None
        self._robot_error = 'no robot description has been received'
        self._meshes: dict = {}
        self._mount: LinkPose | None = None
        self._simulator: ShadowSimulator | None = None
        self._observation: Observation | None = None
        self._scene = SceneMemory()

    def run(self) -> None:
        """Work until told to stop."""
        while (message := self._inbox.next_work()) is not None:
            match message:
                case WorkerSettings():
                    self._build(message)
                case SetRobot():
                    self._set_robot(message)
                case Predict():
                    self._predict(message)
                case Remember():
                    self._remember(message)
                case Forget():
                    self._scene.clear()
        if self._model is not None:
            self._model.close()

    def _build(self, settings: WorkerSettings) -> None:
        try:
            self._model = make_model(settings)
            self._simulator_settings = dict(settings.simulator_settings)
            _warm_up(self._model)
        except Kinema4DError as error:
            self._pipe.send(Failed(str(error)))
            return
        except Exception as error:   # the same would happen after each restart
            traceback.print_exc()
            self._pipe.send(Failed(f'{type(error).__name__}: {error}'))
            return
        self._pipe.send(Ready(self._model.name, str(self._model.fingerprint)))

    def _set_robot(self, message: SetRobot) -> None:
        self._robot = self._simulator = self._observation = None
        self._scene.clear()
        try:
            robot = Robot.from_urdf(message.urdf, package_paths=message.package_paths)
            self._meshes = load_meshes(robot)
            self._robot, self._robot_error = robot, ''
            self._simulate(None).examiner().warm_up()
        except Exception as error:   # told to the node, which decides; the process stays usable
            if not isinstance(error, Kinema4DError):
                traceback.print_exc()
            self._robot, self._robot_error = None, f'{type(error).__name__}: {error}'
            self._pipe.send(RobotReady('', (), self._robot_error))
            return
        self._pipe.send(RobotReady(robot.description_hash, tuple(robot.warnings)))

    def _simulate(self, mount: LinkPose | None) -> ShadowSimulator:
        """Return the simulator for a camera that is mounted so, None for one that stays."""
        if self._robot is None:
            raise WorldModelError(f'the robot cannot be simulated: {self._robot_error}')
        if self._simulator is None or mount != self._mount:
            self._simulator = ShadowSimulator(
                self._robot, self._model, meshes=self._meshes,
                camera_poses=None if mount is None else mount.poses,
                **self._simulator_settings)
            self._mount = mount
        return self._simulator

    def _remember(self, message: Remember) -> None:
        """Add a look to the scene memory; a bad one must not end the process."""
        try:
            observation = Observation(**message.observation)
            self._scene.update(observation, self._simulate(None).robot_mask(observation))
        except Exception as error:
            print(f'worker: cannot remember the scene: {error}', file=sys.stderr)
        self._pipe.send(Remembered())

    def _predict(self, message: Predict) -> None:
        started, latencies = time.perf_counter(), {}
        try:
            findings, measured = self._run_job(message, started, latencies)
            end = Ended(message.job, latencies=latencies, findings=findings, measured=measured)
        except PredictionCancelled:
            end = Ended(message.job, cancelled=True, latencies=latencies)
        except Exception as error:   # told to the node; the model stays loaded for the next job
            if not isinstance(error, Kinema4DError):
                traceback.print_exc()
            end = Ended(message.job, error=f'{type(error).__name__}: {error}',
                        latencies=latencies)
        latencies['total'] = time.perf_counter() - started
        self._pipe.send(end)

    def _run_job(self, message: Predict, started: float, latencies: dict[str, float]
                 ) -> tuple[dict[int, tuple[Finding, ...]], dict[str, Any]]:
        """Send the frames, then return what the precheck found and measured."""
        job = message.job
        if message.observation is not None:
            observation = Observation(**message.observation)
            if message.mount is None:      # the memory is of a camera that stays
                observation = dataclasses.replace(observation, background=self._scene.background)
            self._observation = observation
        self._memory.attach(message.slots, message.slot_bytes)
        self._inbox.slots_free(message.slots)

        def report(stage: str, step: int, total: int) -> None:
            self._inbox.check(job)
            self._pipe.send(Progress(job, stage, step, total))

        simulator = self._simulate(message.mount)
        report('robot', 0, 1)
        robot = simulator.roll_out(self._observation, message.trajectory)
        latencies['robot'] = time.perf_counter() - started
        frames = simulator.predict_around(self._observation, robot, seed=message.seed,
                                          report=report)
        try:
            for frame in frames:
                self._inbox.check(job)
                self._send(job, frame, robot)
                latencies.setdefault('first frame', time.perf_counter() - started)
        finally:
            frames.close()
        examining = time.perf_counter()
        result = self._examine(message, simulator, robot)
        latencies['examine'] = time.perf_counter() - examining
        return result

    def _examine(self, message: Predict, simulator: ShadowSimulator, robot: RobotRollout
                 ) -> tuple[dict[int, tuple[Finding, ...]], dict[str, Any]]:
        """Run what of the precheck needs meshes or the scene; what fails is a finding."""
        examiner, measured = simulator.examiner(), {}
        findings = {0: tuple(guarded(lambda: check_self_contact(
            robot.times, robot.T_base_link, examiner.self_collision,
            examiner.settings.tier0.self_margin), 0))}

        def look() -> tuple[Finding, ...]:
            evidence = examiner.tier1(self._observation, message.trajectory)
            measured.update(evidence.measured)
            return evidence.findings

        if 1 in message.tiers:
            self._inbox.check(message.job)
            findings[1] = tuple(guarded(look, 1))
        return findings, measured

    def _send(self, job: int, frame: PredictedFrame, robot: RobotRollout) -> None:
        """Write a frame into a free slot and say so."""
        slot = self._inbox.free_slot(job)
        at = frame.index
        arrays = {
            'image': frame.image, 'pointmap': frame.pointmap, 'robot_mask': frame.robot_mask,
            'robot_pointmap': robot.pointmap[at], 'exact_mask': robot.link_id[at] >= 0}
        if frame.pointmap_sigma is not None:
            arrays['pointmap_sigma'] = frame.pointmap_sigma.astype(np.float32, copy=False)
        layout = self._memory.write(slot, arrays)
        self._pipe.send(FrameReady(
            job, slot, layout, at, frame.count, frame.time, frame.events,
            frame.carried_point_base, robot.camera, robot.T_base_camera[at],
            dict(zip(robot.joint_names, robot.positions[at].tolist())), frame.action_following))


def make_model(settings: WorkerSettings) -> WorldModel:
    """Return a registered world model, or one of the user's own given as module:Class."""
    name = settings.world_model
    if ':' not in name:
        return registry.create(name, **settings.model_settings)
    module, _, attribute = name.partition(':')
    try:
        model_class = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise WorldModelError(f'world model {name!r} cannot be imported: {error}') from error
    return model_class(**settings.model_settings)


def main(arguments: list[str]) -> None:
    """Take over the two inherited file descriptors and work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe_fd, memory_fd = (int(argument) for argument in arguments)
    pipe = Connection(pipe_fd)
    try:
        Worker(pipe, FrameMemory(memory_fd)).run()
    except (BrokenPipeError, ConnectionResetError):
        pass   # the node has gone; there is nobody to tell


def _warm_up(model: WorldModel) -> None:
    """
    Compile the renderer now, with a robot without meshes and a picture of a few pixels.

    It takes some seconds the first time after an installation, and then comes from a cache. The
    first request, or the first robot, should not wait for it.
    """
    robot = Robot.from_urdf((share_dir() / 'urdf' / 'demo_arm.urdf').read_text(encoding='utf-8'))
    start = robot.configuration({})
    still = JointTrajectory(robot.joint_names, np.array([0.0, 0.1]), np.stack([start, start]))
    T_base_camera = np.eye(4)  # noqa: N806
    T_base_camera[2, 3] = -2.0
    ShadowSimulator(robot, model, frames=2).roll_out(Observation(
        0, np.zeros((8, 8, 3), np.uint8), None, PinholeCamera(8, 8, 8.0, 8.0, 3.5, 3.5),
        T_base_camera, dict(zip(robot.joint_names, start.tolist()))), still)


if __name__ == '__main__':
    main(sys.argv[1:])
