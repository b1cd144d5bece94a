# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of aim that a script makes on purpose."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AimErrors:
    """How far beside what it aims at the hand goes, (3,) [m] each in the base frame."""

    grasp: np.ndarray
    place: np.ndarray

    @classmethod
    def none(cls) -> AimErrors:
        """Return those of a hand that aims well."""
        return cls(np.zeros(3), np.zeros(3))

    @property
    def values(self) -> dict[str, tuple[float, ...]]:
        """As they are written into an episode, {} for none."""
        rows = {'grasp': self.grasp, 'place': self.place}
        return {name: tuple(row.round(5).tolist()) for name, row in rows.items() if row.any()}

    @classmethod
    def draw(cls, random: np.random.Generator) -> AimErrors:
        """
        Draw errors of which about half spoil the task.

        One of: up to 4 cm beside the grasp, up to 12 cm beside the place, the grasp 1 cm too low
        to 3 cm too high, up to 2 cm beside both.
        """
        grasp, place = np.zeros(3), np.zeros(3)
        which = random.choice(4, p=[0.45, 0.3, 0.1, 0.15])
        angles = random.uniform(-np.pi, np.pi, 2)
        aside = np.c_[np.cos(angles), np.sin(angles)] * random.uniform(0.0, 1.0, 2)[:, None]
        if which == 2:
            grasp[2] = random.uniform(-0.01, 0.03)
        else:
            grasp[:2], place[:2] = aside * np.array([[0.04, 0.0], [0.0, 0.12], [0.0, 0.0],
                                                     [0.02, 0.02]])[which][:, None]
        return cls(grasp, place)
