#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From a policy's server to the controller: proxy, gate and viewer, over real DDS, without a robot.

A server speaks the WebSocket protocol of openpi; its policy is a recording, and a real one is
reached by its address instead. policy_proxy stands between it and the robot's client, and has each
chunk judged by shadow_sim before the client sees it; where nothing passed, it answers a chunk that
holds still. trajectory_gate stands before the controller and asks again, for clients that go past
the proxy. mock_robot.py stands in for robot, camera and controller; the viewer shows it all.

    python examples/08_a_policy_server.py libero_spatial_0_0_into_table
"""
import argparse
import contextlib
import os
import threading
import time
from pathlib import Path

import numpy as np
import rclpy
from control_msgs.action import FollowJointTrajectory
from kinema4d_ros.action import Precheck
from mock_robot import answer, client, MockRobot, program, wait_until_ready
from rclpy.executors import MultiThreadedExecutor

import kinema4d_ros as k4d
from kinema4d_ros.bridge.motion import trajectory_message

PRESET = Path(__file__).with_name('08_policy.yaml')
CHUNK = 10      # actions


class RecordedPolicy:
    """Answers the next half second of a recorded plan, from wherever the robot is on it."""

    def __init__(self, episode: k4d.Episode, robot: k4d.Robot, form: k4d.ActionFormat):
        """Make a policy of the plan of an episode."""
        self.action_format = form
        times = np.arange(0.0, episode.trajectory.duration, 1.0 / form.rate)
        plan = k4d.robot.sample_trajectory(episode.trajectory, robot, times,
                                           episode.observation().joint_positions).positions
        columns = [robot.joint_names.index(name) for name in form.joints]
        finger = robot.joint_names.index('panda_finger_joint1')
        self._plan = np.hstack([plan[:, columns], plan[:, [finger]] / 0.04])

    def reset(self, instruction: str, seed: int) -> None:
        """Begin anew; it remembers nothing."""

    def act(self, observation: k4d.PolicyObservation) -> np.ndarray:
        """Return the actions after the place on the plan that is nearest."""
        here = [observation.joint_positions[name] for name in self.action_format.joints]
        step = int(np.linalg.norm(self._plan[:, :len(here)] - here, axis=1).argmin())
        return self._plan[step + 1:step + 1 + CHUNK]


def main() -> None:
    """Ask chunk after chunk through the proxy, until one is held."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('episode', help='path of an episode (.mcap), or the name of a bundled one')
    episode = k4d.Episode.open(parser.parse_args().episode)
    robot = k4d.Robot.from_urdf(episode.robot_description)
    preset = k4d.policy.PolicyPreset.load(PRESET)
    form = preset.action_format(robot)
    keys = k4d.policy.wire.preset_keys(preset, robot, form)
    reader = k4d.ActionReader(robot, form)
    # whatever the shell says: that domain may have a real robot in it
    own = os.environ.get('KINEMA4D_DOMAIN_ID') or str(20 + os.getpid() % 80)
    os.environ.update(ROS_DOMAIN_ID=own, ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST')
    rclpy.init()
    cell, executor = MockRobot(episode), MultiThreadedExecutor(num_threads=4)
    executor.add_node(cell)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()

    def drive(trajectory: k4d.JointTrajectory) -> str:
        goal = FollowJointTrajectory.Goal(trajectory=trajectory_message(trajectory))
        send = executor.create_task(lambda: gate.send_goal_async(goal))
        return answer(answer(answer(send)).get_result_async()).result.error_string

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(k4d.policy.wire.serve_policy(
            lambda: RecordedPolicy(episode, robot, form), keys, robot=robot, port=0))
        port = int(server.address.rpartition(':')[2]) + 1
        stack.enter_context(program('shadow_sim', 'frames:=5'))
        client(cell, Precheck, 'shadow_sim/precheck')
        for name, *parameters in (
                ('trajectory_gate', 'controller:=/arm_controller', 'mode:=enforce',
                 'verdict_timeout:=60.0'),
                ('policy_proxy', f'server:={server.address}', f'preset:={PRESET}',
                 f'port:={port}', 'verdict_timeout:=60.0', 'answer_timeout:=60.0'),
                ('viewer',)):
            stack.enter_context(program(name, *parameters))
        gate = client(cell, FollowJointTrajectory, 'trajectory_gate/follow_joint_trajectory')
        wait_until_ready(cell, 'shadow_sim')
        wait_until_ready(cell, 'trajectory_gate')
        wait_until_ready(cell, 'policy_proxy')
        proxied, direct = (stack.enter_context(k4d.policy.wire.PolicyClient(
            address, form, keys, robot=robot, timeout=60.0))
            for address in (f'ws://127.0.0.1:{port}', server.address))
        print('time    proxy')
        seen, now, sent, tries = episode.observation(), 0.0, 0, 5
        while tries:
            told = k4d.PolicyObservation(episode.metadata.task_text, {'exterior': seen.view.image},
                                         seen.joint_positions, now)
            reply = proxied.infer(k4d.policy.wire.Translator(keys, robot).request(told))
            verdict, actions = reply['kinema4d/verdict'], np.asarray(reply['actions'])
            print(f'{now:.2f} s  {verdict["status"]}  {verdict["summary"]}')
            if verdict['held'] and verdict['status'] == 'UNSURE':
                tries -= 1
                time.sleep(len(actions) / form.rate)    # it holds still, and asks again
                continue
            if verdict['held']:
                raw = reader.trajectory(direct.act(told), seen.joint_positions)
                print(f'        past the proxy, the gate says: {drive(raw)}')
                break
            said = drive(reader.trajectory(actions, seen.joint_positions))
            print(f'        the gate says: {said}')
            sent, now = sent + 1, now + len(actions) / form.rate
            if now >= episode.trajectory.duration:
                break
            nearest = int(np.abs(episode.frames.times - now).argmin())
            seen = episode.observation(nearest - episode.start_index)
            cell.show(seen)
    print(f'{len(cell.arrived)} trajectories arrived at the controller, '
          + ('all of them checked' if len(cell.arrived) == sent else f'and {sent} were checked'))
    executor.shutdown()
    spinning.join()
    cell.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
