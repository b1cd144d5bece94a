# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A controller that does what ur_controllers' ScaledJointTrajectoryController does.

Its time runs at the speed of the slider, of which speed_scaling_state_broadcaster tells as well, as
a number from 0 to 100. It lags behind its stamps without limit.
"""
from jtc import Jtc
from std_msgs.msg import Float64

TOPIC = 'speed_scaling_state_broadcaster/speed_scaling'


class ScaledJtc(Jtc):
    """A `Jtc` with a slider that its driver tells of, 20 times a second, or keeps to itself."""

    def __init__(self, node, name, arm, joints=(), **settings):
        self.tells_scaling = False
        super().__init__(node, name, arm, joints, **settings)
        self._publisher = node.create_publisher(Float64, TOPIC, 1)
        self._timer = node.create_timer(0.05, self._tell)

    def reset(self):
        """Have nothing odd happen: full speed, of which nobody tells."""
        super().reset()
        self.tells_scaling = False

    def slide(self, share):
        """Set the slider, 0 to 1, and tell of it from now on."""
        self.scaling, self.tells_scaling = share, True

    def close(self):
        """Leave the graph."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)
        super().close()

    def _tell(self):
        if self.tells_scaling:
            self._publisher.publish(Float64(data=100.0 * self.scaling))
