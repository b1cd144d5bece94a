# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trust ledger: what was predicted of executed motions, and what was seen of them then."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.ledger.comparison import Comparer
    from kinema4d_ros.ledger.entry import End, LedgerEntry, Origin, Went
    from kinema4d_ros.ledger.file import Ledger
    from kinema4d_ros.ledger.joints import JointHistory
    from kinema4d_ros.ledger.limits import judged, LedgerLimits
    from kinema4d_ros.ledger.motions import PredictedMotion, SeenMotion

__all__ = [
           'Comparer',
           'End',
           'JointHistory',
           'Ledger',
           'LedgerEntry',
           'LedgerLimits',
           'Origin',
           'PredictedMotion',
           'SeenMotion',
           'Went',
           'judged',
]
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
