# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every failure of the gate's own parts cancels first and ends the gate; no graph is needed."""
import time

import pytest
from gate_driver import Driver, swing

from kinema4d_ros.gate.commands import CancelAtController, EndGoal, ReportDecision
from kinema4d_ros.gate.events import (ClientCancelled, ControllerAccepted, Tick,
                                      TrajectorySubmitted, VerdictAnswered)
from kinema4d_ros.nodes.trajectory_gate.dispatch import Dispatcher, Ports


class Parts:
    """Everything around a dispatcher: it notes what is called, and fails where it is told to."""

    def __init__(self):
        self.driver = Driver()
        self.log, self.failures, self.done, self.broken = [], [], [], set()
        self.dispatcher = Dispatcher(self.driver.machine, Ports(
            self.take_world, self.carry_out, lambda: self.log.append('cancel all'),
            lambda error, text: self.failures.append((error, text)),
            lambda: self.log.append('wake')))

    def take_world(self, event):
        if 'world' in self.broken:
            raise RuntimeError('the world is broken')
        self.driver.now = time.monotonic()
        return self.driver.world()

    def carry_out(self, command):
        name = type(command).__name__
        self.log.append(name)
        if name in self.broken:
            raise RuntimeError(f'{name} is broken')
        self.done.append(command)

    def moving(self, angle=0.3):
        request = self.driver.request(swing(angle))
        self.dispatcher.handle(TrajectorySubmitted(request))
        self.dispatcher.handle(VerdictAnswered(request.number, self.passing(request)))
        self.dispatcher.handle(ControllerAccepted(request))
        return request

    def passing(self, request):
        kept, self.driver.now = [], time.monotonic()
        self.driver.answer = lambda _, answer: kept.append(answer)
        self.driver.pass_(request)
        return kept[0]

    def told(self, request):
        return next(c.error_string for c in self.done
                    if isinstance(c, EndGoal) and c.number == request.number)


@pytest.mark.parametrize('part', ['AskShadowSim', 'world', 'Forward', 'ReportDecision'])
def test_a_part_that_raises_lets_nothing_pass(part):
    parts = Parts()
    moving = parts.moving()
    request = parts.driver.request(swing(0.1))
    if part != 'AskShadowSim':
        parts.dispatcher.handle(TrajectorySubmitted(request))
    parts.log.clear()
    parts.broken = {part}
    parts.dispatcher.handle(
        TrajectorySubmitted(request) if part == 'AskShadowSim'
        else VerdictAnswered(request.number, parts.passing(request)))
    (error, text), = parts.failures
    assert f'{part} is broken' in text or 'the world is broken' in text
    after = parts.log[parts.log.index(part) + 1:] if part != 'world' else parts.log
    assert after[0] == 'CancelAtController'            # before anything is said
    assert CancelAtController(moving.number) in parts.done
    assert parts.told(request) == f'the gate failed (RuntimeError: {error})'
    parts.broken = set()
    late = parts.driver.request()
    parts.dispatcher.handle(TrajectorySubmitted(late))
    assert parts.told(late) == f'the gate failed (RuntimeError: {error})'


def test_every_motion_is_cancelled_even_if_one_cancel_raises():
    parts = Parts()
    parts.moving(), parts.moving(0.1)
    parts.log.clear()
    parts.broken = {'CancelAtController'}
    text = parts.dispatcher.close('the end')
    assert parts.log[:2] == ['CancelAtController'] * 2
    assert text.count('CancelAtController is broken\n') == 2
    assert any(isinstance(command, ReportDecision) for command in parts.done)


def test_a_broken_machine_has_all_cancelled_without_it(monkeypatch):
    parts = Parts()
    request = parts.moving()
    parts.log.clear()
    monkeypatch.setattr(parts.driver.machine, 'handle', lambda *_: 1 / 0)
    parts.dispatcher.handle(ClientCancelled(request.number))
    assert parts.log == ['cancel all']
    assert 'ZeroDivisionError' in parts.failures[0][1]


def test_callbacks_of_any_group_that_raise_fail_in_the_group():
    parts = Parts()
    moving = parts.moving()
    parts.log.clear()
    parts.dispatcher.relayed(lambda: 1 / 0)()
    assert parts.log == ['wake'] and parts.failures == []
    parts.dispatcher.work()
    assert CancelAtController(moving.number) in parts.done and len(parts.failures) == 1
    parts.dispatcher.guarded(lambda: 1 / 0)()
    assert len(parts.failures) == 2


def test_what_comes_of_an_event_waits_its_turn():
    parts = Parts()
    order = []
    parts.dispatcher.in_group(lambda: (order.append(1), parts.dispatcher.in_group(
        lambda: order.append(3))()))()
    parts.dispatcher.in_group(order.append)(2)
    parts.dispatcher.post(Tick())
    parts.log.clear()
    parts.dispatcher.work()
    assert order == [1, 2] and parts.log[-1] == 'wake'
    parts.dispatcher.work()
    assert order == [1, 2, 3]
