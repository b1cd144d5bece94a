# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why an input cannot be used, as the finding that it becomes."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kinema4d_ros.errors import ContradictionError, Kinema4DError, ObservationError
from kinema4d_ros.types import FindingCode

NS = 1_000_000_000
CLOCK_NS = NS        # stamps that are further off are of another clock
FRESH = 1.0          # [s] what arrived later than that ago is still being sent
#: of a node whose ROS time is 0
NO_TIME = ('there is no time: use_sim_time is set, and nothing has come on /clock; start what '
           'publishes it (a simulator, ros2 bag play --clock, episode_player with publish_clock), '
           'or leave use_sim_time out')


class InputProblem(ObservationError):
    """An input is missing, stale, contradicted or unusable; `code` is the finding that says so."""

    def __init__(self, code: FindingCode, message: str,
                 known: Mapping[str, float] = MappingProxyType({})):
        """
        Make the error.

        :param code: of the finding it becomes.
        :param known: joints that are not in doubt, by name [rad or m].
        """
        self.code, self.known = code, known
        super().__init__(message)

    @classmethod
    def of(cls, error: Kinema4DError, before: str = '', after: str = '') -> InputProblem:
        """Return the problem that an error in reading an input makes."""
        code = FindingCode.CONTRADICTION if isinstance(error, ContradictionError) \
            else FindingCode.MISSING_INPUT
        return cls(code, f'{before}{error}{after}')


def left_out_text(problem: InputProblem) -> str:
    """Return why something is left out for a problem, to be read after its name."""
    words = {FindingCode.STALE_INPUT: 'is late', FindingCode.CONTRADICTION: 'is contradicted'}
    return f'{words.get(problem.code, "cannot be used")}: {problem}'


def refuse_no_time(now_ns: int) -> None:
    """
    Refuse to judge anything while ROS time is 0: no age means anything then.

    :raises InputProblem: simulated time is used and has not begun.
    """
    if now_ns == 0:
        raise InputProblem(FindingCode.MISSING_INPUT, NO_TIME)


def why_stale(what: str, stamp_ns: int, now_ns: int, limit: float) -> str | None:
    """Return why a stamp is too far from now, unless `limit` [s] is 0.0; None where it is not."""
    age = (now_ns - stamp_ns) / NS
    if limit == 0.0 or abs(age) <= limit:
        return None
    if stamp_ns == 0:
        return f'{what} has no stamp (it is 0), so its age is unknown; have its publisher stamp it'
    hint = ''
    if abs(age) > 3600.0:
        hint = '; played from a bag? then set use_sim_time and play with --clock'
    when = f'{age:.2f} s old' if age > 0 else f'{-age:.2f} s in the future'
    return f'the newest {what} is {when}, limit {limit} s{hint}'


def why_silent_for(what: str, arrival: float, now: float, limit: float) -> str | None:
    """
    Return why what came last is too long ago by steady time, unless `limit` [s] is 0.0.

    ROS time alone does not tell: where /clock ends, nothing grows old by it any more.
    """
    silent = now - arrival
    if limit == 0.0 or silent <= limit:
        return None
    return f'nothing has come of {what} for {silent:.2f} s, limit {limit} s, though by the clock ' \
           'of this node it is not old: does /clock stand still (a simulation that is paused or ' \
           'has ended, a bag that is over)?'


def offset_text(offset_ns: int, stamp_ns: int) -> str:
    """Return what is wrong with the stamps of a source, by one that was off when it came."""
    if stamp_ns == 0:
        return 'they have no stamp (it is 0)'
    return f'their stamps are {ahead(offset_ns)} the clock of this node'


def ahead(offset_ns: int) -> str:
    """Return an offset as words, before what it is an offset to."""
    return f'{abs(offset_ns) / NS:.1f} s {"ahead of" if offset_ns > 0 else "behind"}'
