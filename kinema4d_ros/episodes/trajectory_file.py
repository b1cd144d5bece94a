# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trajectory from a file: YAML or JSON like the ROS message, or arrays as NPZ."""
from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kinema4d_ros.errors import EpisodeError, TrajectoryError
from kinema4d_ros.types import JointTrajectory

_FIELDS = ('positions', 'velocities', 'accelerations')


def load_trajectory(path: str | Path) -> JointTrajectory:
    """
    Read a trajectory.

    YAML and JSON are trajectory_msgs/JointTrajectory as ``ros2 topic echo`` shows it (also inside
    of a goal), times as sec and nanosec or as seconds. NPZ holds joint_names (J,), times (N,) [s],
    positions (N, J), and velocities and accelerations where there are some.

    :raises EpisodeError: it cannot be read, or is no trajectory.
    """
    path = Path(path).expanduser()
    try:
        if path.suffix == '.npz':
            with np.load(path, allow_pickle=False) as stored:
                return JointTrajectory(
                    tuple(map(str, stored['joint_names'])), stored['times'],
                    stored['positions'], *(stored[name] if name in stored else None
                                           for name in _FIELDS[1:]))
        return _from_document(yaml.safe_load(path.read_text(encoding='utf-8-sig')))
    except OSError as error:
        raise EpisodeError(f'trajectory {path} cannot be read: {error.strerror}') from error
    except (KeyError, TypeError, ValueError, AttributeError, EOFError, yaml.YAMLError,
            zipfile.BadZipFile, TrajectoryError) as error:
        raise EpisodeError(
            f'{path} is no trajectory ({type(error).__name__}: {error}); write joint_names and '
            'points as trajectory_msgs/JointTrajectory has them, or an NPZ with joint_names, '
            'times and positions') from error


def _from_document(document: Any) -> JointTrajectory:
    if not isinstance(document, Mapping):
        raise ValueError(f'it is {str(document)[:40]!r}, and no mapping')
    while isinstance(document, Mapping) and 'points' not in document:
        inner = next((document[key] for key in ('trajectory', 'joint_trajectory', 'goal')
                      if key in document), None)
        if inner is None:
            raise ValueError(f'it has {", ".join(map(str, document))}, and no points')
        document = inner
    points = document['points']
    rows = {name: [point.get(name) for point in points] for name in _FIELDS}
    for name in _FIELDS[1:]:
        if any(rows[name]) and not all(rows[name]):
            raise ValueError(f'only some points have {name}')
    return JointTrajectory(
        tuple(map(str, document['joint_names'])),
        np.array([_seconds(point['time_from_start']) for point in points], np.float64),
        np.array(rows['positions'], np.float64),
        *(np.array(rows[name], np.float64) if points and all(rows[name]) else None
          for name in _FIELDS[1:]))


def _seconds(value: Any) -> float:
    if isinstance(value, Mapping):
        return float(value.get('sec', 0)) + 1e-9 * float(value.get('nanosec', 0))
    return float(value)
