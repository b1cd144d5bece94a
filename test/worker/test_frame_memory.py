# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared memory of frames: what one side writes, the other reads."""
import errno
import os

import numpy as np
import pytest

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.worker.frame_memory import frame_bytes, FrameMemory


def frame(seed, width=7, height=5):
    """Return the arrays of a frame, with odd sizes so that alignment matters."""
    rng = np.random.default_rng(seed)
    return {
        'image': rng.integers(0, 256, (height, width, 3), np.uint8),
        'pointmap': rng.normal(size=(height, width, 3)).astype(np.float32),
        'robot_mask': rng.random((height, width)) > 0.5,
        'robot_pointmap': rng.normal(size=(height, width, 3)).astype(np.float32),
        'exact_mask': rng.random((height, width)) > 0.5,
        'pointmap_sigma': rng.random((height, width)).astype(np.float32)}


@pytest.fixture
def pair():
    """Return the two sides of one memory."""
    ours = FrameMemory()
    theirs = FrameMemory(os.dup(ours.fd))
    yield ours, theirs
    ours.close()
    theirs.close()


def test_frames_arrive_equal_in_every_slot(pair):
    ours, theirs = pair
    ours.reserve(3, frame_bytes(7, 5))
    theirs.attach(3, frame_bytes(7, 5))
    layouts = [theirs.write(slot, frame(slot)) for slot in range(3)]
    for slot in range(3):
        got = ours.read(slot, layouts[slot])
        for name, expected in frame(slot).items():
            np.testing.assert_array_equal(got[name], expected)
            assert got[name].dtype == expected.dtype
            assert not got[name].flags.writeable


def test_memory_grows_with_the_pictures(pair):
    ours, theirs = pair
    for width, height in ((7, 5), (64, 48), (7, 5)):
        size = frame_bytes(width, height)
        ours.reserve(2, size)
        theirs.attach(2, size)
        layout = theirs.write(1, frame(0, width, height))
        np.testing.assert_array_equal(ours.read(1, layout)['image'],
                                      frame(0, width, height)['image'])


def test_too_large_frame_is_refused_and_leaves_the_neighbour_alone(pair):
    ours, _ = pair
    ours.reserve(2, frame_bytes(7, 5))
    layout = ours.write(1, frame(1))
    with pytest.raises(WorldModelError, match='does not fit'):
        ours.write(0, frame(0, 32, 32))
    np.testing.assert_array_equal(ours.read(1, layout)['image'], frame(1)['image'])


def test_pictures_that_are_too_large_are_refused_before_memory_is_taken(pair):
    with pytest.raises(WorldModelError, match='use smaller images'):
        pair[0].reserve(4, (1 << 30) + 1)
    assert os.fstat(pair[0].fd).st_size == 0


def test_no_memory_is_said_before_it_is_needed(pair, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'posix_fallocate', refuse)
    with pytest.raises(WorldModelError, match='No space left'):
        pair[0].reserve(4, 1000)
