# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What was found out about actions, how sure it is, and the format that it makes."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy.action_format import (ActionFormat, GripperColumn, Reference,
                                               VelocityResponse)
from kinema4d_ros.policy.detect.gripper import GripperGuess
from kinema4d_ros.policy.detect.hypotheses import Hypothesis, Kind
from kinema4d_ros.policy.detect.likelihood import Tracking
from kinema4d_ros.policy.detect.order import Order
from kinema4d_ros.policy.preset import normalized_range
from kinema4d_ros.robot.robot import Robot

#: below it, a finding is called unknown
LEAST_CONFIDENCE = 0.8
_OSC = (0.05,) * 3 + (0.5,) * 3


@dataclass(frozen=True)
class Finding:
    """
    One thing that was found out.

    :param value: the likeliest answer.
    :param confidence: 0 to 1, the probability that `value` is right, if one of the meanings that
        are known here is; docs/policy_conventions.md says how often it was.
    """

    value: str
    confidence: float
    reason: str

    @property
    def known(self) -> bool:
        """It is sure enough to be used."""
        return bool(self.value) and self.confidence >= LEAST_CONFIDENCE


@dataclass(frozen=True, eq=False)
class Detection:
    """What a policy's actions mean, as far as chunks tell."""

    rate: float
    robot: Robot
    arm: tuple[str, ...]
    told: Hypothesis                        # the likeliest meaning of the arm's columns
    order: Order | None
    track: Tracking | None
    findings: Mapping[str, Finding]         # space, reference, unit, layout, order, gripper ...
    grippers: Mapping[int, GripperGuess]
    gripper_ends: Mapping[str, tuple[float, float]]
    gap: float                              # [rad] median of the first actions from their states

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of what could not be told."""
        return tuple(name for name, finding in self.findings.items() if not finding.known)

    def __str__(self) -> str:
        """Return a table of all findings."""
        rows = [('what', 'is', 'confidence', 'because')]
        for name, finding in self.findings.items():
            value = finding.value or 'unknown'
            rows.append((name, value if finding.known or not finding.value
                         else f'unknown ({value}?)', f'{finding.confidence:.2f}', finding.reason))
        wide = [max(len(row[k]) for row in rows) for k in range(3)]
        return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, wide))
                         + '  ' + row[3] for row in rows)

    def why_unsure(self) -> str | None:
        """Return what could not be told; None where all is known."""
        return '; '.join(f'{name} is unknown: {self.findings[name].reason}'
                         for name in self.unknown) or None

    def why_not(self, form: ActionFormat) -> str | None:
        """
        Return what a format says otherwise than chunks and states; None where nothing does.

        Only what is known counts, so that few chunks contradict nothing.
        """
        told, wrong = self.told, []
        space = 'tip' if form.tip_link else 'joint'
        if self.findings['space'].known and space != told.space:
            wrong.append(f'the actions are of the {told.space}, and not of the {space}')
        elif self.findings['reference'].known:
            kind = 'velocity' if form.velocity is not None else form.reference.value
            if kind != told.kind.value:
                wrong.append(f'the actions are {told.kind.value}, and not {kind}')
            elif self.findings['unit'].known:
                mine = np.abs(self._scales()[0] or (1.0,))[0]
                theirs = np.abs(form.scale or (1.0,))[0]
                if not 0.67 < mine / theirs < 1.5:
                    wrong.append(f'a number of 1 is {mine:.3g} rad or m, and not {theirs:.3g}')
        for gripper in form.grippers:
            column = gripper.column % min(form.widths)
            guess = self.grippers.get(column)
            if guess is not None and guess.opens_up is not None and \
                    self.findings[f'gripper {column} open'].known and \
                    guess.opens_up != (gripper.open > gripper.closed):
                wrong.append(f'the gripper of column {column} opens the other way')
        return '; '.join(wrong) or None

    def action_format(self, accept: Collection[str] = ()) -> ActionFormat:
        """
        Return the format.

        :param accept: names of findings whose likeliest value is taken although it is not known, as
            where the policy's documentation says so.
        :raises PolicyError: something else is unknown.
        """
        lacking = [name for name in self.unknown if name not in accept
                   or not self.findings[name].value]
        if lacking:
            raise PolicyError('; '.join(f'{name} is unknown: {self.findings[name].reason}'
                                        for name in lacking)
                              + '; give more chunks with the states afterwards, or accept them')
        told = self.told
        velocity = None
        if told.kind is Kind.VELOCITY:
            track = self.track
            velocity = VelocityResponse() if track is None else VelocityResponse(
                track.gain, track.lag / self.rate)
        scale, offset = self._scales()
        reference = Reference.ABSOLUTE if told.kind in (Kind.ABSOLUTE, Kind.VELOCITY) \
            else Reference(told.kind.value)
        names, signs = self.arm, (1,) * len(self.arm)
        if told.space == 'joint' and self.order is not None and self.order.better > 0:
            names = tuple(self.arm[self.order.columns.index(column)]
                          for column in range(len(self.arm)))
            signs = tuple(self.order.signs[self.order.columns.index(column)]
                          for column in range(len(self.arm)))
        if told.space == 'joint':
            by_name = dict(zip(self.arm, zip(scale or (1.0,) * len(names),
                                             offset or (0.0,) * len(names))))
            scale = tuple(sign * by_name[name][0] for name, sign in zip(names, signs))
            offset = tuple(by_name[name][1] for name in names)
        return ActionFormat(
            self.rate, names if told.space == 'joint' else (), reference,
            tip_link=told.link, in_tip_frame=told.frame == 'tip', rpy=told.rotation == 'rpy',
            grippers=self._grippers(), velocity=velocity,
            scale=scale if scale and set(scale) != {1.0} else (),
            offset=offset if np.any(offset) else ())

    def _scales(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        told = self.told
        if told.unit == 'OSC':
            return _OSC, ()
        if told.unit == 'deg':
            return (float(np.pi / 180),) * len(self.arm), ()
        if told.unit == 'normalized':
            scale, offset = normalized_range(self.robot, self.arm)
            return scale, offset if told.kind is Kind.ABSOLUTE else ()
        return (), ()

    def _grippers(self) -> tuple[GripperColumn, ...]:
        out = []
        for column, guess in self.grippers.items():
            if guess.ends is None or guess.opens_up is None:
                raise PolicyError(f'column {column} is unknown: {guess.range_reason}; '
                                  f'{guess.way_reason}')
            low, high = guess.ends
            opened, closed = (high, low) if guess.opens_up else (low, high)
            ends = self.gripper_ends if len(self.grippers) == 1 else {}
            # counted from the end where a place may have 6 or 7 columns before it
            width = self.told.first + self.told.width + sum(
                at >= self.told.first for at in self.grippers)
            out.append(GripperColumn(column - width if column >= self.told.first + self.told.width
                                     else column, opened, closed, ends))
        return tuple(out)
