# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole pick-and-place that is streamed in pieces, and what is held driven into something."""
import pytest
from driven import driven

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.streaming import chunks_of, passed, stream
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import FindingCode, Status

CAN, BOWL = 'libero_object_0_0_success', 'libero_spatial_0_0_success'


def simulator_of(episode):
    return ShadowSimulator(Robot.from_urdf(episode.robot_description), None)


@pytest.mark.parametrize('name, seconds, with_fingers', [
    (CAN, 0.5, False), (CAN, 1.0, True), (BOWL, 1.0, False), (BOWL, 1.0, True)])
def test_a_streamed_carry_passes_from_begin_to_end(name, seconds, with_fingers):
    episode = Episode.open(name)
    simulator = simulator_of(episode)
    fingers = simulator.gripper.finger_joints if with_fingers else ()
    said = list(stream(simulator, episode, seconds, fingers=fingers))
    assert passed(said) == 1.0, [(each.time, each.verdict.summary) for each in said]
    holds = [any(f.code is FindingCode.ATTACHED for f in each.verdict.findings) for each in said]
    assert not holds[0] and not holds[-1] and sum(holds) >= 2     # picked up, and put down


def test_what_the_hand_holds_is_not_driven_into_what_is_below_it():
    episode = Episode.open(BOWL)
    said = next(driven(simulator_of(episode), episode, every=1.0, ways=('down',)))
    assert said.verdict.status is not Status.PASS


def test_a_chunk_begins_at_the_measured_joints_of_its_look():
    episode = Episode.open(CAN)
    fingers = ('panda_finger_joint1', 'panda_finger_joint2')
    for chunk in chunks_of(episode, 1.0, fingers=fingers):
        here = chunk.observation.joint_positions
        motion = chunk.trajectory
        assert motion.positions[0].tolist() == [here[name] for name in motion.joint_names]
        assert motion.duration == pytest.approx(1.0, abs=0.06) and motion.times[0] == 0.0
