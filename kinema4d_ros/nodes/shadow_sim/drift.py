# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether cameras stay where they were calibrated: a look now and then, and what came of them."""
from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from kinema4d_ros.calibration import DriftHistory, DriftSample
from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.camera.robot_agreement import robot_agreement
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot
from kinema4d_ros.types import CameraView, Observation

#: in the name of the status of each camera
DRIFT = 'camera drift'
_LEAST_SHARE = 0.6     # of the compared pixels; less is no robot, and no drift


class DriftWatch:
    """Lays the drawn robot over what each camera measures, and keeps how far off it was."""

    def __init__(self) -> None:
        """Make it, without a robot."""
        self._robot: Robot | None = None
        self._renderer: RobotRenderer | None = None
        self._kinematics: ForwardKinematics | None = None
        self._histories: dict[str, DriftHistory] = {}
        self._why_not: dict[str, str] = {}      # by camera
        self._next: float | None = None         # [s] monotonic, of the next look

    def clear(self) -> None:
        """Forget all: the clock jumped back, or the node is cleaned up."""
        self._robot, self._renderer, self._kinematics = None, None, None
        self._histories, self._why_not = {}, {}

    def look(self, observation: Observation, robot: Robot, settings: ShadowSimSettings) -> None:
        """
        Look for the robot in each view with depth, where the last look is long enough ago.

        Each view is compared as it was taken: with the joints at its stamp and by the calibration
        of its camera. One that was looked at before, or that is there as what a camera that is
        left out saw last, says nothing new.
        """
        values, now = settings.values, time.monotonic()
        if self._next is None:
            self._next = now + values['drift_period']
        if values['drift_period'] <= 0 or now < self._next:
            return
        self._next = now + values['drift_period']
        if robot is not self._robot:
            self.clear()
            try:
                self._renderer = RobotRenderer(load_meshes(robot), robot.link_names)
            except Kinema4DError:      # said where it matters: no verdict can be made
                self._renderer = None
            self._robot, self._kinematics = robot, ForwardKinematics(robot)
        # `clear` may be called meanwhile by others: what is found goes where nobody looks then
        renderer, kinematics = self._renderer, self._kinematics
        histories, why_not = self._histories, self._why_not
        if renderer is None or kinematics is None:
            return
        for view in observation.views:
            history = histories.setdefault(view.name, DriftHistory(values['drift_limit']))
            history.limit = values['drift_limit']
            stamp_ns = view.stamp_ns or observation.stamp_ns
            if view.name in observation.left_out:
                why_not[view.name] = f'the camera {observation.left_out[view.name]}'
                continue
            if stamp_ns == history.newest_ns:
                continue
            if view.depth is None:
                why_not[view.name] = 'the camera has no depth'
                continue
            positions = robot.configuration(observation.joints_of(view), strict=False)
            drawn = renderer.render(kinematics(positions[None]), view.camera, view.T_base_camera)
            found = robot_agreement(
                view.depth, drawn.pointmap[0], drawn.link_id[0], robot.link_names, view.camera,
                calibration=_calibration(view, values))
            why = found.why_not_compared()
            if why is None and found.share < _LEAST_SHARE:
                why = (f'only {100 * found.share:.0f} % of the robot is seen within 8 cm of where '
                       'it should be')
            if why is not None:
                why_not[view.name] = why
                continue
            why_not.pop(view.name, None)
            history.add(DriftSample(stamp_ns, found.offset, found.pixels, found.shift_sigma))

    def status(self) -> Iterator[DiagnosticStatus]:
        """Yield one status for each camera that was looked at."""
        for name, history in list(self._histories.items()):      # others add to them
            drift, why = history.drift(), self._why_not.get(name, '')
            values = {'camera': name, 'looks': drift.samples, 'limit [mm]': 1000 * drift.limit,
                      'offset [mm]': 1000 * drift.offset, 'offset [px]': drift.pixels,
                      'largest offset [mm]': 1000 * drift.worst,
                      'trend [mm/h]': 1000 * drift.trend, 'last look': why or 'compared'}
            yield DiagnosticStatus(
                level=DiagnosticStatus.WARN if drift.is_alarm else DiagnosticStatus.OK,
                name=DRIFT if len(self._histories) == 1 else f'{DRIFT} ({name})',
                message=f'{name}: {drift.sentence}' + (
                    f'; the last look could not tell: {why}' if why and not drift.samples else ''),
                values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()])


def _calibration(view: CameraView, values: Mapping[str, Any]) -> tuple[float, float]:
    """Return how well a camera is calibrated: its place [m], and how it is turned [rad]."""
    place, turn = view.calibration_sigma, view.calibration_turn_sigma
    return (values['tier1.calibration_sigma'] if place is None else place,
            values['tier1.calibration_turn_sigma'] if turn is None else turn)


def _text(value: object) -> str:
    if isinstance(value, float):
        return 'unknown' if math.isnan(value) else f'{value:.2f}'
    return str(value)
