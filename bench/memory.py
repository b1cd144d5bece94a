# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The memory of every node over 1,000 rollouts: it must stay flat.

The robot stands still, the camera is small so that the rollouts are quick, and each trajectory is
sent through trajectory_gate (mode monitor) when the one before has its verdict and its frames.
Viewer and recorder follow all of it; episode_player plays an episode over and over on a domain
of its own. Resident memory of each process is sampled, and compared between the second quarter,
when buffers and histories are full, and the last. The rollouts count from when the action servers
drop results, which they keep for a minute: until then shadow_sim grows. A run draws
docs/memory.svg.
"""
from __future__ import annotations

import contextlib
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionServer
from trajectory_msgs.msg import JointTrajectory

from bench.graph import Client, Graph, node, Process
from bench.plot import Panel, write_svg
from bench.precheck import motion
from bench.proc import labelled, resident_mb, shared_memory_mb
from bench.report import OUT
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import trajectory_message

PLOT = Path(__file__).parents[1] / 'docs' / 'memory.svg'
ROLLOUTS, FRAMES, SIZE, SAMPLES = 1000, 4, (96, 72), 100
SETTLED = 70.0      # [s] before they count: action servers keep results for 60
EPISODE = Path(__file__).parents[1] / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'
ALLOWED_SHARE, ALLOWED_MB = 0.03, 4.0     # growth that is still flat: of the memory, and at least
CONTROLLER = '/bench_controller'         # one that does nothing
SHARED = '/dev/shm of Fast DDS'


def measure(repeats: int) -> list[dict]:
    """Return a row per process, and draw what they used; `repeats` plays no part."""
    rows, series = follow(ROLLOUTS, SAMPLES, OUT / 'log')
    draw(series)
    print(f'drawn: {PLOT}')
    return rows


def draw(series: dict[str, list[tuple[float, float]]]) -> None:
    """Draw what `follow` returned."""
    write_svg(PLOT, [
        Panel(f'{title}, {SIZE[0]}x{SIZE[1]} pixels, {FRAMES} frames', 'rollouts',
              'resident memory [MB]',
              {name: points for name, points in series.items() if chosen(name)}, from_zero=True)
        for title, chosen in (
            ('shadow_sim', lambda name: name.startswith('shadow_sim')),
            ('other nodes', lambda name: not name.startswith('shadow_sim')))], columns=2)


def follow(rollouts: int, samples: int, log_folder: Path
           ) -> tuple[list[dict], dict[str, list[tuple[float, float]]]]:
    """Return the rows, and label -> [(rollouts so far, MB)]."""
    series: dict[str, list[tuple[float, float]]] = {}
    with contextlib.ExitStack() as ending:
        graph = ending.enter_context(Graph(
            log_folder, size=SIZE, camera_rate=10.0, joint_rate=50.0, world_model='kinematic',
            frames=FRAMES, required_tiers=[0, 1], memory_rate=1.0))
        client = graph.client
        controller = ActionServer(client.node, FollowJointTrajectory,
                                  f'{CONTROLLER}/follow_joint_trajectory', lambda goal: None)
        ending.callback(controller.destroy)
        client.node.create_subscription(JointTrajectory, f'{CONTROLLER}/joint_trajectory',
                                        lambda _: None, qos.TRAJECTORY)
        others = start_others(graph, log_folder, ending)
        trajectories = distinct(graph, 10)
        topic = client.publisher('trajectory_gate/joint_trajectory')
        client.wait(topic.get_subscription_count, 'trajectory_gate', *others.values())
        every, settled = max(1, rollouts // samples), time.monotonic() + SETTLED
        number, first = 0, None
        while first is None or number <= first + rollouts:
            one_rollout(client, topic, trajectories[number % len(trajectories)], graph.node,
                        *others.values())
            if number % every == 0:
                if first is None and time.monotonic() > settled:
                    first = number
                for label, pid in processes(graph, others).items():
                    series.setdefault(label, []).append((number, resident_mb(pid)))
                series.setdefault(SHARED, []).append((number, shared_memory_mb()))
            number += 1
    return [grown(label, [point for point in points if point[0] >= first])
            for label, points in series.items()], series


def start_others(graph: Graph, log_folder: Path,
                 ending: contextlib.ExitStack) -> dict[str, Process]:
    """Start all other nodes; they end with the stack."""
    bag = ending.enter_context(tempfile.TemporaryDirectory())
    started = {}
    for name, parameters in {
            'trajectory_gate': {'controller': CONTROLLER, 'mode': 'monitor',
                                'topic_route': 'topic'},
            'viewer': {'port': 8740}, 'recorder': {'output': f'{bag}/bag'}}.items():
        started[name] = node(log_folder, name, **parameters)
        ending.callback(started[name].end)
    started['episode_player'] = node(log_folder, 'episode_player', domain=1, episode=EPISODE,
                                     at_end='loop')
    ending.callback(started['episode_player'].end)
    return started


def one_rollout(client: Client, topic, trajectory, *processes: Process) -> None:
    """Send a trajectory and wait until all is said and shown of it."""
    with client.changed:
        client.verdicts.clear()
        client.frames.clear()
    topic.publish(trajectory)
    client.wait(lambda: client.verdicts and client.verdicts[-1][1].final
                and len(client.frames) >= FRAMES, 'verdict and frames', *processes)


def processes(graph: Graph, others: dict[str, Process]) -> dict[str, int]:
    """Return label -> process id of every process of the nodes."""
    return {label: pid for name, process in {'shadow_sim': graph.node, **others}.items()
            for label, pid in labelled(name, process.pid).items()}


def distinct(graph: Graph, count: int) -> list:
    """Return trajectories that differ a little in their speed."""
    trajectory = motion(graph.robot)
    return [trajectory_message(dataclasses.replace(
        trajectory, times=trajectory.times * (1 + number / 100),
        velocities=trajectory.velocities / (1 + number / 100))) for number in range(count)]


def grown(label: str, points: list[tuple[float, float]]) -> dict:
    """Return the row of a process: what it used in the second quarter and in the last."""
    used = [mb for _, mb in points]
    quarter = max(1, len(used) // 4)
    early, late = statistics.median(used[quarter:2 * quarter]), statistics.median(used[-quarter:])
    allowed = max(ALLOWED_MB, ALLOWED_SHARE * early)
    return {'case': label, 'rollouts': points[-1][0] - points[0][0], 'second_quarter_mb': early,
            'last_quarter_mb': late, 'growth_mb': late - early, 'allowed_mb': allowed,
            'good': late - early <= allowed}
