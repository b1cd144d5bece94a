# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One motion in the ledger: what was predicted of it, and what was seen of it then."""
from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass, fields

#: field -> characters that are kept of it; the rest is cut
TEXTS = {'robot': 80, 'robot_hash': 64, 'world_model': 80, 'checkpoint_hash': 64, 'kind': 40,
         'status': 6, 'rollout_id': 80, 'trajectory_hash': 64, 'task': 80}
#: places and reasons that are kept of each kind
MOST = 16
_REASON = 200      # characters of a reason
_CONTROL = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029]+')


class Origin(enum.StrEnum):
    """Where a motion was executed."""

    ROBOT = 'robot'              # by a real robot, or whatever the running nodes take for one
    SIMULATOR = 'simulator'
    RECORDED = 'recorded'        # and its recording compared later
    PREDICTED = 'predicted'      # only in the predicted world: there is no truth


class End(enum.StrEnum):
    """How a motion ended."""

    DONE = 'done'                # the controller ended it
    STOPPED = 'stopped'          # the gate stopped it
    CANCELLED = 'cancelled'      # its client wanted no more of it
    REPLACED = 'replaced'        # another one took over before its end
    UNKNOWN = 'unknown'


class Went(enum.StrEnum):
    """Whether a motion went as it was predicted; UNKNOWN is never to be read as YES."""

    YES = 'yes'
    NO = 'no'
    UNKNOWN = 'unknown'


@dataclass(frozen=True)
class PredictedPlace:
    """Where the scene was foreseen to change."""

    event: str         # name of the FindingCode: GRASP, REST, PUSHED, ...
    change: str        # 'gone', 'come', or 'moves' where it may be either
    x: float           # [m] root link of the robot
    y: float
    z: float


@dataclass(frozen=True)
class SeenChange:
    """A patch of the scene that the depth cameras see changed when the motion has ended."""

    change: str        # 'gone' or 'come'
    x: float           # [m] root link of the robot, its middle
    y: float
    z: float
    area: float        # [m^2] of the surface that has gone or come


@dataclass(frozen=True)
class LedgerEntry:
    """
    What was predicted of one motion, and what camera and joints saw of it.

    A number that is None is not known. The five fields from `followed` to `robot_seen` say of each
    part whether it was as predicted, None for unknown; `kinema4d_ros.ledger.judged` fills them,
    and `went` and `reasons`, by the limits of `LedgerLimits`. Texts are cut at `TEXTS`, and lists
    at `MOST`, so that an entry takes some kilobytes at most. Nothing of what was seen is kept but
    numbers: no picture, no name of a person or a machine.
    """

    time_ns: int                           # wall clock (UTC) when it was entered
    origin: str                            # an Origin
    robot: str = ''                        # name in the robot description
    robot_hash: str = ''
    world_model: str = ''                  # '' where none ran
    checkpoint_hash: str = ''
    kind: str = ''                         # pick, place, push, move; or what the source calls it
    task: str = ''                         # what strata of a mean are made of, such as a task
    status: str = ''                       # PASS, FAIL or UNSURE
    rollout_id: str = ''
    trajectory_hash: str = ''
    ended: str = End.UNKNOWN               # an End
    stamp_ns: int = 0                      # ROS time of the look at the world before
    # ---- predicted
    predicted_seconds: float | None = None      # the trajectory's
    #: [m]; farther than distances are known (6 cm) is entered as that, as in `seen_clearance`
    predicted_clearance: float | None = None
    clearance_sigma: float | None = None        # [m]
    predicted_held: bool | None = None     # whether something is held at the end; None not foreseen
    predicted_success: float | None = None      # 0..1
    predicted_places: tuple[PredictedPlace, ...] = ()
    # ---- seen
    seconds: float | None = None           # that it took
    path_error: float | None = None        # [rad or m] largest distance of a joint from the path
    end_error: float | None = None         # [rad or m] of a joint from the end of the trajectory
    seen_clearance: float | None = None    # [m] least, of where the joints were measured
    seen_held: bool | None = None
    success: bool | None = None            # where somebody judged it
    robot_residual: float | None = None    # [m] rendered robot against the measured depth
    unforeseen: tuple[SeenChange, ...] = ()     # changes where none was foreseen
    missing: tuple[PredictedPlace, ...] = ()    # foreseen, seen, and not so
    hidden: tuple[PredictedPlace, ...] = ()     # foreseen, and nobody can see whether it is so
    scene_compared: bool = False           # a depth camera saw the scene before and after
    # ---- judged
    followed: bool | None = None           # the joints followed the trajectory to its end
    kept_clear: bool | None = None         # no nearer to anything than predicted
    scene_as_foreseen: bool | None = None  # things moved where foreseen, and nowhere else
    hold_as_foreseen: bool | None = None   # the fingers hold something, or not
    robot_seen: bool | None = None         # where its joints say
    went: str = Went.UNKNOWN               # a Went
    reasons: tuple[str, ...] = ()          # what was otherwise, or why it is not known

    def __post_init__(self) -> None:
        """Cut texts and lists, and take numbers that are not finite for unknown ones."""
        for name, most in TEXTS.items():
            object.__setattr__(self, name, plain_text(getattr(self, name), most))
        for name in ('predicted_places', 'unforeseen', 'missing', 'hidden'):
            object.__setattr__(self, name, tuple(getattr(self, name))[:MOST])
        object.__setattr__(self, 'reasons', tuple(
            plain_text(reason, _REASON) for reason in self.reasons)[:MOST])
        for name in NUMBERS:
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None or not math.isfinite(value)
                               else float(value))


def plain_text(value: str, most: int) -> str:
    """Return a text on one line, without control characters, of at most so many characters."""
    clean = _CONTROL.sub(' ', str(value)).encode('utf-8', 'replace').decode('utf-8')
    return clean if len(clean) <= most else clean[:most - 1] + '…'


#: fields that hold a number or None
NUMBERS = tuple(field.name for field in fields(LedgerEntry) if field.type == 'float | None')
