# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The gate of set points before a controller of positions, over DDS.

Each test is put to the controller of these tests and, where ros2_control is installed or sourced,
to the real forward_command_controller before mock hardware.
"""
import math

import numpy as np
import pytest
from graph import READY
from kinema4d_ros.msg import Decision
from real_controller import why_absent
from real_set_points import RealSetPointBench
from set_point_bench import ARM, Bench, gated
from std_msgs.msg import Float64MultiArray

PAN = READY['shoulder_pan_joint']


@pytest.fixture(scope='module', params=['ours', 'real'])
def shared(request, module_ros_domain):
    """Start one gate for each controller."""
    if request.param == 'real' and (reason := why_absent()):
        pytest.skip(reason)
    with gated(RealSetPointBench if request.param == 'real' else Bench) as bench:
        yield bench


@pytest.fixture
def bench(shared):
    """Give the gate, with the arm where it began and nobody sending."""
    shared.reset()
    yield shared
    shared.reset()


def streaming(bench, step=0.004):
    """Have a stream of set points that is relayed; return how many decisions there were."""
    since = len(bench.decisions)
    before = bench.pan()
    bench.stream.follow(step)
    bench.graph.wait(lambda: bench.pan() > before + 3 * step, 'the arm to move')
    return since


def test_set_points_in_free_space_are_relayed_as_they_came(bench):
    streaming(bench)
    bench.stream.values = None
    sent = [list(values) for values in bench.stream.sent]
    bench.graph.wait(lambda: bench.controller.commands
                     and list(bench.controller.commands[-1]) == sent[-1], 'the last one')
    assert all(command in sent for command in bench.controller.commands[-3:])


def test_a_hidden_obstacle_holds_the_robot_and_lets_it_go_when_it_is_gone(bench):
    """The stream leads into a wall that only the look at the scene knows of."""
    since = streaming(bench)
    wall = bench.pan() + 0.2
    bench.space.of = lambda joints: max(wall - joints['shoulder_pan_joint'], 0.0) * 0.5
    found = bench.held('could be displaced by', since)
    assert '(the wall)' in found.sentence and found.source == Decision.SET_POINTS
    assert bench.pan() < wall
    since = len(bench.decisions)
    bench.space.of = lambda joints: 0.5
    bench.relays(since)
    bench.graph.wait(lambda: bench.pan() > wall, 'the arm to go on')


def test_no_licence_no_motion_and_it_comes_back_by_itself(bench):
    since = streaming(bench)
    bench.space.problem = 'the camera is dark'
    bench.held('the camera is dark', since)
    bench.space.problem = ''
    bench.relays(len(bench.decisions))


@pytest.mark.parametrize('spoil, words', [
    (lambda q: [math.nan, *q[1:]], 'shoulder_pan_joint is to be nan'),
    (lambda q: q[:3], 'has 3 values for the 6 joints'),
    (lambda q: [q[0] + 0.1, *q[1:]], 'is to jump by'),
    (lambda q: [q[0], q[1] + 1.0, *q[2:]], '(max_lead 0.2)')],
    ids=('nan', 'size', 'jump', 'far'))
def test_what_would_harm_the_controller_never_reaches_it(bench, spoil, words):
    since = streaming(bench)
    good = bench.stream.values
    bench.stream.values = lambda: spoil(good())
    bench.held(words, since)
    at = len(bench.decisions)
    bench.stream.values = good
    bench.relays(at)
    assert bench.controller.active
    assert all(len(command) == len(ARM) and np.isfinite(command).all()
               for command in bench.controller.commands)


def test_a_source_that_falls_silent_is_told_and_the_arm_stays(bench):
    since = streaming(bench)
    bench.stream.values = None
    bench.held('the source has been silent', since)
    place = bench.controller.commands[-1]
    bench.graph.wait(lambda: abs(bench.pan() - place[0]) < 1e-9, 'the arm to stand')
    streaming(bench)


def test_a_second_publisher_at_the_controller_is_named(bench):
    since = streaming(bench)
    node = bench.graph.node
    other = node.create_publisher(Float64MultiArray, '/forward_controller/commands', 10)
    bench.held('/tester publishes /forward_controller/commands too', since)
    node.destroy_publisher(other)
    bench.relays(len(bench.decisions))


def test_a_second_source_is_refused(bench):
    since = streaming(bench)
    node = bench.graph.node
    other = node.create_publisher(Float64MultiArray, 'set_point_gate/commands', 10)
    bench.held('2 nodes publish /set_point_gate/commands', since)
    node.destroy_publisher(other)
    bench.relays(len(bench.decisions))


def test_joints_that_fall_silent_hold_it(bench):
    since = streaming(bench)
    assert bench.graph.set_parameter('set_point_gate', max_joint_age=0.5) == ''
    bench.arm.on = False
    bench.held('limit 0.5 s', since)
    bench.arm.on = True
    bench.relays(len(bench.decisions))
    assert bench.graph.set_parameter('set_point_gate', max_joint_age=5.0) == ''
