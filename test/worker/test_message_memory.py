# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images beside the pipe: what is packed on one side comes out on the other, whatever is free."""
import dataclasses
import os
import pickle

import numpy as np
import pytest
from supervised import observation

from kinema4d_ros.worker.message_memory import MessageMemory, Packed
from kinema4d_ros.worker.protocol import Cancel, Remember


@pytest.fixture
def pair():
    """Return the two sides of one memory."""
    ours = MessageMemory()
    theirs = MessageMemory((os.dup(ours.fds[0]), os.dup(ours.fds[1])))
    yield ours, theirs
    ours.close()
    theirs.close()


def look(seed, width=320, height=240):
    """Return a look whose image and depth are told by a number."""
    rng = np.random.default_rng(seed)
    seen = observation(width, height)
    return dataclasses.replace(seen, stamp_ns=seed + 1).with_view(
        image=rng.integers(0, 255, (height, width, 3), np.uint8),
        depth=rng.random((height, width), np.float32))


def is_beside(data):
    return isinstance(pickle.loads(data), Packed)


def same(one, other):
    return one.stamp_ns == other.stamp_ns and np.array_equal(one.view.image, other.view.image) \
        and np.array_equal(one.view.depth, other.view.depth)


def test_looks_go_beside_the_pipe_and_belong_to_who_reads_them(pair):
    ours, theirs = pair
    read = []
    for seed in range(3):
        data = ours.pack(Remember(look(seed)))
        assert len(data) < 10_000 and is_beside(data)
        read.append(theirs.unpack(data).observation)
    assert all(same(found, look(seed)) for seed, found in enumerate(read))


def test_what_is_not_read_yet_is_not_overwritten(pair):
    """The next one goes through the pipe, and the one after that beside it again."""
    ours, theirs = pair
    first, second = ours.pack(Remember(look(1))), ours.pack(Remember(look(2)))
    assert is_beside(first) and not is_beside(second)
    assert same(theirs.unpack(first).observation, look(1))
    assert same(theirs.unpack(second).observation, look(2))
    assert is_beside(ours.pack(Remember(look(3))))


def test_it_grows_with_what_it_holds(pair):
    ours, theirs = pair
    for width in 160, 640, 320:
        sent = look(7, width)
        assert same(theirs.unpack(ours.pack(Remember(sent))).observation, sent)


def test_small_messages_and_those_without_memory_take_the_pipe(pair, monkeypatch):
    ours, theirs = pair
    data = ours.pack(Cancel(3))
    assert theirs.unpack(data) == Cancel(3) == pickle.loads(data)

    def full(*_):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'posix_fallocate', full)
    data = ours.pack(Remember(look(4)))
    assert not is_beside(data) and same(theirs.unpack(data).observation, look(4))


def test_arrays_that_nobody_may_write_stay_so(pair):
    ours, theirs = pair
    sent = look(5)
    found = theirs.unpack(ours.pack(Remember(sent))).observation
    assert found.view.depth.flags.writeable == sent.view.depth.flags.writeable
