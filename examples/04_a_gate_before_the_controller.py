#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Put trajectory_gate in front of a controller, over real DDS, without a robot.

shadow_sim and trajectory_gate run as processes of their own; mock_robot.py stands in for the robot,
its camera and its controller, which notes what arrives. The client sends a good trajectory, and
then one that is pressed into the table.

    python examples/04_a_gate_before_the_controller.py libero_object_0_0_success
"""
import argparse
import dataclasses
import os
import threading

import numpy as np
import rclpy
from control_msgs.action import FollowJointTrajectory
from kinema4d_ros.action import Precheck
from mock_robot import answer, client, MockRobot, program, wait_until_ready
from rclpy.executors import MultiThreadedExecutor

import kinema4d_ros as k4d
from kinema4d_ros.bridge.motion import trajectory_message


def main() -> None:
    """Send two trajectories through the gate."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', help='path of an episode (.mcap), or the name of a bundled one')
    episode = k4d.Episode.open(parser.parse_args().episode)
    # whatever the shell says: that domain may have a real robot in it
    own = os.environ.get('KINEMA4D_DOMAIN_ID') or str(20 + os.getpid() % 80)
    os.environ.update(ROS_DOMAIN_ID=own, ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST')
    rclpy.init()
    robot, executor = MockRobot(episode), MultiThreadedExecutor(num_threads=4)
    executor.add_node(robot)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()

    good = episode.trajectory
    press = np.zeros_like(good.positions)
    press[:, 1] = np.linspace(0.0, 0.8, len(press))       # the second joint leans forward
    bad = dataclasses.replace(good, positions=good.positions + press, velocities=None,
                              accelerations=None)
    with program('shadow_sim', 'frames:=5'):
        client(robot, Precheck, 'shadow_sim/precheck')
        with program('trajectory_gate', 'controller:=/arm_controller', 'mode:=enforce',
                     'verdict_timeout:=60.0'):
            gate = client(robot, FollowJointTrajectory, 'trajectory_gate/follow_joint_trajectory')
            wait_until_ready(robot, 'trajectory_gate')
            for name, trajectory in (('good', good), ('bad', bad)):
                goal = FollowJointTrajectory.Goal(trajectory=trajectory_message(trajectory))
                send = executor.create_task(lambda g=goal: gate.send_goal_async(g))
                reply = answer(answer(answer(send)).get_result_async())
                print(f'the client of the {name} trajectory is told: {reply.result.error_string}')
    same = robot.arrived == [trajectory_message(good)]
    print(f'{len(robot.arrived)} trajectory arrived at the controller'
          + (', and it is the good one, unchanged' if same else ''))
    executor.shutdown()
    spinning.join()
    robot.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
