# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Entries of runs of policies: predicted ones, and those of which a simulator tells the truth."""
from __future__ import annotations

import datetime
import hashlib
import math
import time
from collections.abc import Iterable
from typing import Any

from kinema4d_ros.ledger.entry import LedgerEntry, Origin, TEXTS, Went
from kinema4d_ros.policy.closed_loop.record import RolloutRecord

PREFIX = 'predicted:'       # of the worlds that are no truth
KIND = 'task'


def rollout_entries(records: Iterable[RolloutRecord]) -> list[LedgerEntry]:
    """
    Return an entry for each run that has a result.

    A run in the predicted world that has its match in another world (same policy, start and seed)
    is one entry with it: what was predicted, and what came of it. Such an entry went as predicted
    where both agree on success. The others have no truth, and serve means only.
    """
    runs = [record for record in records if not record.error]
    truths = {record.key[1:]: record for record in runs if not record.world.startswith(PREFIX)}
    return [_entry(record, truths.get(record.key[1:])) for record in runs
            if record.world.startswith(PREFIX)]


def runs_left_out(records: Iterable[RolloutRecord]) -> list[str]:
    """Return which runs `rollout_entries` makes no entry of, and why, a line for each reason."""
    records = list(records)
    broken = sum(bool(record.error) for record in records)
    runs = [record for record in records if not record.error]
    foreseen = {record.key[1:] for record in runs if record.world.startswith(PREFIX)}
    alone = sum(record.key[1:] not in foreseen for record in runs)
    return ([f'{broken} run(s) without a result, because something broke'] if broken else []) + (
        [f'{alone} true run(s) that nobody predicted'] if alone else [])


def _entry(predicted: RolloutRecord, truth: RolloutRecord | None) -> LedgerEntry:
    said, made = predicted.outcome, predicted.world.removeprefix(PREFIX)
    chance = said.probability
    if math.isnan(chance) and said.success is not None:
        chance = float(said.success)
    entry: dict[str, Any] = {
        'time_ns': _time_ns(predicted if truth is None else truth), 'kind': KIND,
        'world_model': made, 'task': predicted.task, 'robot': predicted.policy,
        'rollout_id': _run_id(predicted),
        'predicted_success': chance, 'predicted_clearance': said.min_clearance,
        'predicted_held': said.grasped, 'predicted_seconds': predicted.duration}
    if truth is None:
        return LedgerEntry(origin=Origin.PREDICTED, **entry)
    true = truth.outcome
    went, reasons = Went.UNKNOWN, []
    if said.success is None or true.success is None:
        reasons.append('success is unknown: ' + (said.reason or true.reason or 'nobody says why'))
    else:
        went = Went.YES if said.success == true.success else Went.NO
        if went is Went.NO:
            reasons.append(('success' if said.success else 'failure') + ' was predicted, and it '
                           + ('succeeded' if true.success else 'failed'))
    return LedgerEntry(origin=Origin.SIMULATOR, **entry, seconds=truth.duration,
                       success=true.success, seen_clearance=true.min_clearance,
                       seen_held=true.grasped, went=went, reasons=tuple(reasons))


def _run_id(record: RolloutRecord) -> str:
    """Return the name of a run; where it would be cut, its end tells apart what was cut."""
    name, most = f'{record.policy}/{record.start}/{record.seed}', TEXTS['rollout_id']
    if len(name) <= most:
        return name
    told = hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:12]
    return f'{name[:most - 13]}~{told}'


def _time_ns(record: RolloutRecord) -> int:
    try:
        begun = datetime.datetime.fromisoformat(record.begun)
    except ValueError:
        return time.time_ns()
    if begun.tzinfo is None:
        begun = begun.replace(tzinfo=datetime.UTC)
    return int(begun.timestamp() * 1e9)
