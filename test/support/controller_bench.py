# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One face of two controllers, the test's own and the real one, so that one test is put to both."""
import os
import signal
import time

import numpy as np
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from forward_controller import ForwardController
from gate_world import Arm, Nodes
from graph import Asker, LIMIT, READY
from jtc import Jtc
from real_controller import RealController
from rclpy.action import ActionClient
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import trajectory_message
from kinema4d_ros.types import JointTrajectory as Trajectory

ARM = tuple(name for name in READY if 'finger' not in name)
PAN = ARM[0]


class Bench(Asker):
    """Sends goals to a controller of the arm and looks at what it does."""

    def __init__(self, tester):
        super().__init__(tester, ActionClient(
            tester.node, FollowJointTrajectory, 'arm_controller/follow_joint_trajectory'))
        self.topic = tester.node.create_publisher(
            JointTrajectory, 'arm_controller/joint_trajectory', qos.TRAJECTORY)
        self._set_points = tester.node.create_publisher(
            Float64MultiArray, 'forward_controller/commands', 10)
        assert self.client.wait_for_server(LIMIT)

    def command(self, *values):
        """Publish a set point for forward_command_controller."""
        self.graph.wait(self._set_points.get_subscription_count, 'the forward controller')
        self._set_points.publish(Float64MultiArray(data=list(map(float, values))))

    def offered(self, goal):
        """Send a goal and return whether it was accepted."""
        return self.graph.ask(lambda: self.client.send_goal_async(goal)).accepted

    def run(self, goal):
        """Send a goal and return status and result."""
        return self.outcome(self.send(goal))

    def reaches(self, pan, what='the arm', within=0.0):
        """Wait until the first joint has gone so far, or is `within` so much of it."""
        self.graph.wait(lambda: abs(self.pan() - pan) < within if within else self.pan() > pan,
                        what)

    def pan(self):
        """Return where the first joint is measured [rad]."""
        return self.place()[PAN]


class OurBench(Bench):
    """The controller of `jtc`."""

    def __init__(self, tester, **settings):
        self._nodes = Nodes()
        self.arm = Arm(self._nodes.node)
        self.jtc = Jtc(self._nodes.node, '/arm_controller', self.arm, ARM, **settings)
        self._forward = ForwardController(self._nodes.node, '/forward_controller', self.arm, ARM)
        super().__init__(tester)

    def home(self):
        """Have the arm stand at READY, and nothing odd happen."""
        self._forward.switch(False)
        self.jtc.reset()
        self.arm.put(READY)
        self.arm.set_moving(READY)
        self.feedback.clear()

    def place(self):
        return self.arm.state()[0]

    def desired(self):
        return self.jtc.desired

    def stall(self, seconds):
        """Have no cycles for a while."""
        self.jtc.stalls = True
        time.sleep(seconds)
        self.jtc.stalls = False

    def activate(self, yes):
        """Activate or deactivate the controller."""
        if yes:
            self.jtc.active = True
        else:
            self.jtc.deactivate()

    def forward(self):
        """Give the arm to forward_command_controller."""
        self.jtc.deactivate()
        self._forward.switch(True)

    def forwards(self):
        return self._forward.active

    def close(self):
        self._forward.close()
        self.jtc.close()
        self._nodes.close()


class RealBench(Bench):
    """ros2_controllers' own."""

    def __init__(self, tester, **parameters):
        self.real = RealController(tester, ARM, **parameters)
        super().__init__(tester)
        tester.wait(lambda: set(ARM) <= set(self.real.positions) and self.real.states, 'joints')

    def home(self):
        on = [] if self.real.state_of('arm_controller') == 'active' else ['arm_controller']
        off = ['forward_controller'] if self.forwards() else []
        if on or off:
            self.real.switch(on, off)       # at once: both command the same joints
        if max(abs(self.place()[name] - READY[name]) for name in ARM) > 1e-6:
            self.run(goal((0.3, 0.0)))
        # It stands, and the mock hardware says so.
        self.graph.wait(lambda: abs(self.pan() - READY[PAN]) < 1e-6 and not np.any(
            self.real.states[-1].feedback.velocities), 'the arm to stand')
        self.feedback.clear()

    def place(self):
        return self.real.positions

    def desired(self):
        state = self.real.states[-1]
        return dict(zip(state.joint_names, state.reference.positions))

    def stall(self, seconds):
        process = self.real.process.process
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGCONT)

    def activate(self, yes):
        self.real.switch(['arm_controller'] if yes else [], [] if yes else ['arm_controller'])

    def forward(self):
        self.real.switch(['forward_controller'], ['arm_controller'])

    def forwards(self):
        return self.real.state_of('forward_controller') == 'active'

    def close(self):
        self.real.close()


def goal(*points, stamp_ns=0, tolerances=(), names=ARM, **fields):
    """
    Return a goal of points (time [s], by how much the first joint is off READY, [speed, ...]).

    :param tolerances: (name, position) of the path.
    """
    width = max(len(point) for point in points)
    arrays = []
    for column in range(1, width):
        rest = [READY[name] for name in names] if column == 1 else [0.0] * len(names)
        rows = np.tile(rest, (len(points), 1))
        rows[:, 0] += [point[column] for point in points]
        arrays.append(rows)
    message = trajectory_message(Trajectory(tuple(names), np.array([p[0] for p in points], float),
                                            *arrays))
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    made = FollowJointTrajectory.Goal(trajectory=message, **fields)
    made.path_tolerance = [JointTolerance(name=name, position=position)
                           for name, position in tolerances]
    return made
