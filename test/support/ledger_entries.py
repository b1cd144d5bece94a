# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Entries made by hand."""
import datetime

from kinema4d_ros.ledger import judged, LedgerEntry

DAY = 86_400_000_000_000


def entry(day=0, **fields):
    """Return the entry of a motion that went as predicted, on a day of November 2026."""
    noon = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC).timestamp()
    good = {'time_ns': int(noon * 1e9) + day * DAY, 'origin': 'robot', 'robot': 'panda',
            'world_model': 'kinematic', 'kind': 'pick', 'status': 'PASS', 'ended': 'done',
            'predicted_clearance': 0.03, 'seen_clearance': 0.03, 'path_error': 0.01,
            'end_error': 0.001, 'scene_compared': True, 'robot_residual': 0.002}
    return judged(LedgerEntry(**good | fields))


def otherwise(day=0, **fields):
    """Return one that left its path."""
    return entry(day, path_error=0.5, **fields)


def unknown(day=0, **fields):
    """Return one that no camera has seen the end of."""
    return entry(day, scene_compared=False, **fields)
