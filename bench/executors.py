# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What hearing a robot costs in each way to hear it: ``python -m bench.executors --seconds 10``.

Joint states at 500 Hz and images at 30 Hz (640x480 rgb8) come from another process. Ways: rclpy's
single-threaded executor; the same, with a thread of its own for the joint states
(`bridge.subscription_thread`); rclpy's EventsExecutor, where it has one (Kilted); and that with the
thread. One line of JSON a way: the share of one core that the hearer computes, the age of joint
states in their callback, and how many of those sent were heard.

One round of 4 s in Jazzy and one in Kilted, on two cores busy with other work (2026-11): executor
0.13 of a core and joint states 0.8 ms old; with the thread 0.08 and 0.10, 6 and 9 ms; events
executor 0.07 and 0.08, 0.4 ms. It is experimental, has one thread, heeds no callback group (with a
thread, both take messages), and its spin() in the wheels calls nobody back: the nodes keep theirs.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import Image, JointState

from bench.world import ROOT, ros_environment
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.subscription_thread import NotForExecutor, SubscriptionThread

JOINT_RATE, IMAGE_RATE = 500.0, 30.0
START_LIMIT = 10.0    # [s] until both are heard; what is not heard then is a row with zeros
#: way -> (events executor, thread)
WAYS = {'executor': (False, False), 'executor and thread': (False, True),
        'events executor': (True, False), 'events executor and thread': (True, True)}


class Hearer(NodeBase, rclpy.node.Node):
    """A node that hears both, as those of this package do: without QoS events."""


def main() -> None:
    """Measure every way that this rclpy has, or be the process that sends or hears."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--role', choices=('all', 'send', 'hear'), default='all')
    parser.add_argument('--way', choices=WAYS, default='executor')
    options = parser.parse_args()
    if options.role == 'send':
        send()
    elif options.role == 'hear':
        hear(*WAYS[options.way], options.seconds, options.way)
    else:
        measure_all(options.seconds, options.rounds)


def measure_all(seconds: float, rounds: int) -> None:
    """Print what each way says of itself, all ways in every round."""
    command = [sys.executable, '-m', 'bench.executors', '--seconds', str(seconds)]
    environment = ros_environment()
    with subprocess.Popen([*command, '--role', 'send'], cwd=ROOT, env=environment,
                          stdin=subprocess.PIPE) as sender:
        for _ in range(rounds):
            for way, (events, _) in WAYS.items():
                if not events or has_events_executor():
                    subprocess.run([*command, '--role', 'hear', '--way', way], cwd=ROOT,
                                   env=environment, check=True, timeout=seconds + 60.0)
        sender.communicate()


def has_events_executor() -> bool:
    """Return whether this rclpy has one."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return False
    return EventsExecutor is not None


def send() -> None:
    """Publish both until the input ends."""
    rclpy.init()
    node = rclpy.create_node('sender')
    joints = node.create_publisher(JointState, 'joint_states', qos.JOINT_STATES)
    images = node.create_publisher(Image, 'image', qos.PREDICTION)
    message = JointState(name=[f'joint_{i}' for i in range(7)], position=[0.0] * 7,
                         velocity=[0.0] * 7)
    image = array_to_image(np.zeros((480, 640, 3), np.uint8), message.header)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    began, count = time.monotonic(), 0
    while not ended.wait(max(0.0, began + count / JOINT_RATE - time.monotonic())):
        stamp(message)
        joints.publish(message)
        if int(count * IMAGE_RATE / JOINT_RATE) != int((count - 1) * IMAGE_RATE / JOINT_RATE):
            images.publish(image)
        count += 1
    rclpy.shutdown()


def stamp(message: JointState) -> None:
    """Give it the time of a clock that all processes of the machine share."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.monotonic_ns(), 10**9)


def hear(events: bool, thread: bool, seconds: float, way: str) -> None:
    """Hear for so long in one way, and print what it cost."""
    rclpy.init()
    node = Hearer('hearer')
    ages, images = [], []

    def take(message: JointState) -> None:
        sent = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        ages.append((time.monotonic_ns() - sent) * 1e-6)

    group = NotForExecutor() if thread else None
    subscription = node.create_subscription(JointState, 'joint_states', take, qos.JOINT_STATES,
                                            callback_group=group)
    node.create_subscription(Image, 'image', lambda _: images.append(time.monotonic()),
                             qos.PREDICTION)
    taking = SubscriptionThread(subscription) if thread else None
    if events:
        from rclpy.experimental.events_executor import EventsExecutor
        executor = EventsExecutor()
    else:
        executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin() -> None:
        # EventsExecutor.spin() of the wheels (rclpy 7.1.6 and 9.1.2) calls nobody back.
        with contextlib.suppress(ExternalShutdownException):
            while rclpy.ok():
                executor.spin_once(timeout_sec=0.1)

    threading.Thread(target=spin, daemon=True).start()
    end = time.monotonic() + START_LIMIT
    while (not ages or not images) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1.0)
    ages.clear(), images.clear()
    used, began = time.process_time(), time.monotonic()
    time.sleep(seconds)
    used, took = time.process_time() - used, time.monotonic() - began
    middle, late = np.percentile(ages, (50, 99)) if ages else (np.nan, np.nan)
    print(json.dumps({
        'way': way, 'core_share': round(used / took, 4), 'joint_age_ms': round(float(middle), 2),
        'joint_age_99_ms': round(float(late), 2), 'joints_hz': round(len(ages) / took, 1),
        'images_hz': round(len(images) / took, 1)}), flush=True)
    if taking is not None:
        taking.close()
    # An EventsExecutor may not end with its context, and nothing here is worth waiting for.
    sys.stdout.flush()
    os._exit(0)


if __name__ == '__main__':
    main()
