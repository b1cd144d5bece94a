# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the processes of a launch take before anything is asked of them: ``python -m bench.idle``.

shadow_sim with its workers, trajectory_gate, viewer and recorder beside a small camera, each a
process of its own; once the first verdict is out, one line of JSON for each: resident memory, its
share of it (pages that several processes use are shared out among them), the part of it that Fast
DDS has for messages, and processor time until then.

On two busy cores, 2026-11-30, before and after nodes load only what they need, after the imports
alone: shadow_sim 249 and 101 MB (0.96 and 0.37 s), trajectory_gate 197 and 70 MB (0.66 and 0.22 s),
recorder 230 and 98 MB (0.90 and 0.34 s), episode_player 243 and 96 MB (1.04 and 0.35 s).

All of this launch: 2107 MB once, then 1528 (each page once: 960), 1162 (671) since viewer and
recorder have a small segment, and only what uses them loads Numba and coal, and 1086 (623) since
the viewer does without trimesh and SciPy, the recorder without OpenCV. Since only pictures load
OpenCV, and no recorder reads robots: 1044 (617).
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections import Counter
from pathlib import Path

from bench.graph import Graph, node
from bench.proc import cpu_seconds, labelled
from bench.report import OUT
from bench.world import ros_environment

SIZE, REST = (96, 72), 5.0     # [px]; [s] after the first verdict
OTHERS = {'trajectory_gate': {'controller': '/arm_controller'}, 'viewer': {'port': 8741},
          'recorder': {}}


def memory_of(pid: int) -> dict[str, float]:
    """Return the memory of a process [MB]: resident, its share, and of that in /dev/shm."""
    found: Counter[str] = Counter()
    is_shared = False
    for line in Path(f'/proc/{pid}/smaps').read_text().splitlines():
        key, _, rest = line.partition(':')
        if key in ('Rss', 'Pss'):
            found[key] += int(rest.split()[0])
            found['shm'] += int(rest.split()[0]) if is_shared and key == 'Rss' else 0
        elif '-' in key.partition(' ')[0]:       # the first line of a mapping
            is_shared = '/dev/shm/' in line
    return {name: found[key] * 1.024e-3 for name, key in (
        ('resident_mb', 'Rss'), ('share_mb', 'Pss'), ('dev_shm_mb', 'shm'))}


def measure_idle(folder: Path) -> list[dict]:
    """Return a row per process, and their sum."""
    began = time.monotonic()
    with contextlib.ExitStack() as ending:
        graph = ending.enter_context(Graph(
            folder, size=SIZE, camera_rate=5.0, joint_rate=50.0, hears_frames=False,
            world_model='kinematic', required_tiers=[0, 1]))
        ready = time.monotonic() - began
        processes = {'shadow_sim': graph.node}
        for name, parameters in OTHERS.items():
            more = {'output': str(folder / f'bag{os.getpid()}')} if name == 'recorder' else {}
            processes[name] = node(folder, name, **parameters, **more)
            ending.callback(processes[name].end)
        for name in OTHERS:
            graph.client.wait(lambda name=name: name in graph.client.node.get_node_names(), name,
                              *processes.values())
        time.sleep(REST)
        rows = [{'process': label, **memory_of(pid), 'cpu_s': cpu_seconds(pid)}
                for name, process in processes.items()
                for label, pid in labelled(name, process.pid).items()]
    keys = [key for key in rows[0] if key != 'process']
    return [*rows, {'process': 'all', **{key: sum(row[key] for row in rows) for key in keys},
                    'first_verdict_s': ready}]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--out', type=Path, default=OUT)
    options = parser.parse_args()
    os.environ.update(ros_environment())
    for row in measure_idle(options.out / 'log'):
        print(json.dumps({key: round(value, 2) if isinstance(value, float) else value
                          for key, value in row.items()}), flush=True)


if __name__ == '__main__':
    main()
