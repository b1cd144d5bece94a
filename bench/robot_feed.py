# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A Panda at rest and its depth cameras as a process: ``python -m bench.robot_feed --help``.

Each camera publishes colour (rgb8), depth (16UC1) and calibration at one rate, the joints at
another, both from schedules that do not drift. It prints how many of each it published in a line of
JSON for each line of its input, and ends with it.
"""
from __future__ import annotations

import argparse
import json
import sys
import threading
import time

import numpy as np
import rclpy
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String

from bench.precheck import observe, PLACES, START
from bench.render import PANDA
from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.nodes.run import keep_freed_memory
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.types import PinholeCamera

_LENS = 0.68      # focal length in widths, as that of a usual depth camera


def pinhole(width: int, height: int) -> PinholeCamera:
    """Return the camera of that size."""
    return PinholeCamera(width, height, _LENS * width, _LENS * width, (width - 1) / 2,
                         (height - 1) / 2)


def camera_names(count: int) -> list[str]:
    """Return the names of so many cameras; one alone has the name of a single one."""
    return ['camera'] if count == 1 else [f'camera_{number}' for number in range(count)]


def main() -> None:
    """Publish until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--size', type=int, nargs=2, default=(1280, 720))
    parser.add_argument('--cameras', type=int, default=1, choices=range(1, len(PLACES) + 1))
    parser.add_argument('--camera-rate', type=float, default=30.0)
    parser.add_argument('--joint-rate', type=float, default=500.0)
    options = parser.parse_args()
    keep_freed_memory()
    rclpy.init()
    node = rclpy.create_node('robot_feed')
    urdf = PANDA.read_text()
    robot = Robot.from_urdf(urdf, source_dir=PANDA.parent)
    camera, meshes, messages = pinhole(*options.size), load_meshes(robot), []
    for space, place in zip(camera_names(options.cameras), PLACES.values()):
        view = observe(robot, meshes, camera, place).view
        depth = np.nan_to_num(view.depth * 1000.0).astype(np.uint16)
        header = Header(frame_id=f'{space}_optical_frame')
        messages += [
            (node.create_publisher(type(message), f'{space}/{name}', qos.PREDICTION), message)
            for name, message in (
                ('camera_info', camera_info_message(camera, header)),
                ('depth/image_raw', array_to_image(depth, header, '16UC1')),
                ('image_raw', array_to_image(view.image, header)))]
    joints = node.create_publisher(JointState, 'joint_states', qos.PREDICTION)
    state = joint_state_message(dict(zip(robot.joint_names, START)), Header())
    description = node.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION)
    description.publish(String(data=urdf))
    ending = threading.Event()
    counts = {'camera': 0, 'joints': 0, 'late': 0}

    def show() -> None:
        stamp = node.get_clock().now().to_msg()
        for publisher, message in messages:
            message.header.stamp = stamp
            publisher.publish(message)
        counts['camera'] += 1

    def feel() -> None:
        state.header.stamp = node.get_clock().now().to_msg()
        joints.publish(state)
        counts['joints'] += 1

    def repeat(rate: float, act) -> None:
        due = time.monotonic()
        while not ending.is_set():
            act()
            due += 1.0 / rate
            wait = due - time.monotonic()
            if wait > 0:
                ending.wait(wait)
            elif wait < -1.0:        # hopelessly late: give up what was missed, and say so
                counts['late'] += round(-wait * rate)
                due = time.monotonic()

    threads = [threading.Thread(target=repeat, args=(rate, act), daemon=True) for rate, act in
               ((options.joint_rate, feel), (options.camera_rate, show))]
    for thread in threads:
        thread.start()
    print(json.dumps({'ready': True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(counts | {'seconds': time.perf_counter()}), flush=True)
    ending.set()
    for thread in threads:
        thread.join()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
