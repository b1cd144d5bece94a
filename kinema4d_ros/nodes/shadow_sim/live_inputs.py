# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a precheck can be made from at one moment: the robot, and the inputs while there are any."""
from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.inputs import Inputs
from kinema4d_ros.robot import Robot


@dataclass(frozen=True)
class RobotSource:
    """The robot description that was received last, and what could be made of it."""

    text: str = ''                          # URDF; '' before any was received
    finder: CameraFinder | None = None      # of the camera on the robot; None for no usable robot
    refusal: str | None = None              # why the description is not used

    @property
    def robot(self) -> Robot | None:
        """The robot; None while there is none that can be used."""
        return None if self.finder is None else self.finder.robot


@dataclass(frozen=True)
class LiveInputs:
    """One moment's robot and inputs; never changed, only replaced as a whole."""

    source: RobotSource = RobotSource()
    inputs: Inputs | None = None            # None while the node is not active
    #: takes the trajectories that wait in the subscription: what they outdate must not pass
    catch_up: Callable[[], None] = lambda: None
    #: returns why the robot would not move, by its driver; None where nothing says so
    why_robot_not_ready: Callable[[], str | None] = lambda: None


class LiveInputsHolder:
    """The LiveInputs of now: the node updates them, the pipeline reads them in its own thread."""

    def __init__(self) -> None:
        """Begin without robot and inputs."""
        self._current, self._lock = LiveInputs(), threading.Lock()

    @property
    def current(self) -> LiveInputs:
        """Robot and inputs as they are now; read it once where two of its fields must agree."""
        return self._current

    def update(self, **changes: Any) -> None:
        """Replace fields of `current`, by their names; from any thread."""
        with self._lock:
            self._current = dataclasses.replace(self._current, **changes)
