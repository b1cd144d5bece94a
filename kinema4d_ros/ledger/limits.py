# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as having gone as predicted."""
from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.ledger.entry import End, LedgerEntry, Went


@dataclass(frozen=True)
class LedgerLimits:
    """
    The limits by which a motion went as predicted.

    It did where each part is known to have, and one is unknown only where nothing of it was
    foreseen (`hold_as_foreseen`) or where it is not needed (`robot_seen`, whose camera may look
    elsewhere at the end). It did not where one part did not, whatever else is unknown.
    """

    path: float = 0.1           # [rad or m] that a joint may be from the path
    end: float = 0.05           # [rad or m] that a joint may be from the end of it
    clearance: float = 0.01     # [m] nearer than predicted, beyond two of its sigma
    place: float = 0.06         # [m] between where something is foreseen and where it is seen
    residual: float = 0.02      # [m] of the robot in the depth image from where its joints say
    depth: float = 0.02         # [m] of a surface that has gone or come
    area: float = 0.0004        # [m^2] of such a surface

    def __post_init__(self) -> None:
        """
        Refuse what is no limit.

        :raises ConfigurationError: naming it.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise ConfigurationError(f'the limit {field.name!r} of the ledger is {value!r}; '
                                         'it is a number above 0')


def judged(entry: LedgerEntry, limits: LedgerLimits = LedgerLimits()) -> LedgerEntry:
    """Return an entry with its last seven fields filled in from the others."""
    reasons: list[str] = []
    unknown: list[str] = []
    followed = _followed(entry, limits, reasons, unknown)
    clear = _clear(entry, limits, reasons, unknown)
    scene = _scene(entry, reasons, unknown)
    hold = None
    if entry.predicted_held is not None:
        if entry.seen_held is None:
            unknown.append('whether the fingers hold something was not seen')
        else:
            hold = entry.seen_held == entry.predicted_held
            if not hold:
                reasons.append('the fingers hold ' + (
                    'something, and were to hold nothing' if entry.seen_held
                    else 'nothing, and were to hold something'))
    seen = None
    if entry.robot_residual is not None:
        seen = entry.robot_residual <= limits.residual
        if not seen:
            reasons.append(f'the camera sees the robot {1000 * entry.robot_residual:.0f} mm from '
                           f'where its joints say, limit {1000 * limits.residual:.0f} mm')
    went = Went.NO if reasons else Went.UNKNOWN if unknown else Went.YES
    return dataclasses.replace(
        entry, followed=followed, kept_clear=clear, scene_as_foreseen=scene,
        hold_as_foreseen=hold, robot_seen=seen, went=went, reasons=(*reasons, *unknown))


def _followed(entry: LedgerEntry, limits: LedgerLimits, reasons: list[str],
              unknown: list[str]) -> bool | None:
    if entry.ended in (End.CANCELLED, End.REPLACED):
        unknown.append('its client cancelled it' if entry.ended == End.CANCELLED else
                       'another motion took over before its end')
        return None
    if entry.ended == End.STOPPED:
        reasons.append('the gate stopped it')
        return False
    if entry.path_error is None or entry.end_error is None:
        unknown.append('where the joints went was not heard')
        return None
    for said, value, limit in (('left the path by', entry.path_error, limits.path),
                               ('ended beside it by', entry.end_error, limits.end)):
        if value > limit:
            reasons.append(f'a joint {said} {value:.3f} rad or m, limit {limit:g}')
            return False
    return True


def _clear(entry: LedgerEntry, limits: LedgerLimits, reasons: list[str],
           unknown: list[str]) -> bool | None:
    if entry.predicted_clearance is None or entry.seen_clearance is None:
        unknown.append('the least clearance was not ' + (
            'predicted' if entry.predicted_clearance is None else 'measured'))
        return None
    nearer = entry.predicted_clearance - entry.seen_clearance
    if entry.predicted_clearance <= 0 and nearer <= 0:
        # what an arm touches with another link holds it up, so that it comes no nearer
        unknown.append('contact was predicted, and whether it came to that is not measured')
        return None
    if nearer <= limits.clearance + 2 * (entry.clearance_sigma or 0.0):
        return True
    reasons.append(f'it came within {1000 * entry.seen_clearance:.0f} mm of the scene, predicted '
                   f'{1000 * entry.predicted_clearance:.0f} mm')
    return False


def _scene(entry: LedgerEntry, reasons: list[str], unknown: list[str]) -> bool | None:
    if not entry.scene_compared:
        unknown.append('no depth camera saw the scene before and after from one place')
        return None
    for change in entry.unforeseen[:1]:
        others = len(entry.unforeseen) - 1
        reasons.append(f'something has {change.change} at ({change.x:.2f}, {change.y:.2f}, '
                       f'{change.z:.2f}) m' + (f' and {others} more' if others else '')
                       + ', where nothing was foreseen')
    for place in entry.missing[:1]:
        reasons.append(f'{place.event} at ({place.x:.2f}, {place.y:.2f}, {place.z:.2f}) m was '
                       'foreseen, and is not so')
    if entry.unforeseen or entry.missing:
        return False
    if entry.hidden:
        place = entry.hidden[0]
        unknown.append(f'whether {place.event} at ({place.x:.2f}, {place.y:.2f}, {place.z:.2f}) m '
                       'came true cannot be seen')
        return None
    return True
