# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sustained load on the real graph: ``python -m bench.load --seconds 600 --cameras 3``.

Cameras of 1280x720 with depth at 30 Hz, joint states at 500 Hz, and a new trajectory every 200 ms
(every 500 ms with several cameras, so that most come to their end) whether or not the last one is
answered. What must hold: no queue grows; no trajectory first passes
once a newer one is out (0.25 s are granted to messages under way); no verdict and no frame comes
after one of a newer trajectory, and neither long after a newer trajectory was sent (that would be a
cancel that was missed); each trajectory that did not come to its end is counted as replaced; the
last one of all gets its verdict. With several cameras half of the verdicts come within 0.25 s.
What is reported beside: how many were judged, how soon, what was dropped, processor time and memory
of each process, a gate's too that has nothing to let through.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from kinema4d_ros.msg import Finding, PredictedFrame, Verdict

from bench import report
from bench.graph import Graph, node, Process
from bench.heard import Answer, FRAMES, Heard, Sample
from bench.memory import ALLOWED_MB, ALLOWED_SHARE
from bench.precheck import motion
from bench.robot_feed import camera_names
from bench.proc import cpu_seconds, labelled, resident_mb
from bench.world import ros_environment
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import (duration_seconds, trajectory_from_message,
                                        trajectory_message)
from kinema4d_ros.robot import trajectory_hash

SECONDS, PERIOD, SLOW_PERIOD = 60.0, 0.2, 0.5
SIZE, CAMERA_RATE, JOINT_RATE = (1280, 720), 30.0, 500.0
MEDIAN = 0.25         # [s] to a verdict, with several cameras
MEMORY_SAMPLES = 60
_IN_WORK = 2          # trajectories more at the end: one is judged, an answer to one is on its way
SCRIPT = 'this script, which asks and listens'
CANCELLED = 2.0       # [s] after which a prediction that does not stop is killed (cancel_grace)


def measure(repeats: int) -> list[dict]:
    """Return the rows of a minute; `repeats` plays no part."""
    return follow(SECONDS, SIZE, FRAMES, report.OUT / 'log')


def follow(seconds: float, size: tuple[int, int], frames: int, log_folder: Path,
           camera_rate: float = CAMERA_RATE, joint_rate: float = JOINT_RATE,
           cameras: int = 1) -> list[dict]:
    """Return a row per thing that must hold, and one per process."""
    with Graph(log_folder, size=size, camera_rate=camera_rate, joint_rate=joint_rate,
               hears_frames=False, world_model='kinematic', frames=frames,
               required_tiers=[0, 1], cameras=cameras) as graph, contextlib.ExitStack() as ending:
        gate = node(log_folder, 'trajectory_gate', controller='/arm_controller')
        ending.callback(gate.end)
        graph.client.wait(lambda: graph.client.node.count_publishers('trajectory_gate/decision'),
                          'the gate', gate)
        started, before = time.perf_counter(), used(graph, gate)
        period = PERIOD if cameras == 1 else SLOW_PERIOD
        with sampled(lambda: used(graph, gate), seconds / MEMORY_SAMPLES,
                     MEMORY_SAMPLES - 1) as during:      # all before the last is predicted whole
            pressed = press(graph, seconds, period)
        heard = dataclasses.replace(pressed, whole=frames)
        took, after = time.perf_counter() - started, used(graph, gate)
    ours = sum(after[key][0] - cpu for key, (cpu, _) in before.items()
               if key in after and key[0].startswith(('shadow_sim', gate.name)))
    return [*judged(heard, cameras), {
        'case': 'processors used by shadow_sim, its workers and the gate together',
        'value': f'{ours / took:.2f}', 'wanted': '', 'good': True}, {
        'case': 'worker processes that had to be started again',
        'value': str(len(after.keys() - before.keys())), 'wanted': '0',
        'good': after.keys() == before.keys()}, *(
        process_row(name, (after[name, pid][0] - cpu) / took, [
            mb, *(one[name, pid][1] for one in during if (name, pid) in one),
            after[name, pid][1]])
        for (name, pid), (cpu, mb) in before.items() if (name, pid) in after)]


def process_row(name: str, processors: float, memory: Sequence[float]) -> dict:
    """
    Return the row of a process.

    It grows where the most of the last quarter of the run is more than that of the second. What
    the end has more is of the last prediction, the only one that is shown whole.

    :param memory: before, at even times during the run, and after [MB].
    """
    during = memory[1:-1] or memory
    quarter = max(1, len(during) // 4)
    second, last = (max(during[part], default=during[-1]) for part in (
        slice(quarter, 2 * quarter), slice(-quarter, None)))
    allowed = second + max(ALLOWED_MB, ALLOWED_SHARE * second)
    keeps_all = name == SCRIPT
    return _row(f'{name}: processors; memory [MB] before, most in second and last quarter, after',
                f'{processors:.2f}; {memory[0]:.0f}, {second:.0f}, {last:.0f}, {memory[-1]:.0f}',
                '' if keeps_all else f'last at most {allowed:.0f}', keeps_all or last <= allowed)


@contextlib.contextmanager
def sampled(look: Callable[[], Any], period: float, most: int) -> Iterator[list]:
    """Yield a list to which what `look` returns is added every `period` seconds, `most` times."""
    found: list = []
    ending = threading.Event()

    def run() -> None:
        while len(found) < most and not ending.wait(period):
            found.append(look())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ending.set()
        thread.join()


def used(graph: Graph, gate: Process) -> dict[tuple[str, int], tuple[float, float]]:
    """Return (name, process id) -> processor time [s] and memory [MB], of every process."""
    pids = {**labelled('shadow_sim', graph.node.pid), gate.name: gate.pid,
            'robot_feed': graph.feed.pid,
            SCRIPT: os.getpid()}
    return {(name, pid): (cpu_seconds(pid), resident_mb(pid)) for name, pid in pids.items()}


def press(graph: Graph, seconds: float, period: float = PERIOD) -> Heard:
    """Send trajectories for so long, wait for the last answer, and return what was heard."""
    client, samples, received, frames = graph.client, [], [], []
    client.listen(DiagnosticArray, '/diagnostics', samples, 10, _values)
    client.node.create_subscription(Verdict, 'verdict', lambda message, info: client.keep(
        received, (time.perf_counter(), (*_kept(message), _moment(info)))), qos.VERDICT)
    client.listen(PredictedFrame, 'predicted/frame', frames, qos.PREDICTED_FRAMES,
                  lambda frame: frame.rollout_id)
    client.wait(lambda: any(_REPLACED in values for _, values in samples), 'diagnostics',
                graph.node)
    begin, numbers, sent_at = graph.feed.asked(), {}, []
    due = time.perf_counter()
    for message in distinct(graph, round(seconds / period)):
        numbers[trajectory_hash(trajectory_from_message(message))] = len(sent_at)
        sent_at.append(client.send(message))
        due += period
        time.sleep(max(0.0, due - time.perf_counter()))
    end, last = graph.feed.asked(), len(sent_at) - 1
    client.wait(lambda: any(numbers.get(digest) == last and is_final
                            for _, (digest, *_, is_final, _, _) in received), 'the last verdict',
                graph.node)
    until = len(samples)
    client.wait(lambda: len(samples) >= until + 3, 'diagnostics', graph.node)
    with client.changed:
        answers = [Answer(when, numbers[digest], *what, published, stages)
                   for when, (digest, _, *what, stages, published) in received
                   if digest in numbers]
        rollouts = {rollout: numbers[digest] for _, (digest, rollout, *_) in received
                    if digest in numbers}
        shown = [(when, rollouts[rollout]) for when, rollout in frames if rollout in rollouts]
        sampled = [Sample(when, values) for when, values in samples if _REPLACED in values]
    return Heard(sent_at, answers, shown, sampled, {
        name: (end[name] - begin[name]) / (end['seconds'] - begin['seconds'])
        for name in ('camera', 'joints')})


def judged(heard: Heard, cameras: int = 1) -> list[dict]:
    """Return a row for each thing that must hold, and what is worth reporting."""
    sent, first, real = len(heard.sent_at), heard.first(judged=False), heard.first(judged=True)
    doomed = {answer.number for answer in heard.answers if answer.is_replaced}
    checked = {answer.number for answer in heard.answers if answer.is_checked}
    finished = real.keys() - doomed
    replaced = (heard.samples[-1].number(_REPLACED) - heard.samples[0].number(_REPLACED)
                if heard.samples else 0)
    behind = [*_thirds(heard.behind())]
    waiting = [*_thirds([sample.number('requests waiting') for sample in heard.samples])]
    late_verdicts, late_frames = heard.overtaken()
    given_up, cut, passes = heard.given_up(), heard.cut_short(), heard.outdated_passes()
    return [
        _row('trajectories: asked, judged while newest, judged but replaced by then, replaced '
             'before', f'{sent}, {len(real)}, {len(checked - real.keys())}, '
             f'{len(first.keys() - checked)}', 'all answered, the last judged',
             len(first) == sent and sent - 1 in finished),
        _row('trajectories that first passed when a newer one was out', passes, '0', passes == 0),
        _row('counted as replaced by the diagnostics', f'{replaced:.0f}',
             f'at least {sent - len(finished)}',     # some are replaced at their very end
             sent - len(finished) <= replaced < sent),
        _row('most trajectories that answers were behind, first and last third',
             f'{behind[0]:.0f}, {behind[1]:.0f}', 'no growth', behind[1] <= behind[0] + _IN_WORK),
        _row('most requests that waited in shadow_sim, first and last third',
             f'{waiting[0]:.0f}, {waiting[1]:.0f}', 'no growth',
             waiting[1] <= waiting[0] + _IN_WORK),
        _row('verdicts, and how many came after one of a newer trajectory',
             f'{len(heard.answers)}, {late_verdicts}', '0 after', late_verdicts == 0),
        _row('frames, and how many came after one of a newer trajectory',
             f'{len(heard.frames)}, {late_frames}', '0 after', late_frames == 0),
        _row('given up for a newer trajectory, and the longest that this took [s]',
             f'{len(given_up)}, {max(given_up, default=0.0):.2f}', f'at most {CANCELLED:g}',
             max(given_up, default=0.0) <= CANCELLED),
        _row('predictions cut short between frames, and the longest that frames still came [s]',
             f'{len(cut)}, {max(cut, default=0.0):.2f}', f'at most {CANCELLED:g}',
             max(cut, default=0.0) <= CANCELLED),
        _row('time to a verdict while newest [s]: median, 95 %, longest',
             _spread(heard, real.values()), f'median at most {MEDIAN:g}' if cameras > 1 else '',
             cameras == 1 or np.median(_times(heard, real.values()) or [np.inf]) <= MEDIAN),
        _row('time to any verdict [s]: median, 95 %, longest', _spread(heard, first.values()),
             '', True),
        _row('what that is made of [s], medians', _made_of(real.values()), '', True),
        *(_row(f'{topic} [Hz]: published, received', f'{rate:.1f}, '
               f'{_rate(heard.samples, f"{topic} received"):.1f}', '', True)
          for topic, rate in (
              *((f'{name}/{topic}', heard.published.get('camera', np.nan))
                for name in camera_names(cameras) for topic in ('image_raw', 'depth/image_raw')),
              ('joint_states', heard.published.get('joints', np.nan))))]


def distinct(graph: Graph, count: int) -> Iterator:
    """Yield so many trajectories, each a little slower than the one before."""
    trajectory = motion(graph.robot)
    for number in range(count):
        slower = 1 + 1e-4 * (number + 1)
        yield trajectory_message(dataclasses.replace(
            trajectory, times=trajectory.times * slower,
            velocities=trajectory.velocities / slower))


_REPLACED = 'requests replaced'
#: of a verdict; `checks` holds the two behind it, and the way to the worker and back
_STAGES = ('tier 0', 'look', 'checks', 'self-collision', 'tier 1', 'verdict')


def _row(case: str, value: object, wanted: str, good: bool) -> dict:
    return {'case': case, 'value': str(value), 'wanted': wanted, 'good': bool(good)}


def _kept(verdict: Verdict) -> tuple:
    """Return hash and rollout of a verdict, and what an Answer says of it."""
    is_replaced = verdict.status != Verdict.PASS and any(
        finding.code == Finding.CANCELLED for finding in verdict.findings)
    return (verdict.trajectory_hash, verdict.rollout_id, is_replaced,
            any(each.stage == 'tier 1' for each in verdict.latencies),
            verdict.status == Verdict.PASS, verdict.final,
            {each.stage: duration_seconds(each.duration) for each in verdict.latencies})


def _moment(info: Mapping) -> float:
    """Return when a message was published, as `time.perf_counter` would have given it [s]."""
    return time.perf_counter() - (time.time_ns() - info['source_timestamp']) * 1e-9


def _values(array: DiagnosticArray) -> dict[str, str]:
    return {value.key: value.value for status in array.status if 'shadow_sim' in status.name
            for value in status.values}


def _thirds(values: Sequence[float]) -> Iterator[float]:
    """Yield the largest value of the first and of the last third."""
    third = max(1, len(values) // 3)
    yield max(values[:third], default=0)
    yield max(values[-third:], default=0)


def _times(heard: Heard, answers) -> list[float]:
    """Return how long each answer took [s]."""
    return [answer.when - heard.sent_at[answer.number] for answer in answers]


def _spread(heard: Heard, answers) -> str:
    took = _times(heard, answers)
    if not took:
        return 'none'
    return ', '.join(f'{np.quantile(took, share):.3f}' for share in (0.5, 0.95, 1.0))


def _made_of(answers: Iterable[Answer]) -> str:
    """Return what shadow_sim says of its stages, in the order in which they come."""
    told = [answer.stages for answer in answers if answer.stages]
    return ', '.join(f'{stage} {np.median([stages[stage] for stages in told]):.3f}'
                     for stage in _STAGES if all(stage in stages for stages in told)) \
        if told else 'not known'


def _rate(samples: Sequence[Sample], key: str) -> float:
    """Return how quickly a counter grew [Hz]."""
    if len(samples) < 2:
        return np.nan
    return ((samples[-1].number(key) - samples[0].number(key))
            / (samples[-1].when - samples[0].when))


def main() -> int:
    """Run it for as long as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--seconds', type=float, default=SECONDS)
    parser.add_argument('--cameras', type=int, default=1)
    parser.add_argument('--size', type=int, nargs=2, default=SIZE, help='of the camera')
    parser.add_argument('--out', type=Path, default=report.OUT)
    parser.add_argument('--docs', action='store_true', help='put the table into docs/measured.md')
    options = parser.parse_args()
    os.environ.update(ros_environment())
    rows = follow(options.seconds, tuple(options.size), FRAMES, options.out / 'log',
                  cameras=options.cameras)
    name = 'load' if options.cameras == 1 else f'load_{options.cameras}_cameras'
    report.show(f'{name}, {options.seconds:.0f} s', rows)
    print(f'written to {report.write(options.out, name, rows, 1)}')
    if options.docs:
        report.write_studies(options.out, (name,))
    return 0 if all(row['good'] for row in rows) else 1


if __name__ == '__main__':
    sys.exit(main())
