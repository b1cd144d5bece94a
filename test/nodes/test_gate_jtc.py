# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_gate before what joint_trajectory_controller does otherwise than one would think."""
import time

import pytest
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from gate_cell import started
from gate_world import ABORTED, RESULT, SUCCEEDED
from graph import ahead, swing
from jtc_tolerances import Tolerances
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge import qos

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope='module')
def shared_cell(module_ros_domain):
    with started() as cell:
        yield cell


@pytest.fixture
def cell(shared_cell):
    shared_cell.reset()
    return shared_cell


def is_beyond(cell, pan):
    cell.graph.wait(lambda: cell.arm.joints['shoulder_pan_joint'] > pan, 'the arm')


def test_a_result_that_the_controller_loses_is_told_all_the_same(cell):
    """A newer goal came when the older had ended and its result was not told yet."""
    cell.jtc.monitor = 0.6
    older = cell.sent(cell.gate, swing(0.2, seconds=0.5))
    reply = older.get_result_async()
    is_beyond(cell, 0.2 - 1e-6)
    newer = cell.sent(cell.gate, swing(0.2, ahead(0.2), seconds=0.5))
    is_beyond(cell, 0.21)
    cell.jtc.monitor = 0.05
    assert cell.gate.outcome(newer)[0] == SUCCEEDED
    cell.graph.wait(reply.done, 'the end of the older', limit=6.0)
    assert 'the joints' in reply.result().result.error_string


def test_a_stall_of_the_controller_is_no_fault_of_the_path(cell):
    """Its time jumps, and the joints with it: 0.1 rad in one cycle, along what was checked."""
    handle = cell.sent(cell.gate, swing(0.4, seconds=2.0))
    is_beyond(cell, 0.1)
    cell.jtc.stalls = True
    began = time.monotonic()
    cell.graph.wait(lambda: time.monotonic() > began + 0.5, 'the stall')
    cell.jtc.stalls = False
    status, result = cell.gate.outcome(handle)
    assert status == SUCCEEDED, result.error_string


def test_a_message_past_the_gate_is_seen_in_the_joints(cell):
    """The controller goes over to it, and keeps the goal of the gate's client."""
    publisher = cell.node.create_publisher(JointTrajectory, '/arm_controller/joint_trajectory',
                                           qos.TRAJECTORY)
    try:
        handle = cell.sent(cell.gate, swing(0.4, seconds=2.0))
        is_beyond(cell, 0.05)
        cell.graph.wait(publisher.get_subscription_count, 'the controller')
        foreign = swing(0.0, ahead(-0.5), seconds=1.0)
        del foreign.points[0]
        publisher.publish(foreign)
        status, result = cell.gate.outcome(handle)
        assert (status, result.error_code) == (ABORTED, RESULT.PATH_TOLERANCE_VIOLATED)
        assert 'shoulder_pan_joint is' in result.error_string
    finally:
        cell.node.destroy_publisher(publisher)


def test_a_controller_that_is_deactivated(cell):
    handle = cell.sent(cell.gate, swing(0.4, seconds=2.0))
    is_beyond(cell, 0.05)
    cell.jtc.deactivate()
    status, result = cell.gate.outcome(handle)
    assert (status, result.error_code) == (ABORTED, RESULT.INVALID_GOAL)
    assert 'cancelled during deactivate transition' in result.error_string
    cell.stands()
    status, result = cell.gate.run(swing(0.1, cell.arm.joints))
    assert status == ABORTED and 'rejected' in result.error_string


def test_tolerances_that_the_controller_drops_are_no_ones_but_the_gates(cell):
    """A name that it does not have, and it watches no joint any more."""
    cell.jtc.settings.tolerances = Tolerances()
    goal = FollowJointTrajectory.Goal(trajectory=swing(0.4, seconds=2.0), path_tolerance=[
        JointTolerance(name='elbow_joint', position=0.05),
        JointTolerance(name='joint_of_another', position=0.05)])
    handle = cell.sent(cell.gate, goal)
    is_beyond(cell, 0.05)
    cell.jtc.off = {'elbow_joint': 0.15}
    status, result = cell.gate.outcome(handle)
    assert (status, result.error_code) == (ABORTED, RESULT.PATH_TOLERANCE_VIOLATED)
    assert 'elbow_joint is 0.150 away' in result.error_string


def test_a_speed_slider_at_0_is_waited_for(cell):
    """Longer than `max_stall`: the driver says that the arm is not to move."""
    cell.jtc.slide(1.0)
    handle = cell.sent(cell.gate, swing(0.3, seconds=1.0))
    is_beyond(cell, 0.05)
    cell.jtc.slide(0.0)
    began = time.monotonic()
    cell.graph.wait(lambda: time.monotonic() > began + 2.6, 'longer than max_stall')
    cell.jtc.slide(1.0)
    status, result = cell.gate.outcome(handle)
    assert status == SUCCEEDED, result.error_string
