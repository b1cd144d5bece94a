# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim says on /diagnostics of a camera that stays, and of one that was knocked."""
import dataclasses
import itertools

import numpy as np
import pytest
from arm_film import Arm, moved, TRUE
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import made

from kinema4d_ros.nodes.shadow_sim.diagnostics import diagnostics, DiagnosticsPublisher
from kinema4d_ros.nodes.shadow_sim.drift import DriftWatch
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Observation
from kinema4d_ros.worker.protocol import SeenRobot
from kinema4d_ros.worker.tasks import seen_robots


@pytest.fixture(scope='module')
def arm():
    return Arm()


def settings(**values):
    return shadow_sim_settings(TABLE.validate({'drift_period': 1e-6, **values}))


def looks(arm, T_said, *, count=6, depth=True):
    """Return observations by a camera that is at TRUE and said to be at `T_said`."""
    film = arm.film(arm.motion(count), depth=True)
    robot = arm.model.robot
    return [Observation.from_rgbd(
        film.images[t], film.depths[t] if depth else None, film.camera, T_said,
        dict(zip(robot.joint_names, film.joint_positions[t])), stamp_ns=int(1e9 * (t + 1)))
        for t in range(count)]


def look(watch, observation, arm, told):
    """Have a look compared as a worker does it, and the watch take that, where it asks for it."""
    robot = arm.model.robot
    take = watch.asks(observation, robot, told)
    if take is not None:
        with ShadowSimulator(robot, None) as simulator:
            take(seen_robots(simulator.checker(told.precheck), observation))


def watched(arm, T_said, depth=True, **values):
    """Return the status of the camera after some looks."""
    watch, told = DriftWatch(), settings(**values)
    for observation in looks(arm, T_said, depth=depth):
        look(watch, observation, arm, told)
    return list(watch.status())


def value(status, key):
    return next(item.value for item in status.values if item.key == key)


def test_a_camera_that_stays(arm):
    status, = watched(arm, TRUE)
    assert status.level == DiagnosticStatus.OK and status.name == 'camera drift'
    assert float(value(status, 'offset [mm]')) < 2.0
    assert int(value(status, 'looks')) >= 4 and value(status, 'trend [mm/h]') == 'unknown'


def test_a_camera_that_was_knocked(arm):
    """By 2 cm: in millimetres and pixels, and a warning by the limit."""
    status, = watched(arm, moved(TRUE, 20, 0.0))
    assert status.level == DiagnosticStatus.WARN
    assert float(value(status, 'offset [mm]')) == pytest.approx(20, abs=5)
    assert float(value(status, 'offset [px]')) > 1.0
    assert 'the camera has moved' in status.message
    status, = watched(arm, moved(TRUE, 20, 0.0), drift_limit=0.05)
    assert status.level == DiagnosticStatus.OK


def test_each_view_is_compared_with_the_joints_at_its_own_stamp(arm):
    """The arm has moved on when the newest camera sees it."""
    watch, told, seen = DriftWatch(), settings(), looks(arm, TRUE)
    for first, then in itertools.pairwise(seen):
        front = dataclasses.replace(first.view, name='front', joint_positions=first.joint_positions)
        side = dataclasses.replace(then.view, name='side', joint_positions=then.joint_positions)
        look(watch, Observation(then.stamp_ns, (front, side), then.joint_positions), arm, told)
    for status in watch.status():
        assert float(value(status, 'offset [mm]')) < 2.0, status.message
        assert int(value(status, 'looks')) >= 4


def test_what_was_looked_at_or_is_left_out_is_no_new_look(arm):
    watch, first = DriftWatch(), looks(arm, TRUE, count=2)[1]
    for left_out in {}, {}, {'camera': 'is late: 0.8 s old'}:
        look(watch, dataclasses.replace(first, left_out=left_out), arm, settings())
    status, = watch.status()
    assert value(status, 'looks') == '1'
    assert value(status, 'last look') == 'the camera is late: 0.8 s old'


def test_a_view_is_compared_by_the_calibration_of_its_camera(arm):
    """One that is known to be exact is not laid over as far as one that is not."""
    sigmas = {'calibration_sigma': 1e-6, 'calibration_turn_sigma': 1e-6}
    own, general = DriftWatch(), DriftWatch()
    for seen in looks(arm, moved(TRUE, 20, 0.0), count=2):
        look(own, seen.with_view(**sigmas), arm, settings())
        look(general, seen, arm, settings(**{
            f'tier1.{key}': sigma for key, sigma in sigmas.items()}))
    (by_own,), (by_general,) = own.status(), general.status()
    assert value(by_own, 'offset [mm]') == value(by_general, 'offset [mm]')


def test_nothing_stays_of_what_is_cleared(arm):
    watch = DriftWatch()
    for observation in looks(arm, TRUE, count=2):
        look(watch, observation, arm, settings())
    watch.clear()
    assert not list(watch.status())


def test_without_depth_it_says_so(arm):
    status, = watched(arm, TRUE, depth=False)
    assert value(status, 'last look') == 'the camera has no depth'
    assert status.level == DiagnosticStatus.OK and value(status, 'offset [mm]') == 'unknown'


def test_a_look_that_the_worker_could_not_use_is_said(arm):
    watch, first = DriftWatch(), looks(arm, TRUE, count=1)[0]
    assert watch.asks(first, arm.model.robot, settings()) is None      # the first is a period later
    watch.asks(first, arm.model.robot, settings())({})
    status, = watch.status()
    assert value(status, 'last look') == 'the look could not be made use of'


def test_what_a_worker_found_of_what_was_cleared_goes_nowhere(arm):
    watch, (_, first) = DriftWatch(), looks(arm, TRUE, count=2)
    watch.asks(first, arm.model.robot, settings())
    take = watch.asks(first, arm.model.robot, settings())
    watch.clear()
    take({'camera': SeenRobot(0.02, 3.0, 0.001, 1.0, None)})
    assert not list(watch.status())


def test_no_period_is_no_look(arm):
    assert watched(arm, TRUE, drift_period=0.0) == []
    assert watched(arm, TRUE, drift_period=1000.0) == []


def test_another_robot_begins_anew(arm):
    watch, other = DriftWatch(), Arm()
    for observation in looks(arm, TRUE):
        look(watch, observation, arm, settings())
    look(watch, looks(other, TRUE)[0], other, settings())
    status, = watch.status()
    assert value(status, 'looks') == '1'


def test_it_is_among_the_diagnostics(arm, ros_domain):
    with made() as graph:
        heard = graph.listen('/diagnostics', DiagnosticArray, 10)
        publisher = DiagnosticsPublisher(graph.node)
        for observation in looks(arm, TRUE, count=3):
            look(publisher.drift, observation, arm, settings())
        graph.wait(lambda: graph.node.count_subscribers('/diagnostics') > 0, 'the listener')
        publisher.publish(diagnostics(graph.node, 'demo_arm', (), (), None, {}))
        graph.wait(lambda: heard, 'the diagnostics')
        name = graph.node.get_name()
    drift = next(status for status in heard[-1].status if 'camera drift' in status.name)
    assert drift.name == f'{name}: camera drift'
    assert drift.hardware_id == 'demo_arm'
    assert np.isfinite(float(value(drift, 'offset [mm]')))
