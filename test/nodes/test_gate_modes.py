# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""trajectory_gate in modes advise and monitor, its parameters, and the file of them."""
import pytest
from control_msgs.action import FollowJointTrajectory
from gate_bench import exact, finding, Gate, kind_of
from gate_world import ABORTED, Arm, Controller, Nodes, RESULT, ShadowSim, SUCCEEDED
from graph import made, parameters, Process, READY, ROOT, swing
from kinema4d_ros.msg import Decision, Verdict
from rclpy.serialization import serialize_message

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.trajectory_gate.parameters import TABLE

pytestmark = pytest.mark.timeout(120)
GOAL = FollowJointTrajectory.Goal


def test_parameter_file_is_complete_and_holds_the_defaults():
    text = (ROOT / 'config' / 'trajectory_gate.yaml').read_text()
    with pytest.raises(ConfigurationError, match="'controller' has no default"):
        TABLE.check_yaml(text, 'trajectory_gate')
    given = text.replace('# controller: ', 'controller: ')
    values = TABLE.check_yaml(given, 'trajectory_gate', complete=True)
    assert values == TABLE.validate({'controller': '/joint_trajectory_controller'})
    comments = ' '.join(line.strip('# ') for line in text.splitlines()
                        if line.strip().startswith('#'))
    for line in TABLE.yaml().splitlines():
        if line.strip().startswith('# ') and 'REQUIRED' not in line:
            assert line.strip('# ') in comments        # each parameter is explained


@pytest.mark.parametrize('values, words', [
    ({}, "'controller' has no default"),
    ({'controller': '/trajectory_gate'}, 'which is this gate itself')])
def test_a_gate_that_is_set_up_wrongly_does_not_start(ros_domain, values, words):
    process = Process('trajectory_gate', *parameters(**values))
    assert process.process.wait(60.0) == 1
    assert words in process.output()


class World:
    """Two gates, each with its controller; one arm and one shadow_sim for both."""

    def __init__(self, graph, tester):
        self.graph = tester
        self.arm, self.shadow = Arm(graph.node), ShadowSim(graph.node)
        self.controllers = {name: Controller(graph.node, f'/{name}_controller')
                            for name in ('advise', 'monitor')}
        self.advise = Gate(tester, '/advise_controller', 'advise_gate', mode='advise',
                           max_joint_age=10.0)
        self.monitor = Gate(tester, '/monitor_controller', 'monitor_gate', mode='monitor',
                            topic_route='topic', max_joint_age=10.0)
        self.gates = {'advise': self.advise, 'monitor': self.monitor}

    def reset(self):
        self.shadow.let_go.set()
        self.shadow.reset()
        for controller in self.controllers.values():
            controller.let_go.set()
            controller.reset()
        self.put(READY)

    def put(self, joints=None, push=None):
        """Have the arm somewhere, and the gates know it."""
        stamp = self.arm.put(joints, push)
        for gate in self.gates.values():
            gate.hears(lambda heard: heard > stamp)

    def asked(self, gate, trajectory=None):
        """Send a goal and wait until the operator is asked; return its handle."""
        since = len(gate.decisions)
        handle = gate.send(trajectory or swing())
        self.question = gate.decided('ask', since)
        return handle


@pytest.fixture(scope='module')
def shared(module_ros_domain):
    graph = Nodes()
    try:
        with made() as tester:
            world = World(graph, tester)
            try:
                for gate in world.gates.values():
                    gate.ready()
                yield world
            finally:
                for controller in world.controllers.values():
                    controller.let_go.set()
                world.shadow.let_go.set()
                for gate in world.gates.values():
                    gate.stop()
    finally:
        graph.close()


@pytest.fixture
def world(shared):
    yield shared
    shared.reset()


def failing(verdict, result):
    verdict.status, verdict.summary = Verdict.FAIL, 'it hits the table'
    verdict.findings = [finding()]


# ---------------------------------------------------------------- advise

def test_advice_waits_for_approval_and_then_forwards_the_same_bytes(world):
    goal = GOAL(trajectory=swing())
    handle = world.asked(world.advise, goal)
    assert 'PASS: nothing wrong found' in world.question.sentence
    assert world.question.verdict == Verdict.PASS and world.question.mode == Decision.MODE_ADVISE
    assert bytes(world.question.goal_id) == bytes(handle.goal_id.uuid)
    digest = world.question.trajectory_hash
    assert world.controllers['advise'].goals == []
    assert world.advise.call('approve', digest)[0]
    assert world.advise.outcome(handle)[0] == SUCCEEDED
    assert exact(world.controllers['advise'].goals[-1]) == exact(goal)
    assert not world.advise.call('approve', digest)[0]         # it was for one goal
    assert 'nothing to override' in world.advise.call('override', digest)[1]


def test_advice_against_can_be_followed_or_not(world):
    world.shadow.spoil = failing
    before = len(world.controllers['advise'].goals)
    handle = world.asked(world.advise)
    assert 'FAIL: it hits the table' in world.question.sentence
    assert world.advise.call('deny', swing())[0]
    status, result = world.advise.outcome(handle)
    assert (status, result.error_code) == (ABORTED, RESULT.INVALID_GOAL)
    assert 'denied by the operator' in result.error_string
    assert len(world.controllers['advise'].goals) == before
    handle = world.asked(world.advise)
    assert world.advise.call('approve', swing())[0]
    assert world.advise.outcome(handle)[0] == SUCCEEDED


def test_nobody_approves(world):
    world.advise.set(approval_timeout=0.2)
    try:
        status, result = world.advise.run(swing())
        assert status == ABORTED and 'no operator approved it within 0.2 s' in result.error_string
    finally:
        world.advise.set(approval_timeout=60.0)


def test_an_approval_too_early_or_for_what_has_just_changed(world):
    world.shadow.slow = True
    handle = world.advise.send(swing())
    done, text = world.advise.call('approve', swing())
    assert not done and 'no trajectory waits' in text
    world.shadow.let_go.set()
    world.graph.wait(lambda: kind_of(world.advise.decisions[-1]) == 'ask', 'the question')
    world.shadow.reset()
    newer = world.asked(world.advise, swing(0.1))
    for digest in ('', world.advise.decisions[0].trajectory_hash[:12], 'f' * 64, swing()):
        done, text = world.advise.call('approve', digest)
        assert not done and text.endswith(world.question.trajectory_hash)
    assert world.advise.call('approve', swing(0.1))[0]
    assert 'replaced' in world.advise.outcome(handle)[1].error_string
    assert world.advise.outcome(newer)[0] == SUCCEEDED


def test_a_robot_that_moved_since_the_operator_looked(world):
    handle = world.asked(world.advise)
    world.put(push={'elbow_joint': 0.1})
    done, text = world.advise.call('approve', swing())
    assert not done and 'was refused' in text
    assert 'elbow_joint moved' in world.advise.outcome(handle)[1].error_string


def test_advice_without_a_shadow_sim_is_still_asked_for(world):
    world.shadow.accepts = False
    handle = world.asked(world.advise)
    assert 'rejected the question' in world.question.sentence
    world.advise.call('deny', swing())
    assert world.advise.outcome(handle)[0] == ABORTED


# ---------------------------------------------------------------- monitor

def test_monitor_forwards_at_once_and_reports_afterwards(world):
    world.shadow.slow, world.shadow.spoil = True, failing
    since = len(world.monitor.decisions)
    assert world.monitor.run(swing())[0] == SUCCEEDED          # while shadow_sim still thinks
    world.shadow.let_go.set()
    told = world.monitor.decided('monitor', since)
    assert 'would have been refused: FAIL: it hits the table' in told.sentence
    world.shadow.reset()
    since = len(world.monitor.decisions)
    assert world.monitor.run(swing())[0] == SUCCEEDED
    assert 'would have been forwarded' in world.monitor.decided('monitor', since).sentence


def test_monitor_sends_the_bytes_of_the_topic_on(world):
    kept = world.controllers['monitor'].messages
    since, raw = len(world.monitor.decisions), serialize_message(swing())
    world.monitor.topic.publish(raw)
    world.graph.wait(lambda: kept, 'the message')
    assert kept == [raw]
    assert world.controllers['monitor'].ids == [] or len(kept) == 1
    assert world.monitor.decided('monitor', since).source == Decision.TOPIC


def test_monitor_only_reports_joints_that_stray(world):
    world.controllers['monitor'].hold = True
    since = len(world.monitor.decisions)
    handle = world.monitor.send(swing(0.01))
    world.monitor.decided('forward', since)
    world.arm.push = {'elbow_joint': 0.5}
    # the arm may still be held against the trajectory of the test before
    world.graph.wait(lambda: any(told.kind == Decision.DOUBT
                                 and 'elbow_joint is 0.5' in told.sentence
                                 for told in world.monitor.decisions[since:]), 'the elbow')
    world.controllers['monitor'].let_go.set()
    assert world.monitor.outcome(handle)[0] == SUCCEEDED
