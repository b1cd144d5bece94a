# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which entries are of one run: one truth counts once, however many predicted it."""
from __future__ import annotations

from collections.abc import Iterable

from kinema4d_ros.ledger.entry import LedgerEntry, Origin, Went

_OF_RUNS = (Origin.PREDICTED, Origin.SIMULATOR)     # motions of robots are never the same one


def newest_of_each_run(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """
    Return the entries without those of a run and world model that are there more than once.

    Of those the newest stays, before it one that has its truth. The ledger enters such runs only
    once; an older one may hold them several times.
    """
    kept: dict[object, LedgerEntry] = {}
    for number, entry in enumerate(entries):
        is_run = entry.origin in _OF_RUNS and entry.rollout_id
        key = (*_run(entry), entry.world_model) if is_run else number
        before = kept.get(key)
        if before is None or not (entry.origin == Origin.PREDICTED != before.origin):
            kept[key] = entry
    return list(kept.values())


def each_motion_once(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """
    Return one entry for each run that a simulator executed, and all others as they are.

    A run that several world models predicted went as predicted where each of them was right, and
    otherwise where one of them was wrong: its one truth is no evidence for more than one motion.
    """
    kept: dict[object, LedgerEntry] = {}
    weight = {str(Went.NO): 2, str(Went.YES): 0}       # unknown between the two
    for number, entry in enumerate(entries):
        is_run = entry.origin == Origin.SIMULATOR and entry.rollout_id
        key: object = _run(entry) if is_run else number
        before = kept.get(key)
        if before is None or weight.get(entry.went, 1) > weight.get(
                before.went, 1):
            kept[key] = entry
    return list(kept.values())


def _run(entry: LedgerEntry) -> tuple[str, ...]:
    return entry.robot, entry.task, entry.rollout_id
