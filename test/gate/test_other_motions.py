# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motions of other gates of the robot: judged with ours, or ours is refused."""
import numpy as np
import pytest
from gate_driver import Driver, READY, ROBOT
from kinema4d_ros.gate.commands import ReportDecision, TellGates
from kinema4d_ros.gate.events import JointsChanged, OthersChanged

from kinema4d_ros.gate import OtherMotions, Phase, ToldMotion
from kinema4d_ros.gate.other_motions import compose, OtherMotion
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.precheck import check_tier0
from kinema4d_ros.robot import finger_joints, trajectory_hash
from kinema4d_ros.types import FindingCode, JointTrajectory, Severity

ARM = tuple(name for name in READY if 'finger' not in name)
HAND = tuple(name for name in READY if 'finger' in name)
OWN = tuple(name for name in READY if name in ROBOT.joint_names)    # not those that mimic
CANCEL, PAN = 'cancel at controller', 'shoulder_pan_joint'


def part(names, by, seconds=1.0):
    """Return a trajectory of these joints of which the first goes by `by`."""
    begin = np.array([READY[name] for name in names])
    end = begin.copy()
    end[0] += by
    return JointTrajectory(names, np.array([0.0, seconds]), np.stack([begin, end]))


def told(trajectory, sent_ns=0, key='/other#1#0', gate='/other', **fields):
    return ToldMotion(key, gate, trajectory, sent_ns, **fields)


def other(trajectory, at=0.0, **fields):
    return OtherMotion(told(trajectory, **fields), PathMonitor(trajectory, ROBOT, READY), at)


def test_fingers_of_the_demo_arm():
    assert finger_joints(ROBOT) == set(HAND)


def test_two_motions_are_composed_as_they_run():
    hand, arm = part(HAND, -0.01, 0.5), other(part(ARM, 0.4, 2.0), at=0.5)
    both = compose(hand, PathMonitor(hand, ROBOT, READY), (arm,))
    assert set(both.joint_names) == set(OWN)
    column = {name: both.positions[:, both.joint_names.index(name)] for name in OWN}
    assert both.times[0] == pytest.approx(0.25) and both.times[-1] == pytest.approx(1.5)
    assert column[PAN] == pytest.approx(0.2 * (both.times + 0.5), abs=1e-3)
    assert column['finger_joint'] == pytest.approx(
        0.044 - 0.02 * np.clip(both.times - 0.25, 0.0, 0.5), abs=1e-3)
    live = READY | {PAN: 0.1}
    assert not [finding for finding in check_tier0(both, ROBOT, live)
                if finding.severity > Severity.INFO]


def test_a_motion_that_lasts_longer_than_the_other():
    hand = part(HAND, -0.01, 3.0)
    both = compose(hand, PathMonitor(hand, ROBOT, READY), (other(part(ARM, 0.4), at=0.9),))
    assert both.times[-1] == pytest.approx(3.25)
    assert both.positions[-1, both.joint_names.index(PAN)] == pytest.approx(0.4)


def test_a_gripper_goal_is_judged_with_the_arm_and_passes():
    gate = Driver()
    gate.others = (other(part(ARM, 0.4, 2.0), at=0.5),)
    request = gate.submit(part(HAND, -0.01, 0.5))
    question = gate.question(request)
    assert set(question.question.joint_names) == set(OWN)
    assert question.request.asked_hash == trajectory_hash(question.question)
    gate.joints[PAN] += 0.15            # the arm goes on meanwhile
    gate.now += 0.1
    gate.pass_(request)
    assert gate.log[-1] == 'send'
    word, = (c for c in gate.commands if isinstance(c, TellGates))
    assert word.together == {'/other#1#0'} and not word.over


def test_an_arm_that_is_off_the_path_it_was_judged_with_keeps_a_gripper_goal_back():
    gate = Driver()
    motion = other(part(ARM, 0.4, 2.0), at=0.5)
    gate.others = (motion,)
    request = gate.submit(part(HAND, -0.01, 0.5))
    gate.others = (OtherMotion(motion.told, motion.path, 0.6, 0.05),)
    gate.pass_(request)
    assert 'a joint of the motion of /other moved by 0.05' in gate.told(request)


def test_what_begins_or_ends_meanwhile_is_asked_about_again():
    gate = Driver()
    request = gate.submit(part(HAND, -0.01, 0.5))
    assert gate.question(request).question is None
    gate.others = (other(part(ARM, 0.4, 2.0)),)
    gate.pass_(request)
    assert gate.machine.phase(request.number) is Phase.ASKED and gate.log.count('ask') == 2
    assert set(gate.question(request).question.joint_names) == set(OWN)
    gate.others = ()
    gate.pass_(request)
    assert gate.log.count('ask') == 3 and gate.question(request).question is None
    gate.pass_(request)
    assert gate.log[-1] == 'send'


def test_it_is_not_asked_about_for_ever():
    gate = Driver()
    request = gate.submit(part(HAND, -0.01, 0.5))
    for count in range(10):
        gate.others = (other(part(ARM, 0.4, 2.0), key=f'/other#{count}#0'),)
        if gate.told(request) is None:
            gate.pass_(request)
    assert 'has begun since it was judged' in gate.told(request)
    assert gate.log.count('ask') == 4


@pytest.mark.parametrize('names, others, words', [
    (ARM[:3], ARM[3:], 'two arms are not judged together'),
    (HAND, HAND, 'finger_joint, right_finger_joint too'),
    (ARM[:4], ARM[3:], 'forearm_roll_joint too')])
@pytest.mark.parametrize('when', ['before', 'meanwhile'])
def test_what_cannot_be_judged_together_is_refused(names, others, words, when):
    gate = Driver()
    motion = other(part(others, 0.01))
    if when == 'before':
        gate.others = (motion,)
    request = gate.submit(part(names, 0.01))
    if when == 'meanwhile':
        gate.others = (motion,)
        gate.pass_(request)
    assert 'a motion of /other is under way' in gate.told(request)
    assert words in gate.told(request) and 'send' not in gate.log
    report = [c for c in gate.commands if isinstance(c, ReportDecision)][-1]
    assert report.code is FindingCode.OTHER_MOTION


@pytest.mark.parametrize('names, speed, refused', [
    (ARM[:3], 0.05, True), (ARM[:3], 0.02, True), (ARM[:3], 0.0, False), (HAND, 0.05, True)])
def test_joints_that_move_with_no_gate_to_tell(names, speed, refused):
    gate = Driver(start_tolerance=1.0)
    for _ in range(50):
        gate.now += 0.02
        gate.move(wrist_roll_joint=gate.joints['wrist_roll_joint'] + 0.02 * speed)
    request = gate.submit(part(names, 0.01))
    gate.pass_(request)
    assert ('wrist_roll_joint moves meanwhile' in (gate.told(request) or '')) == refused


@pytest.mark.parametrize('sent, stopped', [(-1, True), (1, False)])
@pytest.mark.parametrize('is_readable', [True, False])
def test_of_two_that_pass_at_once_the_later_one_is_stopped(sent, stopped, is_readable):
    gate = Driver()
    gate.moving(part(ARM[:3], 0.3))
    motion = other(part(ARM[3:], 0.3), sent_ns=gate.now_ns + sent)
    gate.others = (motion if is_readable else OtherMotion(
        told(JointTrajectory((), [], np.zeros((0, 0))), sent_ns=gate.now_ns + sent)),)
    gate.handle(OthersChanged())
    assert (CANCEL in gate.log) == stopped


def test_motions_are_followed_told_again_and_forgotten():
    others, trajectory = OtherMotions(), part(ARM, 0.4, 2.0)
    assert others.take(told(trajectory), 10.0) and not others.take(told(trajectory), 10.1)
    found, = others.snapshot(ROBOT, READY, 10.2, 50.0)
    for step in range(1, 50):
        now = 10.2 + 0.02 * step
        others.take(told(trajectory), now)
        found, = others.snapshot(ROBOT, READY | {PAN: 0.004 * step}, now, 50.0 + 0.02 * step)
    assert found.at == pytest.approx(0.98, abs=0.03) and found.off < 0.005
    assert found.joints == set(ARM)
    assert others.take(told(trajectory, over=True), 12.0)
    assert others.snapshot(ROBOT, READY, 12.0, 52.0) == ()
    others.take(told(trajectory), 13.0)
    assert others.snapshot(ROBOT, READY, 14.1, 53.0) == ()      # its gate is gone


@pytest.mark.parametrize('when', ['before', 'meanwhile'])
def test_two_motions_of_one_joint_by_two_gates_are_not_judged_with_a_third(when):
    gate = Driver()
    gate.others = (other(part(ARM, 0.4)),)
    request = None if when == 'before' else gate.submit(part(HAND, -0.01))
    gate.others += (other(part(ARM[:2], 0.3), key='/third#1#0', gate='/third'),)
    request = request or gate.submit(part(HAND, -0.01))
    gate.pass_(request)
    assert f'a motion of /third is under way, and another one of shoulder_lift_joint, {PAN} too' \
        in gate.told(request)
    assert 'send' not in gate.log


def test_of_two_motions_of_a_gate_that_streams_the_newer_one_counts():
    """It tells of both until its controller has ended the older one."""
    gate, others = Driver(), OtherMotions()
    others.take(told(part(ARM, 0.4, 2.0), sent_ns=1), 10.0)
    others.take(told(part(ARM, 0.3), sent_ns=2, key='/other#2#0'), 10.0)
    others.take(told(part(HAND, 0.01), sent_ns=3, key='/other#3#0'), 10.0)
    found = others.snapshot(ROBOT, READY, 10.1, 10.1)
    assert [each.told.key for each in found] == ['/other#2#0', '/other#3#0']
    gate.others = found[:1]
    request = gate.submit(part(HAND, -0.01, 0.5))
    gate.pass_(request)
    word, = (c for c in gate.commands if isinstance(c, TellGates))
    assert gate.log[-1] == 'send' and word.together == {'/other#2#0'}
    others.take(told(part(ARM, 0.3), sent_ns=2, key='/other#2#0', over=True), 10.2)     # rejected
    assert '/other#1#0' in [each.told.key for each in others.snapshot(ROBOT, READY, 10.3, 10.3)]


def test_a_motion_of_which_something_else_is_told_later_is_what_was_told_first():
    gate, others = Driver(), OtherMotions()
    for trajectory in part(ARM, 0.4, 2.0), part(HAND, 0.01), part(ARM, 0.3):
        others.take(told(trajectory), 10.0)
        gate.others = others.snapshot(ROBOT, READY, 10.1, 10.1)
        assert gate.others[0].joints == set(gate.others[0].path.names) == set(ARM)
        assert set(gate.question(gate.submit(part(HAND, -0.01))).question.joint_names) == set(OWN)


def test_what_a_gate_tells_of_its_own():
    gate = Driver()
    request = gate.moving()
    gate.wait(0.3)
    gate.finish(request)
    words = [c for c in gate.commands if isinstance(c, TellGates)]
    assert [word.over for word in words] == [False, False, True]
    forward = next(i for i, c in enumerate(gate.commands) if type(c).__name__ == 'Forward')
    assert gate.commands.index(words[0]) < forward      # first it is said, then done


@pytest.mark.parametrize('later, stopped', [(0.0, False), (0.15, True)])
def test_word_of_the_end_of_another_motion_may_be_quicker_than_the_joints(later, stopped):
    """Joints are to stand where they are measured after it, and not where they were before."""
    gate = Driver()
    request = gate.submit(part(HAND, -0.01, 5.0))
    gate.pass_(request)
    gate.accept(request)
    gate.others = (other(part(ARM, 0.4, 2.0)),)
    gate.now += 0.01
    gate.joints[PAN] += 0.1
    gate.handle(JointsChanged())
    gate.others = ()
    gate.age = 0.02                      # what comes next was measured before the end
    for _ in range(3):
        gate.now += 0.01
        gate.joints[PAN] += 0.1
        gate.handle(JointsChanged())
    gate.age = 0.0
    gate.now += 0.05
    gate.joints[PAN] += 0.1              # where it has come to stand
    gate.handle(JointsChanged())
    gate.now += 0.5
    gate.joints[PAN] += later
    gate.handle(JointsChanged())
    assert ('cancel at controller' in gate.log) == stopped


class SetBack(Driver):
    """A gate whose clock is set back by some seconds, as that of a bag that begins again."""

    back = 0.0

    @property
    def now_ns(self) -> int:
        return round((self.now - self.back) * 1e9)


def test_a_clock_that_is_set_back_does_not_leave_joints_unwatched():
    """By that clock the end of the other motion would lie in the future for long."""
    gate = SetBack()
    gate.moving(part(HAND, -0.01, 5.0))
    gate.others = (other(part(ARM, 0.4, 2.0)),)
    gate.now += 0.01
    gate.joints[PAN] += 0.1
    gate.handle(JointsChanged())
    gate.others, gate.age = (), 0.02
    gate.now += 0.01
    gate.joints[PAN] += 0.1
    gate.handle(JointsChanged())
    gate.age, gate.back = 0.0, 50.0
    for _ in range(8):
        gate.now += 0.05
        gate.joints[PAN] += 0.1
        gate.handle(JointsChanged())
    assert 'cancel at controller' in gate.log
