# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an entry of the ledger is made from: a motion as it was judged, and as it was seen."""
from __future__ import annotations

from dataclasses import dataclass, field

from kinema4d_ros.ledger.entry import End
from kinema4d_ros.ledger.joints import JointHistory
from kinema4d_ros.types import JointTrajectory, Observation, StartState, Verdict


@dataclass(frozen=True, eq=False)
class PredictedMotion:
    """A motion as it was judged."""

    observation: Observation
    trajectory: JointTrajectory
    verdict: Verdict
    start: StartState = field(default_factory=StartState)
    rollout_id: str = ''


@dataclass(frozen=True, eq=False)
class SeenMotion:
    """What was seen of a motion when it was executed."""

    history: JointHistory
    after: Observation | None       # once it had ended; None where no camera saw that
    ended: End = End.DONE
    why_not_seen: str = ''          # why there is no `after`
