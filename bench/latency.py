# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Latency of a 5.5 MB cloud from publish() to the callback, shipped settings against the default.

Shipped: the Fast DDS profile (config/fastdds.xml) and the allocator setting of every executable.
Goal: at most half, within a process and between two. One cloud is under way at a time, and the
bytes that arrive are compared.
"""
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Self

from bench.latency_peer import payload
from bench.timing import median, rounds, row
from bench.world import ROOT, ros_environment

BYTES = 480 * 720 * 16
GOAL = 0.5
BURST = 5       # clouds of one pair before another has its turn


class Pair:
    """A sender and a hearer: one process, or two."""

    def __init__(self, domain: int, settings: str, processes: int, size: int):
        """Start the processes; entering waits until they know each other."""
        environment = ros_environment(domain, profile=settings == 'shipped')
        roles = ('both',) if processes == 1 else ('hear', 'send')
        self._peers = [subprocess.Popen(
            [sys.executable, '-m', 'bench.latency_peer', role, settings, str(size)],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for role in roles]
        self._crc = zlib.crc32(payload(size))
        self.same = True

    def __enter__(self) -> Self:
        """Wait until they know each other."""
        for peer in self._peers:
            self._read(peer)
        return self

    def __exit__(self, *_) -> None:
        """End them."""
        for peer in self._peers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                peer.communicate(timeout=10.0)
            peer.kill()

    def measure(self) -> float:
        """Send a cloud and return its latency [s]."""
        self._peers[-1].stdin.write('\n')
        self._peers[-1].stdin.flush()
        reply = self._read(self._peers[0])
        self.same &= reply['crc'] == self._crc
        return reply['seconds']

    def largest_segment(self) -> int:
        """Return the bytes of the largest shared memory segment that a process has made."""
        return max((int(end, 16) - int(begin, 16) for peer in self._peers
                    for names in [own_segments(peer.pid)]
                    for line in Path(f'/proc/{peer.pid}/maps').read_text().splitlines()
                    if line.split('/')[-1] in names and '/dev/shm/' in line
                    for begin, end in [line.split()[0].split('-')]), default=0)

    def _read(self, peer: subprocess.Popen) -> dict:
        line = peer.stdout.readline()
        if not line:
            raise RuntimeError(f'{" ".join(peer.args)} ended with exit code {peer.wait()}')
        return json.loads(line)


def own_segments(pid: int) -> set[str]:
    """
    Return the names of the shared memory that a process has made for Fast DDS.

    It maps those of others on its domain as well; only of its own it holds the lock, NAME_el.
    """
    names = set()
    for link in Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(OSError):
            name = os.path.basename(os.readlink(link))
            if name.startswith(('fastrtps_', 'fastdds_')) and name.endswith('_el'):
                names.add(name.removesuffix('_el'))
    return names


def measure(repeats: int) -> list[dict]:
    """Return a row for one process and one for two."""
    return compare(repeats, BYTES, BURST)


def compare(repeats: int, size: int, burst: int) -> list[dict]:
    """Return the rows for clouds of so many bytes."""
    wanted = [(settings, processes) for settings in ('shipped', 'default')
              for processes in (1, 2)]
    with contextlib.ExitStack() as stack:
        # Domains apart, so that no pair maps the shared memory of another.
        started = {key: Pair(number, *key, size) for number, key in enumerate(wanted)}
        pairs = {key: stack.enter_context(pair) for key, pair in started.items()}
        seconds: dict = {key: [] for key in pairs}
        for counted, key in rounds(pairs, repeats):
            for _ in range(burst):
                took = pairs[key].measure()
                if counted:
                    seconds[key].append((took, took))
        segments = {key: pair.largest_segment() for key, pair in pairs.items()}
    rows = []
    for processes, where in ((1, 'within a process'), (2, 'from process to process')):
        ours, usual = ('shipped', processes), ('default', processes)
        rows.append(row(
            f'latency of a {size / 1e6:.1f} MB cloud {where}, against default settings',
            median(seconds[ours]), median(seconds[usual]), GOAL,
            same=pairs[ours].same and pairs[usual].same,
            shared_memory_mb=segments[ours] / 1e6, default_shared_memory_mb=segments[usual] / 1e6))
    return rows
