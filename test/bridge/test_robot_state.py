# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What drivers tell of their robot's state, read from their messages and heard on a real graph."""
import threading
import time
from types import SimpleNamespace

import pytest
import rclpy
from graph import LIMIT
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, String

from kinema4d_ros.bridge.node_base import NodeBase
from kinema4d_ros.bridge.robot_state import ROBOT_STATE_TOPICS, RobotState, why_not_ready
from kinema4d_ros.errors import ConfigurationError


def status(e_stopped=0, in_error=0, motion_possible=1, code=0):
    """Return what industrial_msgs/RobotStatus has."""
    state = {'e_stopped': e_stopped, 'in_error': in_error, 'motion_possible': motion_possible}
    return SimpleNamespace(error_code=code, **{
        name: SimpleNamespace(val=value) for name, value in state.items()})


@pytest.mark.parametrize(('kind', 'message', 'words'), [
    ('std_msgs/msg/Bool', Bool(data=True), None),
    ('std_msgs/msg/Bool', Bool(data=False), 'false'),
    ('ur_dashboard_msgs/msg/RobotMode', SimpleNamespace(mode=7), None),
    ('ur_dashboard_msgs/msg/RobotMode', SimpleNamespace(mode=5), 'mode is IDLE'),
    ('ur_dashboard_msgs/msg/RobotMode', SimpleNamespace(mode=-1), 'NO_CONTROLLER'),
    ('ur_dashboard_msgs/msg/RobotMode', SimpleNamespace(mode=99), 'mode is 99'),
    ('ur_dashboard_msgs/msg/SafetyMode', SimpleNamespace(mode=1), None),
    ('ur_dashboard_msgs/msg/SafetyMode', SimpleNamespace(mode=2), None),
    ('ur_dashboard_msgs/msg/SafetyMode', SimpleNamespace(mode=3), 'PROTECTIVE_STOP'),
    ('ur_dashboard_msgs/msg/SafetyMode', SimpleNamespace(mode=7), 'ROBOT_EMERGENCY_STOP'),
    ('franka_msgs/msg/FrankaRobotState', SimpleNamespace(robot_mode=2), None),
    ('franka_msgs/msg/FrankaRobotState', SimpleNamespace(robot_mode=4), 'REFLEX'),
    ('franka_msgs/msg/FrankaRobotState', SimpleNamespace(robot_mode=5), 'USER_STOPPED'),
    ('industrial_msgs/msg/RobotStatus', status(), None),
    ('industrial_msgs/msg/RobotStatus', status(motion_possible=-1), None),
    ('industrial_msgs/msg/RobotStatus', status(e_stopped=1), 'emergency stop'),
    ('industrial_msgs/msg/RobotStatus', status(in_error=1, code=17), 'in error 17'),
    ('industrial_msgs/msg/RobotStatus', status(motion_possible=0), 'not possible'),
    ('example_interfaces/msg/Bool', SimpleNamespace(data=False), 'false'),
    ('xarm_msgs/msg/RobotMsg', SimpleNamespace(state=2, err=0), None),
    ('xarm_msgs/msg/RobotMsg', SimpleNamespace(state=3, err=0), 'state is PAUSED'),
    ('xarm_msgs/msg/RobotMsg', SimpleNamespace(state=4, err=0), 'state is STOPPED'),
    ('xarm_msgs/msg/RobotMsg', SimpleNamespace(state=2, err=31), 'in error 31')])
def test_states_that_drivers_tell(kind, message, words):
    found = why_not_ready(kind, message)
    assert found is None if words is None else words in found


class NodeWithoutQosEvents(NodeBase, Node):
    """A node as those of the package."""


class Listener:
    """A node that hears the states `topics`, and one that tells them."""

    def __init__(self, *topics):
        self.context, self.elsewhere = rclpy.Context(), rclpy.Context()
        self.context.init()
        self.elsewhere.init()
        self.node = NodeWithoutQosEvents('listener', namespace='cell', context=self.context)
        self.driver = Node('driver', namespace='cell', context=self.elsewhere)
        self.changes = []
        self.state = RobotState(self.node, topics, on_change=lambda: self.changes.append(1))
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        threading.Thread(target=self.executor.spin, daemon=True).start()

    def publisher(self, topic, kind=Bool, *, latched=False):
        return self.driver.create_publisher(kind, topic, QoSProfile(
            depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL if latched
            else DurabilityPolicy.VOLATILE))

    def says(self, words, call=lambda: None):
        """Wait until it is not ready for a reason with these words; ready where these are None."""
        end = time.monotonic() + LIMIT
        while True:
            call()
            reason = self.state.why_not_ready()
            if reason is None if words is None else reason is not None and words in reason:
                return
            assert time.monotonic() < end, reason
            time.sleep(0.02)

    def close(self):
        self.state.close()
        self.executor.shutdown()
        self.context.try_shutdown()
        self.elsewhere.try_shutdown()


@pytest.fixture
def listener(module_ros_domain):
    made = []

    def make(*topics):
        made.append(Listener(*topics))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize('latched', [True, False])
def test_a_bool_of_ones_own_must_be_heard_and_true(listener, latched):
    cell = listener('ready', '!stopped')
    cell.says('nobody publishes it')
    stopped, ready = (cell.publisher(topic, latched=latched) for topic in ('stopped', 'ready'))

    def tell(is_ready, is_stopped):
        def call():
            ready.publish(Bool(data=is_ready))
            stopped.publish(Bool(data=is_stopped))
        return call

    for is_ready, is_stopped, words in ((True, False, None), (False, False, '/cell/ready: it is f'),
                                        (True, True, '/cell/stopped: it is true'),
                                        (True, False, None)):
        call = tell(is_ready, is_stopped)
        if latched:         # once must do, however late the other side is found
            call()
            call = lambda: None     # noqa: E731
        cell.says(words, call)
    assert cell.changes
    cell.driver.destroy_publisher(ready)
    cell.says('/cell/ready: nobody publishes it any more')


def test_known_drivers_may_be_absent_but_not_unheard(listener):
    cell = listener(*ROBOT_STATE_TOPICS)
    assert cell.state.why_not_ready() is None
    program = cell.publisher('io_and_status_controller/robot_program_running', latched=True)
    cell.says('published, and not heard yet')
    program.publish(Bool(data=False))
    cell.says('robot_program_running: it is false')
    program.publish(Bool(data=True))
    cell.says(None)


def test_a_state_in_messages_that_are_not_installed_is_not_known(listener):
    cell = listener('arm ur_dashboard_msgs/msg/SafetyMode')
    cell.says('nobody publishes it')
    cell.publisher('arm', String)
    cell.says('ur_dashboard_msgs is not installed here' if not installed('ur_dashboard_msgs')
              else 'it publishes std_msgs/msg/String')


def test_a_state_of_another_type_is_not_known(listener):
    cell = listener('ready')
    cell.publisher('ready', String)
    cell.says('it publishes std_msgs/msg/String, not std_msgs/msg/Bool')


def installed(package):
    try:
        __import__(f'{package}.msg')
    except ImportError:
        return False
    return True


@pytest.mark.parametrize('entry', ['!', '!arm ur_dashboard_msgs/msg/RobotMode', 'a b c',
                                   'arm std_msgs/msg/String'])
def test_entries_that_cannot_be_read(listener, entry):
    with pytest.raises(ConfigurationError, match=r'must be TOPIC|are not known, valid: std_msgs'):
        listener(entry)
