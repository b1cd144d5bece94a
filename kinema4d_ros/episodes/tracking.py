# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What joints were commanded and what they did, read from bags and arrays, to fit tracking to."""
from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from kinema4d_ros.episodes.storage import in_folder
from kinema4d_ros.errors import EpisodeError, Kinema4DError
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.robot.tracking_fit import TrackingRecord
from kinema4d_ros.types import JointTrajectory, StartState

_STATE = 'control_msgs/msg/JointTrajectoryControllerState'
_JOINTS, _TRAJECTORY = 'sensor_msgs/msg/JointState', 'trajectory_msgs/msg/JointTrajectory'
_TEXT = 'std_msgs/msg/String'
_GAP = 0.5          # [s] longer gaps part a recording
_AFTER = 2.0        # [s] after its end that a trajectory still explains what the joints do
_RATE = 50.0        # [Hz]


def tracking_records(path: str | Path) -> list[TrackingRecord]:
    """
    Return what a recording tells of how commands are followed, a record for each stretch of it.

    * An MCAP file, or the folder of a bag, with the state that joint_trajectory_controller
      publishes (`controller_state`): its reference and its feedback.
    * One with `joint_trajectory`, `joint_states` and `robot_description`: what the controller makes
      of each trajectory, until it settles or the next one comes.
    * An .npz file with the arrays joint_names (J,), times (N,) [s], commanded and measured (N, J).

    :raises EpisodeError: it cannot be read, or holds neither.
    """
    path = Path(path).expanduser()
    if path.suffix == '.npz':
        return [_arrays(path)]
    path = in_folder(path)
    if not path.is_file():
        raise EpisodeError(f'there is no recording {path}; name an .mcap file, the folder of a '
                           'bag, or an .npz file')
    try:
        by_type = _messages(path)
    except Exception as error:      # a damaged file makes the reader raise almost anything
        raise EpisodeError(f'{path} is damaged or no MCAP file of ROS 2 '
                           f'({type(error).__name__}: {error})') from error
    records = _of_controller(by_type) if by_type[_STATE] else _of_trajectories(path, by_type)
    if not records:
        raise EpisodeError(
            f'{path} tells nothing of how commands are followed: record the controller_state of '
            'joint_trajectory_controller while the robot moves, or joint_trajectory with '
            'joint_states and robot_description')
    return records


def _messages(path: Path) -> dict[str, list[tuple[float, Any]]]:
    """Return type -> (time [s], message) in the order of time."""
    store = get_typestore(Stores.ROS2_JAZZY)
    found: dict[str, list[tuple[float, Any]]] = {
        kind: [] for kind in (_STATE, _JOINTS, _TRAJECTORY, _TEXT)}
    with Reader(path) as reader:
        connections = [c for c in reader.connections if c.msgtype in found and (
            c.msgtype != _TEXT or c.topic.endswith('robot_description'))]
        for connection in connections:
            known = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            store.register({name: fields for name, fields in known.items()
                            if name not in store.types})
        for connection, logged_ns, raw in reader.messages(connections=connections) \
                if connections else ():
            message = store.deserialize_cdr(raw, connection.msgtype)
            stamp = getattr(getattr(message, 'header', None), 'stamp', None)
            at = 0.0 if stamp is None else stamp.sec + stamp.nanosec * 1e-9
            # A trajectory is received when it is logged; its stamp is when it is to start.
            use_log = at == 0.0 or connection.msgtype == _TRAJECTORY
            found[connection.msgtype].append((logged_ns * 1e-9 if use_log else at, message))
    return {kind: sorted(messages, key=lambda item: item[0]) for kind, messages in found.items()}


def _of_controller(by_type: Mapping[str, list[tuple[float, Any]]]) -> list[TrackingRecord]:
    """Return reference and feedback of each controller, by the joints that it has."""
    records = []
    of = {names: list(group) for names, group in itertools.groupby(
        sorted(by_type[_STATE], key=lambda item: (tuple(item[1].joint_names), item[0])),
        key=lambda item: tuple(item[1].joint_names))}
    for names, messages in of.items():
        rows = [(at, m.reference.positions, m.feedback.positions) for at, m in messages
                if len(m.reference.positions) == len(m.feedback.positions) == len(names)]
        if rows:
            times, commanded, measured = (np.array(part, np.float64) for part in zip(*rows))
            records += _stretches(names, times, commanded, measured)
    return records


def _of_trajectories(path: Path, by_type: Mapping[str, list[tuple[float, Any]]]
                     ) -> list[TrackingRecord]:
    """Return what the controller makes of each trajectory, beside the joint states."""
    trajectories, states = by_type[_TRAJECTORY], by_type[_JOINTS]
    if not trajectories or not states or not by_type[_TEXT]:
        return []
    robot = Robot.from_urdf(by_type[_TEXT][-1][1].data)
    histories: dict[str, list[tuple[float, float]]] = {}
    for at, message in states:
        for name, position in zip(message.name, message.position):
            if np.isfinite(position):
                histories.setdefault(name, []).append((at, float(position)))
    records = []
    ends = [at for at, _ in trajectories[1:]] + [np.inf]
    for (at, message), end in zip(trajectories, ends):
        names = tuple(name for name in message.joint_names
                      if name in robot.limits and name in histories)
        if not names or not len(message.points):
            continue
        measured = {name: np.array(histories[name]).T for name in names}
        last = min(at + _seconds(message.points[-1].time_from_start) + _AFTER, end,
                   *(times[-1] for times, _ in measured.values()))
        times = np.arange(max(at, *(t[0] for t, _ in measured.values())), last, 1 / _RATE)
        if len(times) < 2:
            continue
        try:
            start = StartState(
                {name: float(np.interp(at, *measured[name])) for name in names},
                {name: _velocity(at, *measured[name]) for name in names})
            commanded = sample_trajectory(_trajectory(message), robot, times - at, start)
        except Kinema4DError as error:
            raise EpisodeError(f'{path}: the trajectory at {at:.3f} s: {error}') from error
        columns = [commanded.joint_names.index(name) for name in names]
        records += _stretches(names, times, commanded.positions[:, columns], np.stack(
            [np.interp(times, *measured[name]) for name in names], axis=1))
    return records


def _stretches(names: tuple[str, ...], times: np.ndarray, commanded: np.ndarray,
               measured: np.ndarray) -> list[TrackingRecord]:
    """Return the records without a gap, of more than one sample."""
    known = np.isfinite(commanded).all(axis=1) & np.isfinite(measured).all(axis=1)
    known &= np.r_[True, np.diff(times) > 0]
    times, commanded, measured = times[known], commanded[known], measured[known]
    parts = np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > _GAP) + 1)
    return [TrackingRecord(names, times[part], commanded[part], measured[part])
            for part in parts if len(part) > 1]


def _arrays(path: Path) -> TrackingRecord:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = tuple(str(name) for name in arrays['joint_names'])
            return TrackingRecord(names, arrays['times'], arrays['commanded'], arrays['measured'])
    except (OSError, ValueError, KeyError, Kinema4DError) as error:
        raise EpisodeError(f'{path} does not hold joint_names, times, commanded and measured: '
                           f'{error}') from error


def _trajectory(message: Any) -> JointTrajectory:
    def column(name: str) -> np.ndarray | None:
        rows = [getattr(point, name) for point in message.points]
        return np.array(rows, np.float64) if all(len(row) for row in rows) else None
    return JointTrajectory(
        tuple(message.joint_names),
        np.array([_seconds(point.time_from_start) for point in message.points]),
        np.array([point.positions for point in message.points], np.float64),
        column('velocities'), column('accelerations'))


def _seconds(duration: Any) -> float:
    return float(duration.sec) + float(duration.nanosec) * 1e-9


def _velocity(at: float, times: np.ndarray, positions: np.ndarray) -> float:
    before, after = np.interp([at - 0.05, at + 0.01], times, positions)
    return float((after - before) / 0.06)
