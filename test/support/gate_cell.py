# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An arm and its hand with the controllers of `jtc`, a gate before each, and a shadow_sim."""
import contextlib

from gate_bench import Gate
from gate_world import Arm, Nodes, ShadowSim, SUCCEEDED
from graph import made, READY, swing
from jtc import Jtc
from rclpy.qos import DurabilityPolicy, QoSProfile
from scaled_jtc import ScaledJtc
from std_msgs.msg import Bool

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ARM = [name for name in READY if 'finger' not in name]
FINGERS = [name for name in READY if 'finger' in name]


class Cell:
    """An arm with a controller for its joints and one for its fingers, and a gate for each."""

    def __init__(self, graph, tester):
        self.graph, self.node = tester, graph.node
        self.arm, self.shadow = Arm(graph.node), ShadowSim(graph.node)
        self.jtc = ScaledJtc(graph.node, '/arm_controller', self.arm)
        self.hand = Jtc(graph.node, '/hand_controller', self.arm)
        self.ready = graph.node.create_publisher(Bool, 'ready', LATCHED)
        self.is_ready(True)
        # A busy machine keeps the arm from telling its joints for a while.
        self.gate = Gate(tester, '/arm_controller', robot_state_topics=['ready'],
                         max_joint_age=2.0)
        self.hand_gate = Gate(tester, '/hand_controller', 'hand_gate', max_joint_age=2.0)

    def is_ready(self, data):
        self.ready.publish(Bool(data=data))

    def reset(self):
        self.jtc.reset()
        self.hand.reset()
        self.shadow.reset()
        self.arm.put(READY)
        self.is_ready(True)
        self.gate.wait(lambda: self.gate.status()[1] == 'ready')
        self.stands()
        self.since = len(self.gate.decisions)

    def stands(self):
        """Wait until neither gate can take the arm for moving any more."""
        stamp = self.node.get_clock().now().nanoseconds
        for gate in self.gate, self.hand_gate:
            gate.hears(lambda heard: heard > stamp + 300_000_000)

    def sent(self, gate, trajectory):
        """Send a goal, and return its handle when it is forwarded."""
        since = len(gate.decisions)
        handle = gate.send(trajectory)
        gate.decided('forward', since)
        return handle

    def passes(self, trajectory):
        status, result = self.gate.run(trajectory)
        assert status == SUCCEEDED, result.error_string


@contextlib.contextmanager
def started():
    """Give a cell whose gates are ready, and insist on a clean end."""
    graph = Nodes()
    try:
        with made() as tester:
            cell = Cell(graph, tester)
            try:
                cell.gate.ready()
                cell.hand_gate.ready()
                yield cell
            finally:
                cell.gate.stop()
                cell.hand_gate.stop()
    finally:
        graph.close()


def part(names, angle=0.3, seconds=1.0, start=None):
    """Return a trajectory of these joints of which the first goes by `angle`."""
    message = swing(angle, start, seconds)
    index = [message.joint_names.index(name) for name in names]
    for point in message.points:
        point.positions = [point.positions[i] for i in index]
    message.points[-1].positions[0] = message.points[0].positions[0] + angle
    message.joint_names = list(names)
    return message
