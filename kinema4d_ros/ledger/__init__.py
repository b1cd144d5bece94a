# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trust ledger: what was predicted of executed motions, and what was seen of them then."""
from kinema4d_ros.ledger.comparison import Comparer, SeenMotion, PredictedMotion
from kinema4d_ros.ledger.entry import End, LedgerEntry, Origin, Went
from kinema4d_ros.ledger.file import Ledger
from kinema4d_ros.ledger.joints import JointHistory
from kinema4d_ros.ledger.limits import judged, LedgerLimits

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
