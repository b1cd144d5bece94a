# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A controller that does to an arm what joint_trajectory_controller was seen to do to a real one.

It blends from the measured position and velocity at the moment of receipt, holds the measured place
when it is cancelled, ends goals at 20 Hz, and tells its feedback as often. Fields make the rest
happen: scaled speed, a late start, an arm that is held fast, a goal that never ends, and a cancel
that meets an ending and leaves the goal as being cancelled for ever.
"""
import threading
import time

import numpy as np
from control_msgs.action import FollowJointTrajectory
from gate_world import RESULT
from graph import URDF
from rclpy.action import ActionServer, CancelResponse
from trajectory_msgs.msg import JointTrajectoryPoint

from kinema4d_ros.bridge.motion import stamp_ns, trajectory_from_message
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import JointTrajectory

ROBOT = Robot.from_urdf(URDF)
_CYCLE, _MONITOR = 0.005, 0.05      # [s]


class Jtc:
    """Executes goals on an arm of `gate_world`, the newest only."""

    def __init__(self, node, name, arm):
        self._node, self.arm, self.name = node, arm, name
        self.reset()
        self.goals, self.cancels = [], 0
        self._current, self._lock = None, threading.Lock()
        self._server = ActionServer(
            node, FollowJointTrajectory, f'{name}/follow_joint_trajectory', self._execute,
            cancel_callback=self._cancel)

    def reset(self):
        self.scaling = 1.0              # of the speed
        self.starts_late = 0.0          # [s]
        self.pauses_at = None           # [s] on the path from which it does not go on; None: free
        self.held_at = None             # [s] on the path where something holds the arm; None: free
        self.never_ends = False
        self.leaves_cancelled = False   # a cancel meets the ending: it is never said
        self.tells_feedback = True
        self.off = {}                   # [rad or m] by which joints are off the path

    def close(self):
        """Leave the graph."""
        self._server.destroy()

    def _cancel(self, _):
        self.cancels += 1
        return CancelResponse.ACCEPT

    def _execute(self, goal):
        self.goals.append(goal.request)
        with self._lock:
            older, self._current = self._current, goal
        if older is not None and older.is_active and not older.is_cancel_requested:
            older.abort()
        return self._run(goal, Path(goal.request.trajectory, self.arm, self._node))

    def _run(self, goal, path):
        began = last = told = time.monotonic()
        at = 0.0
        while True:
            time.sleep(_CYCLE)
            now = time.monotonic()
            if not goal.is_active or goal is not self._current:
                return RESULT(error_code=RESULT.INVALID_GOAL, error_string='a newer goal came')
            if goal.is_cancel_requested:        # the arm stays where it is
                self.arm.set_moving({})
                if self.leaves_cancelled:
                    continue
                goal.canceled()
                return RESULT(error_code=0, error_string='stopped')
            if now - began >= self.starts_late:
                at += (now - last) * self.scaling
            if self.pauses_at is not None:
                at = min(at, self.pauses_at)
            last = now
            wanted = path(at)
            place = wanted if self.held_at is None else path(min(at, self.held_at))
            self.arm.set_moving({name: value + self.off.get(name, 0.0)
                                 for name, value in place.items()})
            if now - told >= _MONITOR:
                told = now
                if self.tells_feedback:
                    goal.publish_feedback(self._feedback(wanted, place))
                if at >= path.duration and not self.never_ends and place == wanted:
                    goal.succeed()
                    return RESULT(error_code=0, error_string='there')

    @staticmethod
    def _feedback(wanted, place):
        return FollowJointTrajectory.Feedback(
            joint_names=list(wanted),
            desired=JointTrajectoryPoint(positions=list(wanted.values())),
            actual=JointTrajectoryPoint(positions=list(place.values())))


class Path:
    """Where a trajectory has the joints, from the state of the arm when it comes."""

    def __init__(self, message, arm, node):
        trajectory = trajectory_from_message(message)
        ahead = 0.0
        if stamp_ns(message.header.stamp):
            ahead = (stamp_ns(message.header.stamp) - node.get_clock().now().nanoseconds) * 1e-9
        times = trajectory.times + ahead
        parts = {name: getattr(trajectory, name)
                 for name in ('positions', 'velocities', 'accelerations')}
        if times[0] > 0:
            names, (place, speed) = trajectory.joint_names, arm.state()
            before = {'positions': place, 'velocities': speed, 'accelerations': {}}
            times = np.concatenate([[0.0], times])
            parts = {name: None if values is None else np.concatenate(
                [[[before[name].get(joint, 0.0) for joint in names]], values])
                for name, values in parts.items()}
        self._trajectory = JointTrajectory(trajectory.joint_names, times, **parts)
        self._start, self.duration = arm.state()[0], self._trajectory.duration

    def __call__(self, time):
        motion = sample_trajectory(self._trajectory, ROBOT,
                                   np.array([min(max(time, 0.0), self.duration)]), self._start)
        values = dict(zip(motion.joint_names, motion.positions[0].tolist()))
        for name in self._trajectory.joint_names:       # the fingers of the demo arm
            mimic = ROBOT.joints[name].mimic
            if mimic is not None:
                values[name] = mimic.multiplier * values[mimic.joint] + mimic.offset
        return {name: values[name] for name in self._trajectory.joint_names}
