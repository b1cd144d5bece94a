# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What was received lately: nearest in time, clock jumps, rates."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.bridge.stamped_buffer import StampedBuffer

S = 1_000_000_000


def filled(*stamps, depth=30):
    """Return a buffer whose values are their own stamps, one arrival per 0.1 s."""
    buffer = StampedBuffer(depth)
    for index, stamp in enumerate(stamps):
        buffer.put(stamp, stamp, index * 0.1)
    return buffer


def test_empty():
    buffer = StampedBuffer()
    assert buffer.latest() is None and buffer.nearest(0, S) is None
    assert buffer.rate() == 0.0 and buffer.age(1.0) is None and len(buffer) == 0


def test_nearest_and_latest():
    buffer = filled(S, 2 * S, int(1.5 * S))
    assert buffer.latest().value == 2 * S            # by stamp, not by arrival
    assert buffer.nearest(int(1.6 * S), S).value == int(1.5 * S)
    assert buffer.nearest(4 * S, S) is None
    assert [e.value for e in buffer.by_distance(2 * S, S)] == [2 * S, int(1.5 * S), S]


@given(st.lists(st.integers(0, S), min_size=1, max_size=40), st.integers(0, S))
def test_nearest_is_nearest(stamps, wanted):
    kept = stamps[-30:]
    found = filled(*stamps).nearest(wanted, 2 * S)
    assert abs(found.stamp_ns - wanted) == min(abs(stamp - wanted) for stamp in kept)


@given(st.lists(st.integers(0, 60), max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_all_that_are_near_are_found_in_whatever_order_they_came(stamps, wanted, within):
    buffer = StampedBuffer(5)
    for index, stamp in enumerate(stamps):
        buffer.put(stamp, index, 0.0)
        kept = [(abs(at - wanted), number) for number, at in enumerate(stamps[:index + 1])][-5:]
        assert [each.value for each in buffer.by_distance(wanted, within)] \
            == [number for away, number in sorted(kept) if away <= within]


def test_a_clock_that_jumps_back_empties_the_buffer():
    buffer = filled(100 * S, 101 * S)
    assert buffer.put(5 * S, 'new', 0.3) is True and buffer.jumps == 1
    assert [e.value for e in buffer.by_distance(100 * S, 1000 * S)] == ['new']
    assert buffer.put(5 * S - 1, 'late', 0.4) is False      # a little disorder is no jump


def test_what_came_since():
    assert [entry.value for entry in filled(5, 3, 4).since(0.1)] == [4, 3]
    assert filled(5).since(9.0) == []


def test_counts_rate_and_age():
    buffer = filled(0, 1, 2, 3, depth=3)
    buffer.refuse()
    assert (buffer.received, buffer.refused, len(buffer)) == (5, 1, 3)
    assert buffer.rate() == pytest.approx(10.0) and buffer.age(0.5) == pytest.approx(0.2)
    buffer.clear()
    assert len(buffer) == 0 and buffer.received == 5
    same = StampedBuffer()
    same.put(0, 'a', 1.0)
    same.put(1, 'b', 1.0)
    assert same.rate() == 0.0
