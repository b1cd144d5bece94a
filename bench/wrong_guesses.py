# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How often a wrong guess of what actions mean is noticed, on recordings that nothing was tuned on.

    python -m bench.wrong_guesses ../shared/data [EPISODE.mcap ...]

Chunks of every convention are read by every other one that has as many columns. A guess is noticed
by `why_implausible` before a chunk is executed, or by `Detection.why_not` after eight of them.
`--every 4` prints the table of docs/policy_conventions.md.
"""
from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench.action_conventions import bundled, conventions, droid, HELD, panda, TUNED_DROID
from bench.made_chunks import Convention, GRIPPERS, Motion, OSC, records_in
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.policy import ActionFormat, ActionReader, GripperColumn, VelocityResponse
from kinema4d_ros.policy.detect import ChunkRecord, detect_actions, ends_of
from kinema4d_ros.policy.plausible import why_implausible
from kinema4d_ros.policy.preset import normalized_range

CHUNKS, LENGTH = 8, 10


def format_of(motion: Motion, told: Convention) -> ActionFormat:
    """Return the action format that reads a convention's chunks."""
    ends = ends_of(motion.robot)
    wide = GRIPPERS[told.gripper] or tuple(sorted(next(iter(ends.values()))))
    low, high = wide
    opened, closed = (high, low) if told.opens_up or GRIPPERS[told.gripper] is None else (low, high)
    common = {'grippers': (GripperColumn(-1, open=opened, closed=closed, joints=ends),),
              'reference': 'absolute' if told.reference == 'velocity' else told.reference,
              'velocity': VelocityResponse() if told.reference == 'velocity' else None}
    if told.space == 'tip':
        return ActionFormat(motion.rate, (), tip_link=motion.tip, rpy=told.rotation == 'rpy',
                            in_tip_frame=told.frame == 'tip' and told.reference != 'absolute',
                            scale=tuple(OSC) if told.unit == 'OSC' else (), **common)
    scale, offset = {'deg': ((np.pi / 180,), ()), 'rad': ((), ())}.get(
        told.unit) or normalized_range(motion.robot, motion.arm)
    return ActionFormat(motion.rate, motion.arm, scale=scale,
                        offset=offset if told.reference == 'absolute' else (), **common)


def _refused(reader: ActionReader, record: ChunkRecord) -> bool:
    """Return whether a chunk is not executed: implausible, or nothing that can be read."""
    start = dict(zip(reader.robot.joint_names, record.state))
    try:
        return why_implausible(reader, record.actions, start) is not None
    except Kinema4DError:
        return True


def _differs(right: ActionReader, wrong: ActionReader, record: ChunkRecord) -> float:
    """Return by how much the two readings of a chunk differ at most [rad]; NaN out of reach."""
    start = dict(zip(right.robot.joint_names, record.state))
    try:
        first, second = (reader.trajectory(record.actions, start) for reader in (right, wrong))
    except Kinema4DError:
        return float('nan')
    count = min(len(first.joint_names), len(second.joint_names)) - 2
    return float(np.abs(first.positions[:, :count] - second.positions[:, :count]).max())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path)
    parser.add_argument('--every', type=int, default=1, metavar='N', help='one convention of N')
    parser.add_argument('episodes', nargs='*', help='of one\'s own, in place of those')
    asked = parser.parse_args()
    motions = list(bundled(tuple(asked.episodes))) if asked.episodes else [
        *bundled(HELD), *(motion for motion, _ in droid(asked.data, TUNED_DROID, None)),
        panda(asked.data)]
    rows, right = defaultdict(list), []
    for number, motion in enumerate(motions):
        made = conventions(number)[number % asked.every::asked.every]
        for seed, told in enumerate(made):
            records = records_in(motion, told, chunks=CHUNKS, length=LENGTH, seed=seed)
            reader = ActionReader(motion.robot, format_of(motion, told))
            wide = records[0].actions.shape[1]
            right.append([_refused(reader, record) for record in records])
            found = {after: detect_actions(motion.robot, records if after else [
                ChunkRecord(one.actions, one.state) for one in records], motion.rate)
                for after in (True, False)}
            right[-1] += [found[after].why_not(reader.form) is not None for after in (True, False)]
            for other in made:
                form = format_of(motion, Convention(**{
                    **other.__dict__, 'gripper': told.gripper, 'opens_up': told.opens_up}))
                if form == reader.form or wide not in form.widths:
                    continue
                wrong = ActionReader(motion.robot, form)
                seen = [_refused(wrong, record) for record in records]
                said = [found[after].why_not(form) is not None for after in (True, False)]
                missed = not any(seen) and not said[0]
                kind = 'unit' if (told.space, told.reference) == (other.space, other.reference) \
                    else 'reference' if told.space == other.space else 'space'
                rows[kind].append([seen[0], any(seen), *said, any(seen) or said[0],
                                   _differs(reader, wrong, records[0]) if missed else np.nan])
    print(f'{len(motions)} motions; right formats refused: at a first chunk '
          f'{np.mean([row[0] for row in right]):.3f}, by any of {CHUNKS} '
          f'{np.mean([any(row[:-2]) for row in right]):.3f}, by the detector '
          f'{np.mean([row[-2] for row in right]):.3f} with and '
          f'{np.mean([row[-1] for row in right]):.3f} without the states afterwards')
    print('\n| Wrong in | Guesses | Noticed at the first chunk | at any of eight | by the detector '
          '| without states afterwards | by any | those not noticed differ by |\n'
          '|---|---|---|---|---|---|---|---|')
    for kind, values in [*rows.items(), ('all', list(itertools.chain(*rows.values())))]:
        table = np.array(values, float)
        left = table[np.isfinite(table[:, 5]), 5]
        far = f'{np.median(left):.3f} rad, at most {left.max():.3f}' if len(left) else ''
        print(f'| {kind} | {len(table)} | ' + ' | '.join(
            f'{share:.3f}' for share in table[:, :5].mean(0)) + f' | {far} |')


if __name__ == '__main__':
    main()
