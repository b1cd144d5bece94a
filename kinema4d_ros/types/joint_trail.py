# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the joints of a robot have been, and when: where a robot has been, it was free then."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema4d_ros.errors import ObservationError
from kinema4d_ros.types.motion import frozen
from kinema4d_ros.types.sources import rebuilt


@dataclass(frozen=True, eq=False)
class JointTrail:
    """
    Measured joint positions of before, in no order.

    The root link has to have stood still since: places are in its frame.
    """

    joint_names: tuple[str, ...]
    positions: np.ndarray       # (N, J) float64 [rad or m]
    stamps_ns: np.ndarray       # (N,) int64, when the joints were there

    def __post_init__(self) -> None:
        """
        Check shapes and make the arrays read-only.

        :raises ObservationError: a shape is another, a name is there twice, or a position is not
            finite.
        """
        names = tuple(map(str, self.joint_names))
        object.__setattr__(self, 'joint_names', names)
        if len(set(names)) != len(names):
            raise ObservationError(f'a joint is named twice in the trail: {", ".join(names)}')
        stamps = frozen(self.stamps_ns, np.int64, (None,), 'stamps_ns', ObservationError)
        positions = frozen(self.positions, np.float64, (len(stamps), len(names)), 'positions',
                           ObservationError)
        if not np.isfinite(positions).all():
            raise ObservationError('positions of the trail of joints must be finite; leave out '
                                   'what was not measured')
        object.__setattr__(self, 'stamps_ns', stamps)
        object.__setattr__(self, 'positions', positions)

    def __len__(self) -> int:
        """Return how many positions there are."""
        return len(self.stamps_ns)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor, which makes the arrays read-only again."""
        return rebuilt(self)
