# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What there is to know of a world model before it is chosen."""
from __future__ import annotations

import enum
from dataclasses import dataclass


class Metres(enum.StrEnum):
    """How the points of a world model come to be in metres."""

    MEASURED = 'measured'      # they are those of the depth image, moved by what is exact
    FITTED = 'fitted'          # generated without a unit, fitted on what is exact
    NOT_PREDICTED = 'not predicted'    # it shows a picture; points are of what has not moved


@dataclass(frozen=True)
class ModelCard:
    """
    A row of the table of world models: what a model reads and shows, and on what terms.

    Whether it follows the robot's actions is `WorldModel.follows_actions`, which rules go by; this
    is for people.
    """

    inputs: str
    outputs: str
    metres: Metres
    views: str              # which views of an observation it predicts
    code_licence: str
    weights_licence: str    # 'none' for a model without weights
    memory: str             # by whose account
    time: str               # by whose account
    run_here: str           # what of it was run by the authors of this package, and what was not

    def lines(self) -> list[str]:
        """Return it for people, a line for each entry."""
        return [f'{name.replace("_", " ")}: {value}' for name, value in vars(self).items()]

    def row(self, name: str, follows: bool | None) -> str:
        """Return it as a row of a table in Markdown, with what the model says of actions."""
        says = {True: 'yes', False: 'no', None: 'to be measured'}[follows]
        cells = (f'`{name}`', self.inputs, self.outputs, says, *list(vars(self).values())[2:])
        return f'| {" | ".join(map(str, cells))} |'
