# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a doctor finds: one line for each thing checked, with what to do about it."""
from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.StrEnum):
    """How it is."""

    OK = 'ok'
    INFO = 'info'          # reported; optional things that are not there
    WARNING = 'warning'    # works, but worse than it could
    ERROR = 'error'        # something will not work


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was checked."""

    name: str
    level: Level
    message: str
    cure: str = ''         # what to do, '' where nothing is to be done
