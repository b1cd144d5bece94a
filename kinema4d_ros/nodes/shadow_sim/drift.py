# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether cameras stay where they were calibrated: a look now and then, and what came of them."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from kinema4d_ros.calibration import DriftHistory, DriftSample
from kinema4d_ros.nodes.shadow_sim.settings import ShadowSimSettings
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import Observation
from kinema4d_ros.worker.protocol import SeenRobot

#: in the name of the status of each camera
DRIFT = 'camera drift'
_LEAST_SHARE = 0.6     # of the compared pixels; less is no robot, and no drift


class DriftWatch:
    """Keeps how far each camera sees the robot from where it should be; workers measure that."""

    def __init__(self) -> None:
        """Make it, without a robot."""
        self._robot: Robot | None = None
        self._histories: dict[str, DriftHistory] = {}
        self._why_not: dict[str, str] = {}      # by camera
        self._next: float | None = None         # [s] monotonic, of the next look

    def clear(self) -> None:
        """Forget all: the clock jumped back, or the node is cleaned up."""
        self._robot, self._histories, self._why_not = None, {}, {}

    def asks(self, observation: Observation, robot: Robot, settings: ShadowSimSettings
             ) -> Callable[[Mapping[str, SeenRobot]], None] | None:
        """
        Return what takes how each view of an observation sees the robot; None: it is not wanted.

        It is where the last look is long enough ago. Each view is to be compared as it was taken:
        with the joints at its stamp and by the calibration of its camera. One that was looked at
        before, or that is there as what a camera that is left out saw last, says nothing new.
        """
        values, now = settings.values, time.monotonic()
        if self._next is None:
            self._next = now + values['drift_period']
        if values['drift_period'] <= 0 or now < self._next:
            return None
        self._next = now + values['drift_period']
        if robot is not self._robot:
            self.clear()
            self._robot = robot
        # `clear` may be called meanwhile by others: what is found goes where nobody looks then
        histories, why_not, limit = self._histories, self._why_not, values['drift_limit']
        stamps: dict[str, int] = {}
        for view in observation.views:
            history = histories.setdefault(view.name, DriftHistory(limit))
            history.limit = limit
            stamp_ns = view.stamp_ns or observation.stamp_ns
            if view.name in observation.left_out:
                why_not[view.name] = f'the camera {observation.left_out[view.name]}'
            elif view.depth is None:
                why_not[view.name] = 'the camera has no depth'
            elif stamp_ns != history.newest_ns:
                stamps[view.name] = stamp_ns

        def take(seen: Mapping[str, SeenRobot]) -> None:
            for name, stamp_ns in stamps.items():
                found = seen.get(name)
                why = 'the look could not be made use of' if found is None else found.why_not
                if found is not None and why is None and found.share < _LEAST_SHARE:
                    why = (f'only {100 * found.share:.0f} % of the robot is seen within 8 cm of '
                           'where it should be')
                if found is None or why is not None:
                    why_not[name] = why or ''
                    continue
                why_not.pop(name, None)
                histories[name].add(DriftSample(stamp_ns, found.offset, found.pixels, found.sigma))

        return take if stamps else None

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


def _text(value: object) -> str:
    if isinstance(value, float):
        return 'unknown' if math.isnan(value) else f'{value:.2f}'
    return str(value)
