# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From publishing a trajectory to what comes of it, on the real graph with world model `kinematic`.

Every node is a process of its own, the camera has 720x480 pixels and depth at 30 Hz, and the
frames (49) are subscribed to. The times are only reported.
"""
from __future__ import annotations

from pathlib import Path

from bench.graph import Graph
from bench.report import OUT
from bench.timing import median, row

FRAMES, SIZE = 49, (720, 480)


def measure(repeats: int) -> list[dict]:
    """Return the rows."""
    return follow(repeats, FRAMES, SIZE, OUT / 'log')


def follow(repeats: int, frames: int, size: tuple[int, int], log_folder: Path) -> list[dict]:
    """Send a trajectory some times, each after all is done, and time what comes back."""
    seconds = {'first': [], 'last': [], 'verdict': []}
    complete = True
    with Graph(log_folder, size=size, world_model='kinematic', frames=frames,
               required_tiers=[0, 1]) as graph:
        client = graph.client
        client.wait(lambda: client.frames and client.frames[-1][1].index == frames - 1,
                    'the frames of the first rollout', graph.node)
        for number in range(repeats + 1):
            with client.changed:
                client.frames.clear()
                client.verdicts.clear()
            sent = client.send(graph.trajectory)
            client.wait(lambda: len(client.frames) >= frames and client.verdicts
                        and client.verdicts[-1][1].final, 'frames and verdict', graph.node)
            if number:       # the first is not counted
                seconds['first'].append((client.frames[0][0] - sent,) * 2)
                seconds['last'].append((client.frames[-1][0] - sent,) * 2)
                seconds['verdict'].append((client.verdicts[0][0] - sent,) * 2)
            complete &= [frame.index for _, frame in client.frames] == list(range(frames))
    what = f'{frames} frames of {size[0]}x{size[1]}, `kinematic`'
    return [row(f'trajectory published to {end}, {what}', median(seconds[name]), None, None,
                same=complete)
            for name, end in (('first', 'first predicted frame received'),
                              ('last', 'last predicted frame received'),
                              ('verdict', 'verdict of tiers 0 and 1 received'))]
