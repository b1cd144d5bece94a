# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Filling a message's `uint8[] data`, against assigning the NumPy array, and against `bytes`.

Goals: at most 0.02 of the time of assigning the array, which converts byte by byte, and at most
twice that of assigning `bytes`, the quickest of the ways that tutorials show.
"""
from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image, PointCloud2

from bench.timing import interleave, median, row
from kinema4d_ros.bridge.images import fill

ARRAY, BYTES = 0.02, 2.0     # goals
MESSAGES = {'5.5 MB PointCloud2': (PointCloud2, (480, 720, 16)),
            '1 MB Image': (Image, (480, 720, 3))}


def measure(repeats: int) -> list[dict]:
    """Return two rows per message."""
    return [row for name, (kind, shape) in MESSAGES.items()
            for row in compare(repeats, name, kind, shape)]


def compare(repeats: int, name: str, kind: type, shape: tuple[int, ...]) -> list[dict]:
    """
    Return the two comparisons for one message.

    Assigning needs field checks off (``ROS_PYTHON_CHECK_FIELDS``), as they are by default: with
    them on rclpy refuses the array.
    """
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def ours():
        message = kind()
        fill(message.data, values)
        return message

    def by_bytes():
        message = kind()
        message.data = values.tobytes()
        return message

    def by_array():
        message = kind()
        message.data = values.ravel()
        return message

    seconds = interleave({'ours': ours, 'bytes': by_bytes, 'array': by_array}, repeats)
    same = ours().data == by_bytes().data == by_array().data
    took = median(seconds['ours'])
    return [row(f'fill a {name}, against assigning the array', took, median(seconds['array']),
                ARRAY, same=same),
            row(f'fill a {name}, against assigning bytes', took, median(seconds['bytes']), BYTES,
                same=same)]
