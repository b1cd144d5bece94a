# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared memory of frames: what one side writes, the other reads."""
import dataclasses
import errno
import os
import types

import numpy as np
import pytest

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import EventKind, PinholeCamera, PredictedFrame, WorldEvent
from kinema4d_ros.worker.frame_memory import frame_bytes, FrameMemory
from kinema4d_ros.worker.rollout_frame import RobotFrame, RolloutFrame


def frame(seed, width=7, height=5):
    """Return a frame whose arrays have odd sizes, so that alignment matters."""
    rng = np.random.default_rng(seed)
    return RolloutFrame(
        PredictedFrame(
            seed, 3, 0.1, rng.integers(0, 256, (height, width, 3), np.uint8),
            rng.normal(size=(height, width, 3)).astype(np.float32),
            rng.random((height, width)) > 0.5,
            events=(WorldEvent(EventKind.GRASP, 0.1, rng.normal(size=3), 'taken'),),
            carried_point_base=rng.normal(size=3),
            pointmap_sigma=rng.random((height, width)).astype(np.float32)),
        RobotFrame(PinholeCamera(width, height, 9.0, 9.0, 3.0, 2.0), rng.normal(size=(4, 4)),
                   {'j': 0.5}, rng.normal(size=(height, width, 3)).astype(np.float32),
                   rng.random((height, width)) > 0.5))


def arrays(frame):
    """Return name -> array of all of a frame."""
    parts = {**vars(frame.predicted), **{f'robot {name}': value
                                         for name, value in vars(frame.robot).items()},
             'event': frame.predicted.events[0].point_base}
    return {name: value for name, value in parts.items() if isinstance(value, np.ndarray)}


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
    stored = [theirs.write(slot, frame(slot)) for slot in range(3)]
    for slot in range(3):
        got = ours.read(slot, stored[slot])
        assert len(arrays(got)) == 9 and got.robot.joint_positions == {'j': 0.5}
        assert (got.predicted.index, got.robot.camera) == (slot, frame(slot).robot.camera)
        for name, expected in arrays(frame(slot)).items():
            np.testing.assert_array_equal(arrays(got)[name], expected)
            assert arrays(got)[name].dtype == expected.dtype
            assert not arrays(got)[name].flags.writeable


def test_memory_grows_with_the_pictures(pair):
    ours, theirs = pair
    for width, height in ((7, 5), (64, 48), (7, 5)):
        size = frame_bytes(width, height)
        ours.reserve(2, size)
        theirs.attach(2, size)
        stored = theirs.write(1, frame(0, width, height))
        np.testing.assert_array_equal(ours.read(1, stored).predicted.image,
                                      frame(0, width, height).predicted.image)


def test_too_large_frame_is_refused_and_leaves_the_neighbour_alone(pair):
    ours, _ = pair
    ours.reserve(2, frame_bytes(7, 5))
    stored = ours.write(1, frame(1))
    with pytest.raises(WorldModelError, match='does not fit'):
        ours.write(0, frame(0, 32, 32))
    np.testing.assert_array_equal(ours.read(1, stored).predicted.image,
                                  frame(1).predicted.image)


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


def test_arrays_that_lie_in_pieces_are_brought_together(pair):
    """A model may give colours in another order, or in double precision."""
    ours, _ = pair
    ours.reserve(1, frame_bytes(7, 5))
    plain = frame(0).predicted
    rollout = types.SimpleNamespace(
        camera=None, T_base_camera=np.eye(4)[None], joint_names=('j',), positions=np.zeros((1, 1)),
        others=(), seen=lambda _: (np.ones((5, 7, 3), np.float32), np.zeros((5, 7), np.int16),
                                   plain.image))
    odd = dataclasses.replace(plain, image=plain.image[..., ::-1],
                              pointmap_sigma=plain.pointmap_sigma.astype(np.float64))
    stored = ours.write(0, RolloutFrame.of(odd, rollout))
    assert len(stored.pickled) < 2000
    got = ours.read(0, stored)
    np.testing.assert_array_equal(got.predicted.image, plain.image[..., ::-1])
    assert got.predicted.pointmap_sigma.dtype == np.float32 and got.robot.mask.all()
