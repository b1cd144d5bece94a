# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The identity of a trajectory: a verdict holds for exactly the motion that was checked."""
from __future__ import annotations

import hashlib
import struct

import numpy as np

from kinema4d_ros.types import JointTrajectory


def trajectory_hash(trajectory: JointTrajectory) -> str:
    """
    Return the sha256 (hex) of everything that defines the motion.

    Every length is hashed before its content, so that no two different trajectories can give
    the same bytes; numbers count by their bits, so -0.0 differs from 0.0.
    """
    digest = hashlib.sha256(b'kinema4d_ros joint trajectory 1')
    digest.update(struct.pack('<QQ', len(trajectory.joint_names), len(trajectory.times)))
    for name in trajectory.joint_names:
        encoded = name.encode('utf-8', 'surrogatepass')
        digest.update(struct.pack('<Q', len(encoded)) + encoded)
    for values in (trajectory.times, trajectory.positions, trajectory.velocities,
                   trajectory.accelerations):
        digest.update(b'\0' if values is None else b'\1')
        if values is not None:
            digest.update(np.ascontiguousarray(values, '<f8').tobytes())
    return digest.hexdigest()
