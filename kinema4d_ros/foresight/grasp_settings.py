# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as a grasp."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinema4d_ros.errors import ConfigurationError


@dataclass(frozen=True)
class GraspSettings:
    """What counts as a grasp; tier 1 and the kinematic world model foresee by the same."""

    least_contact_points: int = 4   # pixels of an object between the fingers, 1 or more
    #: [m] longest horizontal extent of what can be carried, 0.02..2; of what is narrower, 1.6 times
    largest_object: float = 0.25

    def __post_init__(self) -> None:
        """
        Refuse what is no setting.

        :raises ConfigurationError: naming the setting, its value and what is valid.
        """
        least, largest = self.least_contact_points, self.largest_object
        if type(least) is not int or least < 1:
            raise ConfigurationError(f'least_contact_points must be a whole number of 1 or more, '
                                     f'got {least!r}')
        if isinstance(largest, bool) or not isinstance(largest, int | float) \
                or not 0.02 <= largest <= 2.0:
            raise ConfigurationError(f'largest_object must be 0.02 to 2 [m], got {largest!r}')
        object.__setattr__(self, 'largest_object', float(largest))

    @classmethod
    def among(cls, settings: Mapping[str, Any]) -> GraspSettings:
        """Return those that are among other settings of a world model, the rest as by default."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: settings[name] for name in names if name in settings})
