# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sustained load on the real graph: ``python -m bench.load --seconds 600``.

A camera of 1280x720 with depth at 30 Hz, joint states at 500 Hz, and a new trajectory every 200 ms
whether or not the last one is answered. What must hold: how far answers are behind does not grow;
a verdict or a frame never comes for a trajectory after one of a newer trajectory (that would be a
cancel that was missed); each that did not come to its end is counted as replaced; the last one of
all gets its verdict. Processor time and memory of each process are told.
"""
from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray

from bench import report
from bench.graph import Graph
from bench.precheck import motion
from bench.proc import cpu_seconds, labelled, resident_mb
from bench.world import ros_environment
from kinema4d_ros.bridge.motion import trajectory_from_message, trajectory_message
from kinema4d_ros.msg import Finding, Verdict
from kinema4d_ros.precheck import trajectory_hash

SECONDS, PERIOD = 60.0, 0.2
SIZE, CAMERA_RATE, JOINT_RATE, FRAMES = (1280, 720), 30.0, 500.0, 49


@dataclasses.dataclass
class Heard:
    """What came back, by the number of the trajectory, in the order in which it came."""

    sent_at: list[float]
    verdicts: list[tuple[float, int, bool]]     # time, number, whether it was replaced
    frames: list[tuple[float, int]]             # time, number
    counted_replaced: int                       # by the diagnostics
    rates: dict[str, float]                     # [Hz] as the node receives its inputs

    def behind(self) -> list[int]:
        """Return how many trajectories the newest answer was behind, each time one was sent."""
        behind, newest, answers = [], -1, iter([*self.verdicts, (float('inf'), 0, True)])
        when, number, _ = next(answers)
        for index, now in enumerate(self.sent_at):
            while when < now:
                newest = max(newest, number)
                when, number, _ = next(answers)
            behind.append(index - 1 - newest)
        return behind

    def overtaken(self) -> tuple[int, int]:
        """Return how many verdicts, and frames, came after those of a newer trajectory."""
        return (_backwards([number for _, number, _ in self.verdicts]),
                _backwards([number for _, number in self.frames]))

    def latencies(self) -> list[float]:
        """Return the time to the first verdict of each trajectory that got a real one [s]."""
        first: dict[int, float] = {}
        for when, number, replaced in self.verdicts:
            if not replaced:
                first.setdefault(number, when - self.sent_at[number])
        return list(first.values())


def measure(repeats: int) -> list[dict]:
    """Return the rows of a minute; `repeats` plays no part."""
    return follow(SECONDS, SIZE, FRAMES, report.OUT / 'log')


def follow(seconds: float, size: tuple[int, int], frames: int, log_folder: Path,
           camera_rate: float = CAMERA_RATE, joint_rate: float = JOINT_RATE) -> list[dict]:
    """Return a row per thing that must hold, and one per process."""
    with Graph(log_folder, size=size, camera_rate=camera_rate, joint_rate=joint_rate,
               world_model='kinematic', frames=frames, required_tiers=[0, 1]) as graph:
        started, before = time.perf_counter(), used(graph)
        heard = press(graph, seconds)
        took, after = time.perf_counter() - started, used(graph)
    return [*judged(heard), {
        'case': 'worker processes that had to be started again',
        'value': str(len(after.keys() - before.keys())), 'wanted': '0',
        'good': after.keys() == before.keys()}, *(
        {'case': f'{name}: processors used, memory [MB] before and after',
         'value': f'{(after[name, pid][0] - cpu) / took:.2f}, {mb:.0f}, {after[name, pid][1]:.0f}',
         'wanted': '', 'good': True}
        for (name, pid), (cpu, mb) in before.items() if (name, pid) in after)]


def used(graph: Graph) -> dict[tuple[str, int], tuple[float, float]]:
    """Return (name, process id) -> processor time [s] and memory [MB], of every process."""
    pids = {**labelled('shadow_sim', graph.node.pid), 'robot_feed': graph.feed.pid}
    return {(name, pid): (cpu_seconds(pid), resident_mb(pid)) for name, pid in pids.items()}


def press(graph: Graph, seconds: float) -> Heard:
    """Send trajectories for so long, wait for the last answer, and return what was heard."""
    client, diagnostics = graph.client, []
    client.listen(DiagnosticArray, '/diagnostics', diagnostics, 10)
    client.wait(lambda: _replaced(diagnostics) is not None, 'diagnostics', graph.node)
    counted = _replaced(diagnostics)
    with client.changed:
        client.verdicts.clear()
        client.frames.clear()
    numbers, sent_at, due = {}, [], time.perf_counter()
    for message in distinct(graph, round(seconds / PERIOD)):
        numbers[trajectory_hash(trajectory_from_message(message))] = len(sent_at)
        sent_at.append(client.send(message))
        due += PERIOD
        time.sleep(max(0.0, due - time.perf_counter()))
    last = len(sent_at) - 1
    client.wait(lambda: any(numbers.get(verdict.trajectory_hash) == last and verdict.final
                            for _, verdict in client.verdicts), 'the last verdict', graph.node)
    until = len(diagnostics)
    client.wait(lambda: len(diagnostics) >= until + 3, 'diagnostics', graph.node)
    with client.changed:
        verdicts = [(when, numbers[verdict.trajectory_hash], is_replaced(verdict))
                    for when, verdict in client.verdicts if verdict.trajectory_hash in numbers]
        rollouts = {verdict.rollout_id: numbers[verdict.trajectory_hash]
                    for _, verdict in client.verdicts if verdict.trajectory_hash in numbers}
        frames = [(when, rollouts[frame.rollout_id]) for when, frame in client.frames
                  if frame.rollout_id in rollouts]
    return Heard(sent_at, verdicts, frames, _replaced(diagnostics) - counted, _rates(diagnostics))


def judged(heard: Heard) -> list[dict]:
    """Return a row for each thing that must hold."""
    sent, behind = len(heard.sent_at), heard.behind()
    third = max(1, sent // 3)
    early, late = max(behind[:third]), max(behind[-third:])
    finished = {number for _, number, replaced in heard.verdicts if not replaced} - {
        number for _, number, replaced in heard.verdicts if replaced}
    with_verdict = {number for _, number, replaced in heard.verdicts if not replaced}
    late_verdicts, late_frames = heard.overtaken()
    latencies = sorted(heard.latencies()) or [float('nan')]
    inputs = ', '.join(f'{topic} {rate:.0f}' for topic, rate in heard.rates.items())
    return [
        {'case': 'trajectories: sent, judged, judged and predicted to the end',
         'value': f'{sent}, {len(with_verdict)}, {len(finished)}', 'wanted': 'the last one',
         'good': sent - 1 in finished},
        {'case': 'counted as replaced by the diagnostics', 'value': str(heard.counted_replaced),
         'wanted': f'at least {sent - len(finished)}',     # some are replaced at their very end
         'good': sent - len(finished) <= heard.counted_replaced < sent},
        {'case': 'most trajectories that answers were behind, first and last third',
         'value': f'{early}, {late}', 'wanted': 'no growth', 'good': late <= early + 1},
        {'case': 'verdicts, and how many came after one of a newer trajectory',
         'value': f'{len(heard.verdicts)}, {late_verdicts}', 'wanted': '0 after',
         'good': late_verdicts == 0},
        {'case': 'frames, and how many came after one of a newer trajectory',
         'value': f'{len(heard.frames)}, {late_frames}', 'wanted': '0 after',
         'good': late_frames == 0},
        {'case': 'time to a real verdict [s]: median, longest',
         'value': f'{statistics.median(latencies):.3f}, {latencies[-1]:.3f}', 'wanted': '',
         'good': True},
        {'case': 'inputs as they are received [Hz]', 'value': inputs, 'wanted': '', 'good': True}]


def distinct(graph: Graph, count: int) -> Iterator:
    """Yield so many trajectories, each a little slower than the one before."""
    trajectory = motion(graph.robot)
    for number in range(count):
        slower = 1 + 1e-4 * number
        yield trajectory_message(dataclasses.replace(
            trajectory, times=trajectory.times * slower,
            velocities=trajectory.velocities / slower))


def is_replaced(verdict: Verdict) -> bool:
    """Tell whether a verdict says that its trajectory was replaced by a newer one."""
    return verdict.status == Verdict.UNSURE and any(
        finding.code == Finding.CANCELLED for finding in verdict.findings)


def _backwards(numbers: list[int]) -> int:
    """Return how many numbers are smaller than one before them."""
    count, highest = 0, -1
    for number in numbers:
        count += number < highest
        highest = max(highest, number)
    return count


def _values(diagnostics: list) -> dict[str, str]:
    return {value.key: value.value for _, array in diagnostics[-3:] for status in array.status
            if 'shadow_sim' in status.name for value in status.values}


def _replaced(diagnostics: list) -> int | None:
    told = _values(diagnostics).get('requests replaced')
    return None if told is None else int(told)


def _rates(diagnostics: list) -> dict[str, float]:
    return {key.removesuffix(' rate [Hz]'): float(value)
            for key, value in _values(diagnostics).items() if key.endswith(' rate [Hz]')}


def main() -> int:
    """Run it for as long as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--seconds', type=float, default=SECONDS)
    parser.add_argument('--size', type=int, nargs=2, default=SIZE, help='of the camera')
    parser.add_argument('--out', type=Path, default=report.OUT)
    options = parser.parse_args()
    os.environ.update(ros_environment())
    rows = follow(options.seconds, tuple(options.size), FRAMES, options.out / 'log')
    report.show(f'load, {options.seconds:.0f} s', rows)
    print(f'written to {report.write(options.out, "load", rows, 1)}')
    return 0 if all(row['good'] for row in rows) else 1


if __name__ == '__main__':
    sys.exit(main())
