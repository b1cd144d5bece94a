# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a client gets of a chunk that passed: nothing that was not judged."""
import numpy as np
import pytest
from chunk_checks import ARM, checker, chunk, FakeJudge, FINGERS, FORM, HERE, RATE, READY, ROBOT

from kinema4d_ros import ActionFormat, ActionReader, Reference
from kinema4d_ros.policy import GripperColumn, VelocityResponse
from kinema4d_ros.types import JointTrajectory

GRIPPER = GripperColumn(-1, 1.0, -1.0, dict.fromkeys(FINGERS, (0.04, 0.0)))


def judged_to_pass(form, sent, client=None, **options):
    """Return what a client gets, and the path that was judged for it."""
    judge = FakeJudge()
    checked = checker(judge, form, executed=2).check(sent, READY, executed=client, **options)
    assert not checked.held
    return checked.actions, judge.asked[0][0][0]


@pytest.mark.parametrize('reference', Reference)
def test_actions_that_were_not_judged_stand_still_where_the_judged_ones_lead(reference):
    form = ActionFormat(RATE, ARM, reference, grippers=(GRIPPER,), absolute_joints=ARM[1:2]
                        if reference is not Reference.ABSOLUTE else ())
    wild = np.arange(1, 6)[:, None] * 0.01 + np.zeros((1, len(ARM) + 1))
    wild[:, 1] += HERE[1]
    if reference is Reference.ABSOLUTE:
        wild[:, :-1] += np.where(np.arange(len(ARM)) == 1, 0.0, HERE)
    wild[2:] += 5.0
    got, path = judged_to_pass(form, wild)
    assert got.shape == wild.shape and len(path.times) == 2
    np.testing.assert_array_equal(got[:2], wild[:2])
    motion = ActionReader(ROBOT, form).trajectory(got, READY)
    arm = [motion.joint_names.index(name) for name in ARM]
    np.testing.assert_allclose(motion.positions[3:, arm], np.tile(path.positions[-1, arm], (3, 1)))
    assert (got[2:, -1] == wild[1, -1]).all()


def test_velocities_that_were_not_judged_are_zero():
    form = ActionFormat(RATE, ARM, velocity=VelocityResponse(0.8, 0.1))
    got, _ = judged_to_pass(form, np.full((5, len(ARM)), 0.2))
    assert (got[:2] == 0.2).all() and (got[2:] == 0.0).all()


def test_a_client_that_executes_all_has_all_judged():
    got, path = judged_to_pass(FORM, chunk(), client=0)
    assert len(path.times) == 5
    np.testing.assert_array_equal(got, chunk())


def test_numbers_are_passed_on_as_they_were_judged():
    """A client that forgets to clip would drive five times as fast as was judged."""
    form = ActionFormat(RATE, ARM, clip=(-1.0, 1.0), velocity=VelocityResponse(),
                        grippers=(GripperColumn(-1, 0.0, 1.0, threshold=0.5),))
    sent = np.full((2, len(ARM) + 1), 5.0)
    got, path = judged_to_pass(form, sent)
    assert (got[:, :-1] == 1.0).all() and (got[:, -1] == 5.0).all()
    np.testing.assert_allclose(path.positions[-1], HERE + 2 / RATE)


def test_a_point_at_time_0_is_where_the_robot_is():
    """It is on no path that is judged, and a controller would jump to it."""
    for first, passes in ((0.0, True), (0.01, True), (0.3, False)):
        judge, rows = FakeJudge(), np.vstack([HERE + first, HERE + 0.01])
        choice = checker(judge).guard.choose(
            JointTrajectory(ARM, np.array([0.0, 1.0]), rows), READY, asked=100.0)
        assert choice.passed == passes and len(judge.asked) == passes
        assert passes or 'at time 0, 0.3 away' in choice.verdict.summary


def test_a_delay_takes_only_what_was_executed_as_sent_before():
    form = ActionFormat(RATE, ARM, velocity=VelocityResponse(1.0, 0.1))
    sent = np.vstack([np.full((2, len(ARM)), 0.3), np.full((3, len(ARM)), -0.5)])
    judge = FakeJudge()
    twice = checker(judge, form, executed=2)
    twice.check(sent, READY)
    twice.check(np.zeros((5, len(ARM))), READY)
    # the second of the two is still to be driven, and none of the three that were never sent
    np.testing.assert_allclose(judge.asked[1][0][0].positions[-1], HERE + 0.3 / RATE)
