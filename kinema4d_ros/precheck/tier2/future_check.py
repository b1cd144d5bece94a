# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 2: whether a predicted future can be believed, and what it shows."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kinema4d_ros.precheck.settings import Tier2Settings
from kinema4d_ros.precheck.tier2.scene_changes import (Change, FutureView, median_robot_residual,
                                                       SceneChanges, spread_of)
from kinema4d_ros.precheck.verdict import not_checked
from kinema4d_ros.robot import DistanceFields
from kinema4d_ros.types import (EventKind, Finding, FindingCode, plain_point, PredictedFrame,
                                RobotRollout, Severity, WorldEvent)

_LEAST_PIXELS = 100      # of the robot, to measure how well it is followed
_RIM = 0.04              # [m] a patch that is nowhere farther from the robot is its own rim
_SAME_TIME = 1e-9


class FutureCheck:
    """
    Checks a predicted future frame by frame, as the model yields it; ask `finish` at the end.

    Frames and rollout are those of one camera size. What speaks against *believing* the
    prediction makes the verdict UNSURE; a contact that a believable prediction shows is a FAIL.
    """

    def __init__(self, robot: RobotRollout, surfaces: Mapping[str, np.ndarray],
                 fields: DistanceFields, settings: Tier2Settings = Tier2Settings()):
        """
        Make the check of one prediction, before its first frame.

        :param surfaces: vertices (V, 3) [m] of each link, link frame.
        """
        self._robot, self._fields, self._settings = robot, fields, settings
        self._unplaced: tuple[float, float] | None = None    # (m^2, s) the largest patch
        self._changes = SceneChanges(robot, surfaces, settings)
        moving = np.abs(robot.T_base_camera - robot.T_base_camera[:1]).max() > 1e-6
        self._still_camera = not moving
        gripper = robot.gripper
        holds = () if gripper is None else (gripper.palm_link, *gripper.finger_links)
        self._strict = [number for number, name in enumerate(fields.link_names)
                        if name not in holds]
        self._index = [robot.link_names.index(name) for name in fields.link_names]
        self._ghosts: list[Change] = []
        self._gone = self._came = 0.0       # [m^2] largest areas of touched changes
        self._gone_at: Change | None = None
        self._residuals: list[tuple[float, float]] = []      # (m, s)
        self._contacts: list[tuple[float, float, str, np.ndarray]] = []
        self._next = 0
        self.views: list[FutureView] = []
        self.events: list[WorldEvent] = []

    def add(self, frame: PredictedFrame) -> None:
        """Check the next frame."""
        self.events += frame.events
        residual = frame.action_following
        if residual is None:
            residual = median_robot_residual(frame, self._robot, _LEAST_PIXELS)
        if residual is not None:
            self._residuals.append((residual, frame.time))
        self._next = frame.index + 1
        if not self._still_camera:
            return
        changes, view = self._changes.add(frame)
        self.views.append(view)
        if (area := self._changes.unplaced_area(frame)) > (self._unplaced or (0.0, 0.0))[0]:
            self._unplaced = area, frame.time
        self._ghosts += [change for change in changes if not change.is_touched]
        touched = [change for change in changes if change.is_touched]
        gone = [change for change in touched if change.receded]
        self._came = max(self._came, sum(c.area for c in touched if not c.receded))
        if sum(c.area for c in gone) > self._gone:
            self._gone = sum(c.area for c in gone)
            self._gone_at = max(gone, key=lambda c: c.area)
        for change in changes:
            if not change.receded and self._strict:
                self._measure(frame, change.points_base)

    @property
    def action_following(self) -> float | None:
        """How far the predicted robot is from the exact one at worst [m]; None not measured."""
        return max(self._residuals)[0] if self._residuals else None

    def finish(self, others: Sequence[Sequence[FutureView]] = (),
               still: Sequence[FutureView] | None = None,
               doubts: Sequence[Finding] = ()) -> tuple[Finding, ...]:
        """
        Return what was found.

        :param others: `views` of the same motion predicted with other seeds.
        :param still: `views` of a prediction in which the robot holds still.
        :param doubts: what is known of the model that predicted, whatever its frames show.
        """
        s, found = self._settings, [*doubts]
        if self._next < len(self._robot.times):
            found.append(Finding(
                FindingCode.MODEL_FAILED, Severity.UNSURE,
                f'the prediction ended after {self._next} of {len(self._robot.times)} frames'))
        found += self._following()
        if not self._still_camera:
            found.append(Finding(FindingCode.NOT_CHECKED, Severity.INFO, 'the camera moves, so '
                                 'what moves in the prediction was not looked at'))
        if not self._residuals and not self.views:
            found.append(not_checked('nothing of the prediction could be examined'))
        found += self._ghost_findings()
        if self._unplaced is not None and self._unplaced[0] > s.least_area:
            found.append(_unsure(
                FindingCode.UNDECIDED, 'something changes in the predicted picture, and the model '
                'cannot tell where it is then', self._unplaced[1], self._unplaced[0],
                s.least_area, 'm^2'))
        if others and self.views:
            apart, when = spread_of([self.views, *map(list, others)], s.moved)
            if apart > s.spread:
                found.append(_unsure(FindingCode.SPREAD, 'predictions with other seeds differ by '
                                     f'{100 * apart:.0f} cm', when, apart, s.spread, 'm'))
        if still is not None:
            moved = max(still, key=lambda view: view.moved_area, default=None)
            if moved is not None and moved.moved_area > s.least_area:
                found.append(_unsure(
                    FindingCode.NO_REACTION, 'things move in the prediction although the robot '
                    'holds still', moved.time, moved.moved_area, s.least_area, 'm^2'))
        believed = not any(f.severity > Severity.INFO for f in found)
        return (*found, *self._contact_findings(believed))

    def _following(self) -> list[Finding]:
        s = self._settings
        if not self._residuals:
            return [Finding(FindingCode.NOT_CHECKED, Severity.INFO, 'the camera does not see '
                            'enough of the robot to tell how the prediction follows it')]
        late = [(value, time) for value, time in self._residuals if value > s.residual]
        if not late:
            return []
        worst = max(late)[0]
        return [_unsure(FindingCode.ACTION_FOLLOWING, 'the predicted robot is up to '
                       f'{100 * worst:.0f} cm from where it will be', late[0][1], worst,
                       s.residual, 'm')]

    def _ghost_findings(self) -> list[Finding]:
        found, limit = [], self._settings.least_area
        if self._ghosts:
            worst = max(self._ghosts, key=lambda change: change.area)
            same = [c for c in self._ghosts if abs(c.time - worst.time) < _SAME_TIME]
            vanished = worst.receded and not any(not c.receded for c in same)
            what = 'disappears' if vanished else 'moves'
            code = FindingCode.VANISHED if vanished else FindingCode.GHOST_MOTION
            found.append(_unsure(
                code, f'something at {_place(worst)} {what} in the prediction, which nothing '
                'touches', self._ghosts[0].time, worst.area, limit, 'm^2', worst))
        lost = self._gone > 4 * limit and self._came < self._settings.vanished * self._gone
        at = self._gone_at
        if at is not None and lost and not self._is_hidden_by_hand():
            found.append(_unsure(
                FindingCode.VANISHED, f'what the robot touches at {_place(at)} '
                'disappears in the prediction', at.time, self._gone, limit, 'm^2', at))
        return found

    def _is_hidden_by_hand(self) -> bool:
        """Return whether the model says that something is carried, which the hand may hide."""
        return any(event.kind is EventKind.GRASP for event in self.events)

    def _measure(self, frame: PredictedFrame, points_base: np.ndarray) -> None:
        """Find where what has moved comes closest to links that hold nothing."""
        T_base_link = self._robot.T_base_link[frame.index:frame.index + 1, self._index]
        if self._fields.depth_of(points_base, T_base_link[0]).max() < _RIM:
            return      # the predicted robot itself, not quite where the exact one is
        distance, nearest = self._fields.closest(points_base, T_base_link)
        link = min(self._strict, key=lambda number: distance[0, number])
        if nearest[0, link] >= 0:
            self._contacts.append((float(distance[0, link]), frame.time,
                                   self._fields.link_names[link],
                                   points_base[nearest[0, link]]))

    def _contact_findings(self, believed: bool) -> list[Finding]:
        s = self._settings
        if not self._contacts:
            return []
        distance, time, link, point = min(self._contacts, key=lambda contact: contact[0])
        if distance - s.confidence * s.sigma > 0:
            return []
        certain = distance + s.confidence * s.sigma <= 0 and believed
        return [Finding(
            FindingCode.CONTACT if certain else FindingCode.NEAR_MISS,
            Severity.FAIL if certain else Severity.UNSURE,
            f"'{link}' {'would touch' if certain else 'may touch'} what moves in the prediction: "
            f'{1000 * distance:.0f} mm (+-{1000 * s.sigma:.0f}) at {time:.2f} s', link=link,
            other='predicted scene', point_base=plain_point(point), time=time,
            value=distance, limit=0.0, sigma=s.sigma, unit='m')]


def _unsure(code: FindingCode, message: str, time: float, value: float, limit: float, unit: str,
            change: Change | None = None) -> Finding:
    point = None if change is None else plain_point(change.points_base.mean(0))
    return Finding(code, Severity.UNSURE, f'{message} at {time:.2f} s', other='predicted scene',
                   point_base=point, time=float(time), value=value, limit=limit, unit=unit)


def _place(change: Change) -> str:
    return '({:.2f}, {:.2f}, {:.2f}) m'.format(*change.points_base.mean(0))
