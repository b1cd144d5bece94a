# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets of a running node: written beside its work, never in the way of a verdict."""
from __future__ import annotations

import collections
import dataclasses
import hashlib
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rclpy.impl.rcutils_logger import RcutilsLogger

from kinema4d_ros.errors import IncidentError, Kinema4DError
from kinema4d_ros.incident.file import MAX_FRAMES, smaller, write_packet
from kinema4d_ros.incident.meshes import mesh_hashes
from kinema4d_ros.incident.packet import IncidentPacket, IncidentRules
from kinema4d_ros.nodes.shadow_sim.inputs import FramedObservation
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.precheck import Assessment, Goal
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory, PredictedFrame, StartState, Status, Verdict

_WAITING = 3         # packets that may wait for the disk; further ones are dropped, and counted
_MOST = 500          # packets in a folder; nobody looks at more, and disks are finite
_WRITE_TIMEOUT = 10.0   # [s] that writing gets when the node ends


class KeptFrames:
    """Keeps small copies of the frames of one prediction, in the supervisor's thread."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self.images: list[np.ndarray] = []
        self.times: list[float] = []

    def add(self, frame: PredictedFrame) -> None:
        """Keep a frame, or skip it where there are too many for a packet."""
        if frame.index % -(-frame.count // MAX_FRAMES) == 0:
            small = smaller(frame.image)
            self.images.append(small.copy() if small is frame.image else small)
            self.times.append(frame.time)


class JudgedMotion(Protocol):
    """What a packet needs of a candidate."""

    rollout_id: str
    trajectory: JointTrajectory | None
    robot: Robot | None
    start: StartState
    assessment: Assessment
    frames: KeptFrames


class IncidentKeeper:
    """Writes packets in a thread of its own; `keep` returns at once and raises nothing."""

    def __init__(self, logger: RcutilsLogger) -> None:
        """Make a keeper that reports to the logger of the node; its thread starts when needed."""
        self._logger = logger
        self._written = self._failed = 0
        self._problem = ''
        self._changed = threading.Condition()
        self._waiting: collections.deque[tuple[Path, Robot, IncidentPacket]] = collections.deque()
        self._ended = False
        self._thread: threading.Thread | None = None

    def keep(self, motion: JudgedMotion, observed: object, verdict: Verdict,
             settings: ShadowSimSettings, goal: Goal | None, robot_text: str) -> None:
        """
        Have a packet written where the verdict is FAIL and the parameters want it.

        :param observed: the FramedObservation that the verdict rests on; anything else for none.
        :param robot_text: the robot description as it is now.
        """
        if verdict.status != Status.FAIL or not settings.values['incident_dir']:
            return
        try:
            work = self._work(motion, observed, verdict, settings, goal, robot_text)
        except Exception as error:      # whatever it is, the verdict goes out
            self._fail(error)
            return
        with self._changed:
            if self._ended or len(self._waiting) >= _WAITING:
                self._fail(IncidentError('the disk is too slow: a packet was not written'))
                return
            self._waiting.append(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name='incidents', daemon=True)
                self._thread.start()
            self._changed.notify()

    def counts(self) -> dict[str, Any]:
        """Return the numbers for the diagnostics, by their names there."""
        counts: dict[str, Any] = {'incidents written': self._written,
                                  'incidents failed': self._failed}
        return counts | ({'incident problem': self._problem} if self._problem else {})

    def close(self) -> None:
        """Write what waits, within some seconds."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_WRITE_TIMEOUT)

    def _work(self, motion: JudgedMotion, observed: object, verdict: Verdict,
              settings: ShadowSimSettings, goal: Goal | None, text: str
              ) -> tuple[Path, Robot, IncidentPacket]:
        """Return what the thread needs; nothing here is copied, since nothing of it changes."""
        if not isinstance(observed, FramedObservation) or motion.trajectory is None \
                or motion.robot is None:
            raise IncidentError('there is no packet of this FAIL: without a look at the world, a '
                                'robot and a readable trajectory it cannot be judged again')
        values = settings.values
        digest = hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()
        if digest != motion.robot.description_hash:
            raise IncidentError('there is no packet of this FAIL: the robot has changed since')
        seen = observed.observation
        for name, background in motion.assessment.backgrounds.items():
            # the node does not know what a worker remembers
            seen = seen.with_view(name, background=background)
        rules = IncidentRules(
            tiers=tuple(sorted(motion.assessment.findings)),
            required=tuple(values['required_tiers']), settings=settings.precheck, goal=goal,
            seed=values['seed'], world_model=values['world_model'],
            model_settings=dict(settings.world_model), checkpoint_hash=verdict.checkpoint_hash,
            frames=values['frames'], live_joints=dict(motion.start.positions),
            live_velocities=dict(motion.start.velocities))
        name = f'{time.strftime("%Y%m%d_%H%M%S")}_{motion.rollout_id}.zip'
        return (Path(values['incident_dir']).expanduser() / name, motion.robot, IncidentPacket(
            seen, text, motion.trajectory, rules, verdict, tuple(motion.frames.images),
            tuple(motion.frames.times)))

    def _run(self) -> None:
        meshes: tuple[Robot | None, dict[str, str]] = None, {}
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                path, robot, packet = self._waiting[0]
            try:
                if sum(1 for _ in path.parent.glob('*.zip')) >= _MOST:
                    raise IncidentError(f'{path.parent} holds {_MOST} packets; move some away, and '
                                        'new ones will be written')
                if meshes[0] is not robot:
                    meshes = robot, mesh_hashes(robot)
                write_packet(path, dataclasses.replace(packet, meshes=meshes[1]))
                self._written += 1
                self._logger.info(f'incident packet {path}: kinema4d replay-incident judges it '
                                  'again')
            except Exception as error:
                self._fail(error)
            with self._changed:      # only now, so that no more wait than may
                self._waiting.popleft()

    def _fail(self, error: Exception) -> None:
        self._failed += 1
        self._problem = str(error) if isinstance(error, Kinema4DError) else \
            f'{type(error).__name__}: {error}'
        self._logger.error(self._problem if isinstance(error, Kinema4DError)
                           else traceback.format_exc())
