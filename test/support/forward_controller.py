# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A controller that does to an arm what forward_command_controller does with position commands.

A set point has neither names nor times nor an end: the arm has it within one cycle, however far
that is, and keeps it for ever. One that is not finite is dropped; one of another size deactivates
the controller. Its topic stays subscribed then, and what comes is lost.
"""
import threading

import numpy as np
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64MultiArray


class ForwardController:
    """Commands `joints` of an arm of `gate_world`, in this order, at 200 Hz."""

    PERIOD = 0.005      # [s]

    def __init__(self, node, name, arm, joints):
        self._node, self.arm, self.joints = node, arm, joints
        self._lock, self._closed = threading.Lock(), threading.Event()
        self.active, self.set_point, self.commands = True, None, []
        self._topic = node.create_subscription(Float64MultiArray, f'{name}/commands', self._take,
                                               QoSProfile(depth=10))
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def switch(self, active):
        """Activate or deactivate it, as the controller manager does: nothing is kept."""
        with self._lock:
            self.active, self.set_point = active, None

    def close(self):
        """Leave the graph."""
        self._closed.set()
        self._thread.join(5.0)
        self._node.destroy_subscription(self._topic)

    def _take(self, message):
        with self._lock:
            self.commands.append(list(message.data))
            if np.isfinite(message.data).all():
                self.set_point = list(message.data)

    def _spin(self):
        while not self._closed.wait(self.PERIOD):
            with self._lock:
                # An empty one is none: the controller looks whether all of it is not a number.
                if not self.active or not self.set_point:
                    continue
                if len(self.set_point) != len(self.joints):
                    self.active, self.set_point = False, None
                    continue
                self.arm.set_moving(dict(zip(self.joints, self.set_point)))


class VelocityController(ForwardController):
    """The same of velocities: an arm goes on moving by the last one for ever."""

    def _spin(self):
        while not self._closed.wait(self.PERIOD):
            with self._lock:
                if not self.active or not self.set_point:
                    continue
                if len(self.set_point) != len(self.joints):
                    self.active, self.set_point = False, None
                    continue
                joints, _ = self.arm.state()
                self.arm.set_moving({name: joints[name] + speed * self.PERIOD for name, speed in
                                     zip(self.joints, self.set_point)})
