# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the node and its worker process say to each other over their pipe (pickled)."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kinema4d_ros.precheck import Assessment, PrecheckSettings
from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.types import JointTrajectory, LocalClearance, Observation, StartState
from kinema4d_ros.worker.frame_memory import StoredFrame

# ---------------------------------------------------------------- to the worker


@dataclass(frozen=True)
class WorkerSettings:
    """All that the worker builds its world model and simulator from; the first message."""

    world_model: str                    # name, or module:Class; '' for a worker that only checks
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    simulator_settings: Mapping[str, Any] = field(default_factory=dict)
    #: to prepare for; each job brings its own
    precheck: PrecheckSettings = field(default_factory=PrecheckSettings)
    niceness: int = 0                   # added to that of the node: more lets others go first
    checks: bool = True                 # whether it prepares to check; one that predicts need not


@dataclass(frozen=True)
class SetRobot:
    """From now on predict with this robot, and forget the scene."""

    urdf: str
    package_paths: tuple[str, ...] = ()
    description_hash: str = ''     # of the robot that the node reads in this; '' does not matter


@dataclass(frozen=True)
class CheckTask:
    """Look for contact of the robot with itself and, where `tiers` has 1, with the scene."""

    tiers: tuple[int, ...] = ()
    goal: Goal | None = None            # what the motion is meant to achieve; needs tier 1
    tells_background: bool = False      # where it finds a FAIL, for an incident packet
    start: StartState | None = None     # of the motion; None for the joints of the observation

    @property
    def looks(self) -> bool:
        """Whether it needs the observation: tier 0 from a known start does not."""
        return 1 in self.tiers or self.tells_background or self.start is None


@dataclass(frozen=True)
class PredictionTask:
    """Predict one future; frames go into the slots of the shared memory."""

    seed: int = 0
    is_judged: bool = False             # whether tier 2 looks at it
    tells_background: bool = False      # as of a CheckTask
    start: StartState | None = None     # likewise

    @property
    def looks(self) -> bool:
        """Whether it needs the observation, as of a CheckTask: it does."""
        return True


@dataclass(frozen=True)
class Work:
    """Do `task` for one trajectory."""

    job: int
    observation: Observation | None     # None: the same again, or none is needed
    trajectory: JointTrajectory
    task: CheckTask | PredictionTask
    settings: PrecheckSettings
    robot_hash: str                     # of the robot that is meant; '' for whichever it is
    slots: int
    slot_bytes: int


@dataclass(frozen=True)
class Remember:
    """Look at the scene in between, so that what the robot hides later is known."""

    observation: Observation
    compares: bool = False              # whether to tell how each camera sees the robot


@dataclass(frozen=True)
class Survey:
    """Measure the free space around the robot, which is where this observation has it."""

    observation: Observation
    settings: PrecheckSettings
    robot_hash: str                     # of the robot that is meant


@dataclass(frozen=True)
class Forget:
    """Forget the scene: time jumped, or the camera moved."""


@dataclass(frozen=True)
class Cancel:
    """Stop working on `job`."""

    job: int


@dataclass(frozen=True)
class Release:
    """A slot may be written again."""

    slot: int


@dataclass(frozen=True)
class Stop:
    """End the process."""


ToDo = WorkerSettings | SetRobot | Work | Remember | Survey | Forget
"""What the worker does, one after another."""

ToWorker = ToDo | Cancel | Release | Stop


# ---------------------------------------------------------------- from the worker


@dataclass(frozen=True)
class Ready:
    """The world model, if there is to be one, is built."""

    model: str = ''                     # id of the model for people and for the verdict
    fingerprint: str = ''               # of its weights
    note: str = ''                      # what an operator should know of it


@dataclass(frozen=True)
class Failed:
    """Setting up failed for a reason that a restart does not cure."""

    message: str


ROBOT_WARNINGS = 'of this robot: '
"""What a state begins with that tells the warnings of a robot."""


@dataclass(frozen=True)
class RobotReady:
    """The robot is known; `error` says why it is not."""

    description_hash: str
    warnings: tuple[str, ...] = ()
    error: str = ''

    @property
    def summary(self) -> str:
        """What an operator has to know, '' for nothing."""
        return self.error or (
            f'{ROBOT_WARNINGS}{"; ".join(self.warnings)}' if self.warnings else '')


@dataclass(frozen=True)
class SeenRobot:
    """How a camera with depth sees the robot, against where the robot should be."""

    offset: float                       # [m] from where it should be to where it is seen
    pixels: float                       # [px] the same in the image
    sigma: float                        # [m] how well one look tells that
    share: float                        # 0..1 of it that is seen anywhere near; NaN: not known
    why_not: str | None                 # why the two say nothing about each other


@dataclass(frozen=True)
class Remembered:
    """A Remember was dealt with; the next may come."""

    seen: Mapping[str, SeenRobot] = field(default_factory=dict)     # by camera, where asked for


@dataclass(frozen=True)
class Surveyed:
    """A Survey was dealt with."""

    clearance: LocalClearance


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    job: int
    stage: str
    step: int
    total: int


@dataclass(frozen=True)
class FrameReady:
    """A slot holds the next frame of a job."""

    job: int
    slot: int
    frame: StoredFrame


@dataclass(frozen=True)
class Ended:
    """A job is over: `error` is empty when all was done, `cancelled` on request."""

    job: int
    assessment: Assessment              # only with latencies where it was not done
    cancelled: bool = False
    error: str = ''
    is_worn_out: bool = False           # the process must be started again


FromWorker = (Ready | Failed | RobotReady | Remembered | Surveyed | Progress | FrameReady
              | Ended)
