# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A controller that does to an arm what joint_trajectory_controller was seen to do to a real one.

`jtc_loop` has its cycle; here are its action and its topic. Feedback and results come at 20 Hz, and
until then a goal that has ended is not over: a cancel that comes in between leaves it as being
cancelled till a newer goal comes, and a newer goal makes it a cancelled one. Fields make the rest
happen: scaled speed, a late start, an arm that is held fast, a goal that never ends.
"""
import threading
import time
from dataclasses import replace

import numpy as np
from control_msgs.action import FollowJointTrajectory
from graph import READY, URDF
from jtc_loop import ControlLoop, RESULT, Settings
from jtc_tolerances import Tolerances
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import GoalEvent
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from kinema4d_ros.bridge import qos
from kinema4d_ros.robot import Robot

CLOSE = Tolerances(goal=dict.fromkeys(READY, 0.05))
_MIMICS = {name: joint.mimic for name, joint in Robot.from_urdf(URDF).joints.items()
           if joint.mimic is not None}


class Jtc:
    """Executes goals on an arm of `gate_world`, the newest only, at 200 Hz."""

    def __init__(self, node, name, arm, joints=(), tolerances=CLOSE, **settings):
        """Make it; without `joints` it has those that the newest trajectory names."""
        self._node, self.arm, self.name, self._any = node, arm, name, not joints
        self.settings, self._tolerances = Settings(joints, **settings), tolerances
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._loop, self._told, self._all = ControlLoop(self.settings), None, []
        self.goals, self.cancels = [], 0
        self.reset()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._server = ActionServer(
            node, FollowJointTrajectory, f'{name}/follow_joint_trajectory', self._execute,
            goal_callback=self._offered, cancel_callback=self._cancel)
        self._server._handle = _Answers(self._server._handle, lambda: self.loses_answers)
        self._topic = node.create_subscription(JointTrajectory, f'{name}/joint_trajectory',
                                               self._message, qos.TRAJECTORY)

    def reset(self):
        """Have nothing odd happen, and forget what is under way."""
        with self._lock:
            self.settings.tolerances = self._tolerances
            self.scaling = 1.0              # of the speed
            self.starts_late = 0.0          # [s]
            self.pauses_at = None           # [s] of the trajectory where its time stops; None: free
            self.held_at = None             # [s] from which something holds the arm; None: free
            self.never_ends = False
            self.leaves_cancelled = False   # a cancel is always taken for one that meets an ending
            self.loses_answers = False      # nobody hears whether a goal is accepted
            self.tells_feedback = True
            self.monitor = 0.05             # [s] between two looks at what there is to tell
            self.active = True              # not deactivated
            self.stalls = False             # no cycles meanwhile
            self.off = {}                   # [rad or m] by which joints are off the path
            for told in self._all:          # no thread of the executor waits on
                told.let_go.set()
            self._told, self._all, self._loop = None, [], ControlLoop(self.settings)

    def close(self):
        """Leave the graph."""
        self.reset()
        self._closed.set()
        self._thread.join(5.0)
        self._server.destroy()
        self._node.destroy_subscription(self._topic)

    @property
    def desired(self):
        """Where the trajectory under way has the joints now, by name; None before the first."""
        desired = self._loop.desired
        return None if desired is None else dict(zip(self.settings.joints, desired.tolist()))

    # ------------------------------------------------------------------ what comes

    def _offered(self, request):
        with self._lock:
            refused = not self.active or self._why_rejected(request.trajectory)
        return GoalResponse.REJECT if refused else GoalResponse.ACCEPT

    def _message(self, message):
        with self._lock:
            if self.active and self._why_rejected(message) is None:
                self._claim(message)
                self._loop.take(message)

    def _why_rejected(self, message):
        now = self._node.get_clock().now().nanoseconds
        loop = ControlLoop(replace(self.settings, joints=tuple(message.joint_names))) \
            if self._any else self._loop
        return loop.why_rejected(message, now)

    def _claim(self, message):
        if self._any and tuple(message.joint_names) != self.settings.joints:
            self.settings = replace(self.settings, joints=tuple(message.joint_names))
            self._loop = ControlLoop(self.settings)

    def _cancel(self, goal):
        with self._lock:
            self.cancels += 1
            told = self._told
            if told is not None and told.goal.goal_id == goal.goal_id \
                    and self._loop.goal is told.goal:
                self._loop.goal = None
                self._loop.hold()
                told.cancelled = not self.leaves_cancelled
        return CancelResponse.ACCEPT

    def _execute(self, goal):
        self.goals.append(goal.request)
        told = _Told(goal)
        with self._lock:
            older, self._told = self._told, told
            self._all.append(told)
            if older is not None and self._loop.goal is older.goal:
                older.end(RESULT.INVALID_GOAL, 'Current goal preempted by new incoming action.')
            elif older is not None:
                older.drop()    # nobody holds its handle any more, and what it had to tell is gone
            self._claim(goal.request.trajectory)
            self._loop.take(goal.request.trajectory, goal)
        told.let_go.wait()
        return told.result

    def deactivate(self):
        """Do what the controller manager's switch does."""
        with self._lock:
            self.active = False
            if self._told is not None and self._loop.goal is not None:
                self._told.end(RESULT.INVALID_GOAL,
                               'Current goal cancelled during deactivate transition.')
            self._told, self._loop = None, ControlLoop(self.settings)

    # ------------------------------------------------------------------ cycles

    def _spin(self):
        while not self._closed.wait(self.settings.period):
            with self._lock:
                if self.active and not self.stalls:
                    self._cycle()

    def _cycle(self):
        joints, (place, speed) = self.settings.joints, self.arm.state()
        loop, told = self._loop, self._told
        waits = told is not None and time.monotonic() - told.began < self.starts_late
        stands = self.pauses_at is not None and loop.progress >= self.pauses_at
        loop.scaling = 0.0 if waits or stands else self.scaling
        ending = loop.cycle(self._node.get_clock().now().nanoseconds,
                            np.array([place[name] for name in joints]),
                            np.array([speed.get(name, 0.0) for name in joints]))
        if ending is not None and self.never_ends:
            loop.goal = told.goal
        elif ending is not None:
            told.ending = ending
        if loop.command is not None and not (self.held_at is not None
                                             and loop.progress >= self.held_at):
            self.arm.set_moving(_with_mimics({
                name: value + self.off.get(name, 0.0)
                for name, value in zip(joints, loop.command.tolist()) if np.isfinite(value)}))
        if told is not None and time.monotonic() - told.at >= self.monitor:
            told.tell(self._feedback(place) if self.tells_feedback else None)

    def _feedback(self, place):
        joints = self.settings.joints
        return FollowJointTrajectory.Feedback(
            joint_names=list(joints),
            desired=JointTrajectoryPoint(positions=self._loop.desired.tolist()),
            actual=JointTrajectoryPoint(positions=[place[name] for name in joints]))


class _Answers:
    """The handle of an action server, whose answers to goals get lost while `lost()`."""

    def __init__(self, handle, lost):
        self._handle, self._lost = handle, lost

    def __getattr__(self, name):
        return getattr(self._handle, name)

    def __enter__(self):
        return self._handle.__enter__()

    def __exit__(self, *error):
        return self._handle.__exit__(*error)

    def send_goal_response(self, *answer):
        if not self._lost():
            self._handle.send_goal_response(*answer)


def _with_mimics(places):
    """Have the joints that follow others do so, as the mechanism of a gripper does."""
    for name in set(places) & set(_MIMICS):
        leader = _MIMICS[name]
        if leader.joint in places:
            places[name] = leader.multiplier * places[leader.joint] + leader.offset
    return places


class _Told:
    """What the client of a goal has been told of it, and is still to be."""

    def __init__(self, goal):
        self.goal, self.result, self.let_go = goal, RESULT(), threading.Event()
        self.began = self.at = time.monotonic()
        self.ending, self.cancelled = None, False

    def end(self, code, text, succeeded=False):
        """Tell it at once."""
        self.result = RESULT(error_code=code, error_string=text)
        self.goal.succeed() if succeeded else self.goal.abort()
        self.let_go.set()

    def drop(self):
        """Do what rclcpp does when the last handle of a goal goes: it counts as cancelled."""
        if self.let_go.is_set():
            return
        if not self.goal.is_cancel_requested:
            self.goal._update_state(GoalEvent.CANCEL_GOAL)      # rclpy has no public way
        self.goal.canceled()
        self.let_go.set()

    def tell(self, feedback):
        """Tell what there is, as the controller's monitor does."""
        self.at = time.monotonic()
        if self.let_go.is_set():
            return
        being_cancelled = self.goal.is_cancel_requested
        if self.cancelled and being_cancelled:
            self.goal.canceled()
            self.let_go.set()
        elif self.ending is not None and not being_cancelled:
            self.end(self.ending.code, self.ending.text, self.ending.succeeded)
        elif feedback is not None and self.ending is None and not being_cancelled:
            self.goal.publish_feedback(feedback)
