# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Robots that are fine, whose drivers are as drivers are: nothing is refused, and nothing stops."""
import dataclasses

import numpy as np
import pytest
from gate_driver import Driver, NS, READY, ROOT, swing
from test_watch import ARM, CANCEL, clock, only, PAN, play

from kinema4d_ros.gate.events import JointsChanged, Tick
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory


@pytest.mark.parametrize('rate', [20.0, 100.0, 500.0])
@pytest.mark.parametrize('first', [1.0, 5.0])
def test_a_driver_that_tells_no_velocity_is_no_reason_to_refuse(rate, first):
    """Its positions have noise, of which a velocity over a short time would be made."""
    random, gate = np.random.default_rng(4), Driver()
    trajectory = swing(first=first)
    trajectory = dataclasses.replace(trajectory, velocities=np.zeros((2, 8)))

    def listen(seconds, speed=0.0):
        for _ in range(round(seconds * rate)):
            gate.now += 1.0 / rate
            gate.joints = {name: READY[name] + (speed * (gate.now - began) if 'pan' in name else 0)
                           + random.uniform(-0.0009, 0.0009) for name in READY}
            gate.handle(JointsChanged())

    began = gate.now
    listen(1.0)
    for _ in range(10):
        request = gate.submit(trajectory)
        listen(0.3)
        gate.pass_(request)
        assert gate.told(request) is None and gate.log[-1] == 'send'
        gate.accept(request)
        gate.finish(request)
    gate = Driver(start_tolerance=0.1)
    began = gate.now
    listen(1.0)
    request, began = gate.submit(trajectory), gate.now
    listen(0.1, speed=0.9)
    gate.pass_(request)
    assert 'is not as fast as when' in gate.told(request)


@pytest.mark.parametrize('period, stopped', [(1.0, False), (2.0, False), (30.0, True)])
@pytest.mark.parametrize('heard_before', [0.1, 20.0])
def test_a_joint_that_is_not_named_may_be_told_seldom(period, stopped, heard_before):
    """A head at 1 Hz, or a joint that was told once, long ago, and that parameters hold still."""
    class Seldom(Driver):
        def world(self):
            world = super().world()
            since = heard_before if self.now < 101.0 else (self.now - 101.0 + heard_before) \
                % period if heard_before < 1.0 else heard_before + self.now
            head = dataclasses.replace(
                world.joints['wrist_roll_joint'], arrival=self.now - since,
                stamp_ns=self.now_ns - round(since * NS))
            return dataclasses.replace(world, joints={**world.joints, 'wrist_roll_joint': head})

    gate = Seldom()
    gate.moving(only(ARM[:5], seconds=6.0))
    play(gate, lambda t: 0.3 * min(t / 6.0, 1.0), 5.0)
    assert (CANCEL in gate.log) == (stopped and heard_before < 1.0)


@pytest.mark.parametrize('simulated, clock_goes_on, stopped', [
    (True, False, False), (True, True, True), (False, False, True)])
def test_a_simulation_that_pauses_is_no_silence(simulated, clock_goes_on, stopped):
    class Paused(Driver):
        paused = 0.0        # [s]

        @property
        def now_ns(self):
            return round((self.now - self.paused) * NS)

        def world(self):
            return dataclasses.replace(super().world(), is_simulated=simulated,
                                       clock=self.now - self.paused)

    gate = Paused()
    gate.moving(swing(0.6, seconds=2.0))
    play(gate, clock(1.0), 1.0)
    gate.age, began = 0.0, gate.now
    silent = gate.world().joints
    world = gate.world
    gate.world = lambda: dataclasses.replace(world(), joints=silent)
    while gate.now < began + 5.0:
        gate.now += 0.05
        gate.paused += 0.0 if clock_goes_on else 0.05
        gate.handle(Tick())
    assert (CANCEL in gate.log) == stopped
    gate.world = world
    play(gate, lambda t: clock(1.0)(t + 1.0), 1.0)
    assert (CANCEL in gate.log) == stopped


def test_nothing_new_is_passed_while_a_simulation_stands():
    """As after its end: by its clock, which stands as well, nothing ever grows old."""
    class Ended(Driver):
        now_ns = round(100.0 * NS)

        def world(self):
            return dataclasses.replace(super().world(), is_simulated=True, clock=100.0)

    gate = Ended()
    request = gate.submit(swing())
    gate.pass_(request)
    assert gate.log[-1] == 'send'
    gate.accept(request)
    gate.finish(request)
    silent, world = gate.world().joints, gate.world
    gate.world = lambda: dataclasses.replace(world(), joints=silent)
    gate.now += 2.0
    request = gate.submit(swing())
    gate.pass_(request)
    assert gate.log.count('send') == 1
    assert 'have not come for 2.00 s' in gate.told(request)


@pytest.mark.parametrize('named', [True, False])
@pytest.mark.parametrize('joint', ['turning', 'limited'])
def test_a_continuous_joint_at_half_a_turn_changes_its_sign(named, joint):
    """As joint 3 of a Kinova Gen3 does at home; one with limits does no such thing."""
    text = (ROOT / 'urdf' / 'demo_arm.urdf').read_text()
    if joint == 'turning':
        begin = text.index('<joint name="wrist_roll_joint"')
        text = text[:begin] + text[begin:].replace('type="revolute"', 'type="continuous"', 1)
    gate = Driver()
    gate.robot = Robot.from_urdf(text)
    assert ('wrist_roll_joint' in gate.robot.continuous) == (joint == 'turning')
    half = {'wrist_roll_joint': np.pi - 0.0005}
    gate.joints = READY | half
    names = ARM if named else ARM[:5]
    start = READY | half
    points = np.array([[start[name] for name in names]] * 2)
    points[1, 0] += 0.3
    request = gate.submit(JointTrajectory(names, np.array([0.0, 1.0]), points))
    for step in range(40):
        gate.now += 0.02
        gate.joints = READY | {'wrist_roll_joint': (1 - 2 * (step % 2)) * (np.pi - 0.0005)}
        gate.handle(JointsChanged())
    gate.pass_(request, robot_hash=gate.robot.description_hash)
    if joint == 'limited':
        assert 'send' not in gate.log
        return
    assert gate.log[-1] == 'send', gate.told(request)
    gate.accept(request)
    for step in range(45):
        gate.now += 0.02
        gate.joints = READY | {PAN: 0.3 * 0.02 * (step + 1), 'wrist_roll_joint': (
            1 - 2 * (step % 2)) * (np.pi - 0.0005)}
        gate.handle(JointsChanged())
        gate.handle(Tick())
    assert CANCEL not in gate.log
