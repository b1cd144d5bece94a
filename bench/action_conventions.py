# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How often the detector of action conventions is right, on recordings that it was not tuned on.

    python -m bench.action_conventions ../shared/data

Chunks of every convention are made from the recorded motions (`made_chunks`); DROID and Bridge have
actions of their own besides. `--tuned` looks at the recordings that the numbers of
`policy/detect/likelihood.py` were chosen on. The tables of docs/policy_conventions.md are what it
prints.
"""
from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.made_chunks import Convention, GRIPPERS, Motion, records_in
from kinema4d_ros.datasets import open_source, read_motion, RobotPreset
from kinema4d_ros.episodes import Episode
from kinema4d_ros.policy.detect import detect_actions, Detection, records_of
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import Robot, sample_trajectory

TUNED = ('libero_object_0_0_success', 'libero_object_1_0_success', 'libero_object_5_0_success')
HELD = ('libero_spatial_0_0_success', 'libero_spatial_1_0_success', 'libero_spatial_2_0_success',
        'libero_spatial_3_0_success', 'libero_object_6_0_success')
DROID_URDF = 'urdfs/rerun_droid/franka_description/panda.urdf'
WIDOWX_URDF = ('urdfs/widowx/mani_skill2_real2sim/assets/descriptions/widowx_description/'
               'wx250s.urdf')
TUNED_DROID = 2         # of its recordings, the first
BRIDGE_CHUNK = 6        # rows; its recordings have 10
ASKED = ('space', 'reference', 'unit', 'frame', 'gripper range', 'gripper open')


def bundled(names: tuple[str, ...]) -> Iterator[Motion]:
    """Yield the plans of bundled episodes at 20 Hz."""
    for name in names:
        episode = Episode.open(name)
        robot = Robot.from_urdf(episode.robot_description)
        times = np.arange(0.0, episode.trajectory.duration, 0.05)
        yield Motion(name, robot, np.asarray(sample_trajectory(
            episode.trajectory, robot, times, episode.observation().joint_positions).positions),
            20.0)


def droid(data: Path, first: int, last: int | None) -> Iterator[tuple[Motion, dict]]:
    """Yield recordings of DROID, with the columns of their actions."""
    robot = Robot.from_file(data / DROID_URDF)
    source = open_source(data / 'ctrl_world_droid' / 'droid_subset')
    for name in source.episode_names()[first:last]:
        episode = source.read(name)
        motion = read_motion(episode, RobotPreset.load('panda_2f85'), robot)
        yield Motion(f'droid {name}', robot, motion.positions, 15.0, 'panda_link8'), \
            dict(episode.columns)


def panda(data: Path) -> Motion:
    """Return a real Panda at 30 Hz, whose fingers nobody recorded."""
    robot = Robot.from_file(share_dir() / 'urdf' / 'panda' / 'panda.urdf')
    told = json.loads((data / 'panda_dataset_tristinxie' / 'info.json').read_text())
    arm = np.array([step['joint_angles'] for step in told['steps'].values()], float)
    return Motion('panda', robot, np.hstack([arm, np.full((len(arm), 2), 0.04)]), 30.0)


def bridge(data: Path, most: int = 24) -> Iterator[tuple[Motion, np.ndarray]]:
    """Yield recordings of Bridge V2, with their actions."""
    robot, preset = Robot.from_file(data / WIDOWX_URDF), RobotPreset.load('wx250s')
    source = open_source(data / 'octo_bridge_rlds', usual_rate=5.0)
    for name in source.episode_names()[:most]:
        episode = source.read(name)
        motion = read_motion(episode, preset, robot)
        if motion.why_refused() is None:
            yield Motion(f'bridge {name}', robot, motion.positions, 5.0, 'ee_gripper_link'), \
                episode.columns['action']


def conventions(seed: int) -> list[Convention]:
    """Return each convention once, with a gripper, a lead and noise at random."""
    random, out = np.random.default_rng(seed), []

    def one(*told: str, noise: float = 0.01) -> None:
        ahead = int(random.choice((0, 1, 4))) if told[1] in ('absolute', 'start') else 0
        out.append(Convention(*told, gripper=str(random.choice(list(GRIPPERS))), ahead=ahead,
                              opens_up=bool(random.integers(2)),
                              noise=float(random.choice((0.0, noise)))))

    for reference in ('absolute', 'start', 'previous', 'velocity'):
        for unit in ('rad', 'deg', 'normalized'):
            one('joint', reference, unit)
        for rotation in ('rotvec', 'rpy', 'quaternion')[:2 if reference == 'velocity' else 3]:
            for frame in ('base', 'tip')[:1 if reference == 'absolute' else 2]:
                one('tip', reference, 'SI', rotation, frame,
                    noise=0.0 if rotation == 'quaternion' else 0.01)
    for frame in ('base', 'tip'):
        one('tip', 'previous', 'OSC', 'rotvec', frame)
    return out


def answers(told: Convention, found: Detection) -> Iterator[tuple[str, float, bool]]:
    """Yield each question that has an answer here: its name, confidence, and if it is right."""
    truth = {'space': told.space, 'reference': told.reference, 'unit': told.unit,
             'frame': told.frame}
    for key, right in truth.items():
        finding = found.findings.get(key)
        if finding is None or (key != 'space' and found.told.space != told.space) \
                or (key in ('unit', 'frame') and found.told.kind.value != told.reference):
            continue            # wrong in what it hangs on, which is counted there
        yield key, finding.confidence, finding.value == right
    wide = {'0..1': '0..1', '-1..1': '-1..1', '0..100': '0..100'}.get(told.gripper)
    for key, finding in found.findings.items():
        if key.endswith('range') and wide:
            yield 'gripper range', finding.confidence, finding.value == wide
        if key.endswith('open') and wide:
            yield 'gripper open', finding.confidence, finding.value == (
                'high' if told.opens_up else 'low')


def report(motions: list[Motion], *, after: bool, chunks: int = 8) -> None:
    """Print how often answers are right, by question and confidence, and the confusions."""
    said, confused = defaultdict(list), Counter()
    for number, motion in enumerate(motions):
        for seed, told in enumerate(conventions(number)):
            found = detect_actions(motion.robot, records_in(
                motion, told, chunks=chunks, after=after, seed=seed), motion.rate)
            sure = found.findings['space'].known and found.findings['reference'].known
            confused[f'{told.space} {told.reference}', f'{found.told.space} {found.told.kind.value}'
                     if sure else 'unknown'] += 1
            for key, confidence, right in answers(told, found):
                said[key].append((confidence, right))
    print(f'\n{"With" if after else "Without"} the states afterwards, {chunks} chunks of 10 '
          f'actions, {sum(confused.values())} sets\n\n| Question | Known | Right of known | Right '
          'of all | Right at confidence .8-.95 | .95-.99 | above |\n|---|---|---|---|---|---|---|')
    for key in ASKED:
        rows = np.array(said[key], float)
        known = rows[:, 0] >= 0.8
        cells = [f'{known.mean():.2f}', _share(rows[known, 1]), _share(rows[:, 1])]
        cells += [_share(rows[(rows[:, 0] >= low) & (rows[:, 0] < high), 1])
                  for low, high in ((0.8, 0.95), (0.95, 0.99), (0.99, 2.0))]
        print(f'| {key} | {" | ".join(cells)} |')
    names = sorted({name for pair in confused for name in pair} - {'unknown'}) + ['unknown']
    print('\n| Made as | ' + ' | '.join(names) + ' |\n|---|' + '---|' * len(names))
    for made in names[:-1]:
        print(f'| {made} | ' + ' | '.join(str(confused[made, name] or '') for name in names) + ' |')


def _share(right: np.ndarray) -> str:
    return f'{right.mean():.3f} ({len(right)})' if len(right) else ''


def real(data: Path) -> None:
    """Print what is found of the actions that the sets have themselves."""
    found = defaultdict(Counter)
    for motion, columns in droid(data, 0, None):
        gripper = columns['action.gripper_position']
        for key in ('joint_position', 'cartesian_position', 'joint_velocity'):
            told = detect_actions(motion.robot, records_of(
                np.hstack([columns[f'action.{key}'], gripper]), motion.positions, every=15), 15.0)
            found[f'DROID {key}'][_words(told)] += 1
    pieces = [(motion.robot, record) for motion, actions in bridge(data)
              for record in records_of(actions, motion.positions, length=BRIDGE_CHUNK)]
    for first in range(0, len(pieces) - 7, 8):
        told = detect_actions(pieces[0][0], [record for _, record in pieces[first:first + 8]], 5.0,
                              tip_links=('ee_gripper_link',))
        found['Bridge, 8 recordings at a time'][_words(told)] += 1
    for name, counts in found.items():
        print(f'{name}: ' + '; '.join(f'{words}: {n}' for words, n in counts.most_common()))


def _words(told: Detection) -> str:
    asked = [told.findings[key] for key in ('space', 'reference', 'unit')]
    ways = [finding for key, finding in told.findings.items() if key.endswith('open')]
    return ' '.join(finding.value if finding.known else f'unknown({finding.value})'
                    for finding in asked + ways)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path)
    parser.add_argument('--tuned', action='store_true', help='recordings that it was tuned on')
    asked = parser.parse_args()
    if asked.tuned:
        motions = [*bundled(TUNED), *(motion for motion, _ in droid(asked.data, 0, TUNED_DROID))]
    else:
        motions = [*bundled(HELD), *(motion for motion, _ in droid(asked.data, TUNED_DROID, None)),
                   panda(asked.data)]
    print(', '.join(f'{motion.name} ({len(motion.positions)})' for motion in motions))
    for after in (True, False):
        report(motions, after=after)
    if not asked.tuned:
        real(asked.data)


if __name__ == '__main__':
    main()
