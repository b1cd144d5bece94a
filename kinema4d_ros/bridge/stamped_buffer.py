# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node has received lately: newest values, nearest in time, rates; without a node."""
from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

_JUMP_NS = 1_000_000_000   # stamps this much older than the newest mean that the clock was reset
_STAMP = attrgetter('stamp_ns')


class Entry(NamedTuple):
    """One received value."""

    stamp_ns: int
    value: Any
    arrival: float         # on the caller's steady clock [s]
    now_ns: int = 0        # ROS time of the arrival, where the caller told

    @property
    def offset_ns(self) -> int:
        """How far its stamp was ahead of ROS time on arrival."""
        return self.stamp_ns - self.now_ns


class StampedBuffer:
    """
    The last `depth` values of one topic by stamp; safe to use from any thread.

    A stamp far behind the newest (a bag that loops, a simulation that restarts) empties the
    buffer, so that nothing of the old time line is ever paired with the new one.
    """

    def __init__(self, depth: int = 30) -> None:
        """Make an empty buffer."""
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=depth)
        self._depth = depth
        self._newest_ns = 0          # greatest stamp since the last jump
        self._unsorted = 0           # values after which those that are held are in order
        self.received, self.refused, self.jumps = 0, 0, 0

    def put(self, stamp_ns: int, value: Any, arrival: float, now_ns: int = 0) -> bool:
        """Store a value; return True when the clock jumped back and the buffer was emptied."""
        with self._lock:
            self.received += 1
            jumped = len(self._entries) > 0 and stamp_ns < self._newest_ns - _JUMP_NS
            if jumped:
                self._entries.clear()
                self.jumps += 1
            self._unsorted = max(0, self._unsorted - 1)
            if self._entries and stamp_ns < self._entries[-1].stamp_ns:
                self._unsorted = self._depth
            self._newest_ns = max(stamp_ns, self._newest_ns) if self._entries else stamp_ns
            self._entries.append(Entry(int(stamp_ns), value, float(arrival), now_ns))
            return jumped

    def refuse(self, *, kept: bool = False) -> None:
        """
        Count a message that could not be used, for the diagnostics.

        :param kept: it was `put` before that turned out, so it is counted as received already.
        """
        with self._lock:
            self.received += not kept
            self.refused += 1

    def clear(self) -> None:
        """Forget the values but not the counts."""
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        """Return how many values are held."""
        return len(self._entries)

    def latest(self) -> Entry | None:
        """Return the value with the newest stamp."""
        with self._lock:
            return max(self._entries, key=lambda entry: entry.stamp_ns, default=None)

    def by_distance(self, stamp_ns: int, within_ns: int) -> list[Entry]:
        """Return the values whose stamps are at most `within_ns` away, nearest first."""
        first, last = stamp_ns - within_ns, stamp_ns + within_ns
        with self._lock:
            if self._unsorted:
                near = [each for each in self._entries if first <= each.stamp_ns <= last]
            else:      # of a second of joints it is a tenth, and a robot waits
                near = list(islice(self._entries,
                                   bisect_left(self._entries, first, key=_STAMP),
                                   bisect_right(self._entries, last, key=_STAMP)))
        return sorted(near, key=lambda entry: abs(entry.stamp_ns - stamp_ns))

    def since(self, arrival: float) -> list[Entry]:
        """Return the values that arrived at or after a time of the caller's clock [s]."""
        with self._lock:
            found = []
            for entry in reversed(self._entries):
                if entry.arrival < arrival:
                    break
                found.append(entry)
        return found

    def nearest(self, stamp_ns: int, within_ns: int) -> Entry | None:
        """Return the value nearest to a stamp, None when none is within the tolerance."""
        return next(iter(self.by_distance(stamp_ns, within_ns)), None)

    def rate(self) -> float:
        """Return the arrival rate over what is held [Hz], 0.0 with fewer than two values."""
        with self._lock:
            if len(self._entries) < 2:
                return 0.0
            span = self._entries[-1].arrival - self._entries[0].arrival
            return (len(self._entries) - 1) / span if span > 0 else 0.0

    def age(self, now: float) -> float | None:
        """Return the time since the last arrival [s], None when nothing is held."""
        with self._lock:
            return now - self._entries[-1].arrival if self._entries else None
