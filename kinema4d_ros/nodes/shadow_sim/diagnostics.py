# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How shadow_sim does, as diagnostic_msgs; plain messages, so that no further package is needed."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import duration_seconds
from kinema4d_ros.msg import Verdict
from kinema4d_ros.nodes.shadow_sim.drift import DriftWatch
from kinema4d_ros.nodes.shadow_sim.readiness import (Readiness, READINESS, ROBOT_HASH,
                                                     SCENE_STAMP)
from kinema4d_ros.nodes.shadow_sim.received import InputStatus
from kinema4d_ros.types import Status
from kinema4d_ros.worker.process import WorkerState
from kinema4d_ros.worker.supervisor import Supervisor

_STALE = 2.0   # [s] an input that was silent for so long is worth a warning
_WORKER_LEVELS = {WorkerState.IDLE: DiagnosticStatus.OK, WorkerState.BUSY: DiagnosticStatus.OK,
                  WorkerState.STARTING: DiagnosticStatus.WARN}


class DiagnosticsPublisher:
    """Publishes on /diagnostics and, whenever it changes, readiness on ~/readiness as well."""

    def __init__(self, node: Node) -> None:
        """Make the publishers."""
        self._all = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._readiness = node.create_publisher(DiagnosticStatus, '~/readiness', qos.READINESS)
        self._last: tuple[object, ...] = ()
        self.drift = DriftWatch()

    def publish(self, array: DiagnosticArray) -> None:
        """Publish what `diagnostics` returned, and how far cameras have drifted."""
        first = array.status[0]
        for status in self.drift.status():
            status.name = f'{first.name.partition(":")[0]}: {status.name}'
            status.hardware_id = first.hardware_id
            array.status.append(status)
        self._all.publish(array)
        ready = next(status for status in array.status if status.name.endswith(f': {READINESS}'))
        values = {each.key: each.value for each in ready.values}
        told = ready.level, ready.message, ready.hardware_id, values[ROBOT_HASH]
        if told != self._last:
            self._last = told
            self._readiness.publish(ready)


def diagnostics(node: Node, robot_name: str, inputs: Iterable[InputStatus],
                workers: Sequence[Supervisor], last: Verdict | None,
                counts: Mapping[str, object], ready: Readiness = Readiness()) -> DiagnosticArray:
    """
    Return one status for the inputs, one for each worker, one for the verdicts, and readiness.

    :param workers: that of the world model, and that of the checks where they are apart.
    :param counts: further numbers for the last one, such as requests replaced.
    """
    array = DiagnosticArray()
    array.header.stamp = node.get_clock().now().to_msg()
    states = [_worker(name, supervisor)
              for name, supervisor in zip(('world model', 'checks'), workers)] or [
        _status('world model', DiagnosticStatus.STALE, 'not configured', {})]
    array.status = [_inputs(inputs, ready.left_out), *states, _verdicts(last, counts),
                    _readiness(ready)]
    for status in array.status:
        status.name = f'{node.get_fully_qualified_name().lstrip("/")}: {status.name}'
        status.hardware_id = robot_name or 'no robot yet'
    return array


def _inputs(inputs: Iterable[InputStatus], left_out: Mapping[str, str]) -> DiagnosticStatus:
    values: dict[str, object] = {f'{name} left out': why for name, why in left_out.items()}
    silent, problems = [], []
    for status in inputs:
        topic = status.topic
        values |= {f'{topic} rate [Hz]': f'{status.rate:.1f}',
                   f'{topic} age [s]': 'never' if status.age is None else f'{status.age:.2f}',
                   f'{topic} received': status.received, f'{topic} refused': status.refused}
        if status.age is None or status.age > _STALE:
            silent.append(topic)
        if status.problem:
            values[f'{topic} problem'] = status.problem
            problems.append(topic)
    message = 'all inputs arrive'
    if silent:
        message = f'nothing comes on {", ".join(silent)}'
    elif problems:
        message = f'problems on {", ".join(problems)}'
    if left_out:
        message = f'{", ".join(left_out)} left out; {message}'
    level = DiagnosticStatus.WARN if silent or problems or left_out else DiagnosticStatus.OK
    return _status('inputs', level, message, values)


def _worker(name: str, supervisor: Supervisor) -> DiagnosticStatus:
    state = supervisor.state
    return _status(
        name, _WORKER_LEVELS.get(state, DiagnosticStatus.ERROR),
        f'{state}: {supervisor.state_message}' if supervisor.state_message else str(state),
        {'model': supervisor.model, 'state': str(state), 'pid': supervisor.pid or '',
         'restarts': supervisor.restarts})


def _verdicts(last: Verdict | None, counts: Mapping[str, object]) -> DiagnosticStatus:
    values: dict[str, object] = dict(counts)
    message = 'no verdict yet'
    if last is not None:
        message = f'{Status(last.status).name}: {last.summary}'
        values |= {f'latency {each.stage} [s]': f'{duration_seconds(each.duration):.3f}'
                   for each in last.latencies}
        values |= {'rollout_id': last.rollout_id, 'trajectory_hash': last.trajectory_hash}
    if (problem := counts.get('ledger problem')) is not None:
        return _status('verdict', DiagnosticStatus.WARN, f'{message}; ledger: {problem}', values)
    return _status('verdict', DiagnosticStatus.OK, message, values)


def _readiness(ready: Readiness) -> DiagnosticStatus:
    return _status(
        READINESS, DiagnosticStatus.OK if ready.reason is None else DiagnosticStatus.WARN,
        ready.reason or 'a trajectory would be judged at once',
        {ROBOT_HASH: ready.robot_hash, SCENE_STAMP: ready.scene_stamp_ns})


def _status(name: str, level: bytes, message: str,
            values: Mapping[str, object]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level, name=name, message=message,
        values=[KeyValue(key=str(key), value=str(value)) for key, value in values.items()])
