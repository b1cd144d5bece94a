# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What takes a licence back, and a gate that fails; no node."""
import types

import pytest
from gate_driver import READY, ROBOT, swing
from graph import JOINTS  # noqa: F401 - skips where the interfaces are not built
from kinema4d_ros.msg import Verdict
from trajectory_msgs.msg import JointTrajectory

from kinema4d_ros.bridge.motion import trajectory_message
from kinema4d_ros.gate.set_points import SetPointKind, SetPointMachine
from kinema4d_ros.nodes.set_point_gate.licences import LicenceFeed
from kinema4d_ros.nodes.set_point_gate.node import SetPointGate
from kinema4d_ros.robot import trajectory_hash


class Feed:
    """A feed that gets its messages from a test, and the machine that it feeds."""

    def __init__(self):
        self.hear, self.machine = {}, SetPointMachine(SetPointKind.POSITION)
        node = types.SimpleNamespace(
            create_subscription=self._subscribe, resolve_topic_name='/cell{}'.format,
            count_publishers={'/cell/local_clearance': 2}.get)      # the graph knows no others
        self.feed = LicenceFeed(node, '/shadow_sim', 'joint_trajectory', self.machine,
                                lambda function: function(), None)
        self.feed.set_robot(ROBOT)

    def _subscribe(self, kind, topic, callback, profile, callback_group=None):
        self.hear[kind] = callback

    def tell(self, motion):
        self.hear[JointTrajectory](trajectory_message(motion))

    def judge(self, motion, status):
        self.hear[Verdict](Verdict(
            status=status, final=True, tiers_passed=[0, 1], robot_hash=ROBOT.description_hash,
            trajectory_hash=trajectory_hash(motion), start_joints=list(READY),
            start_positions=list(READY.values()), start_velocities=[0.0] * len(READY)))


@pytest.mark.parametrize('status', [Verdict.FAIL, Verdict.UNSURE])
@pytest.mark.parametrize('newer', [0, 40])
def test_a_worse_verdict_takes_a_licence_back_however_many_trajectories_came_since(status, newer):
    feed, motion = Feed(), swing(0.3)
    feed.tell(motion)
    feed.judge(motion, Verdict.PASS)
    assert list(feed.machine.paths) == [trajectory_hash(motion)]
    for number in range(newer):
        feed.tell(swing(0.1 + 0.001 * number))
    feed.judge(motion, status)
    assert not feed.machine.paths


def test_two_that_tell_the_free_space_are_found_where_it_is_remapped_to():
    assert Feed().feed.why_doubled() == '2 nodes publish /cell/local_clearance'


class Broken:
    """A publisher, wire and machine of velocities of which nothing works any more."""

    is_velocity = is_moving = True
    rules = types.SimpleNamespace(joints=('a',))

    def publish(self, *_):
        raise RuntimeError('no topic')

    def write(self, *_):
        raise RuntimeError('no message')


def test_a_gate_that_cannot_even_brake_still_ends():
    ended, broken = [], Broken()
    gate = types.SimpleNamespace(failures=[], _machine=broken, _wire=broken, _kind=broken,
                                 _publisher=broken, _on_failure=lambda: ended.append(True))
    SetPointGate._failed(gate, RuntimeError('the first'))
    assert ended and [str(each) for each in gate.failures] == ['the first', 'no message']
