# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera is where it is said to be, or there is no PASS: ways of being wrong, on episodes."""
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.degraded_camera import degrade, REALISTIC, with_ball
from kinema4d_ros.precheck import PrecheckSettings, Tier1Settings
from kinema4d_ros.precheck.tier1.camera_pose import CameraMemory
from kinema4d_ros.robot import Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import Background, FindingCode, Severity, Status

EPISODES = Path(__file__).resolve().parents[2] / 'data' / 'episodes'
NAMES = ('libero_object_0_0_success', 'libero_spatial_0_0_success')
OPTICAL_BODY = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


@pytest.fixture(scope='module')
def shadow():
    """Return a simulator for the robot of all episodes."""
    episode = Episode.open(EPISODES / f'{NAMES[0]}.mcap')
    return ShadowSimulator(Robot.from_urdf(episode.robot_description), None)


@pytest.fixture(scope='module', params=NAMES)
def episode(request):
    return Episode.open(EPISODES / f'{request.param}.mcap')


def judged(shadow, episode, observation, **tier1):
    """Return the verdict, with nothing remembered, and its finding about the camera or None."""
    shadow.forget()
    tier1 = {'unseen': 'report', **tier1}      # what a hole in the depth means is not the question
    joints = episode.observation().joint_positions
    verdict = shadow.precheck(observation, episode.trajectory, live_joints=joints,
                              settings=PrecheckSettings(tier1=Tier1Settings(**tier1)))
    found = [f for f in verdict.findings if f.code == FindingCode.CAMERA_POSE]
    assert len(found) <= 1
    return verdict, found[0] if found else None


def moved(observation, shift=(0, 0, 0), degrees=(0, 0, 0)):
    """Return the observation of a camera that is said to be elsewhere."""
    error = np.eye(4)
    error[:3, 3] = shift
    error[:3, :3] = Rotation.from_euler('xyz', degrees, degrees=True).as_matrix()
    return observation.with_view(T_base_camera=observation.view.T_base_camera @ error)


def with_camera(observation, **changes):
    return observation.with_view(camera=dataclasses.replace(observation.view.camera, **changes))


def mirrored(observation):
    view = observation.view
    return observation.with_view(depth=view.depth[:, ::-1], image=view.image[:, ::-1])


def joint_off(observation, degrees, name='panda_joint2'):
    joints = dict(observation.joint_positions)
    joints[name] += np.radians(degrees)
    return dataclasses.replace(observation, joint_positions=joints)


def posed(observation, T):
    return observation.with_view(T_base_camera=T)


WRONG = {
    'stamped with the body frame': lambda o: posed(o, o.view.T_base_camera @ OPTICAL_BODY),
    'body frame the other way': lambda o: posed(
        o, o.view.T_base_camera @ np.linalg.inv(OPTICAL_BODY)),
    'extrinsics inverted': lambda o: posed(o, np.linalg.inv(o.view.T_base_camera)),
    'turned away': lambda o: moved(o, degrees=(0, 180, 0)),
    'rolled by 90': lambda o: moved(o, degrees=(0, 0, 90)),
    'rolled by 180': lambda o: moved(o, degrees=(0, 0, 180)),
    'rolled by 10': lambda o: moved(o, degrees=(0, 0, 10)),
    'tilted by 5': lambda o: moved(o, degrees=(5, 0, 0)),
    'panned by 5': lambda o: moved(o, degrees=(0, 5, 0)),
    '5 cm aside': lambda o: moved(o, (0.05, 0, 0)),
    '5 cm up': lambda o: moved(o, (0, -0.05, 0)),
    '5 cm closer': lambda o: moved(o, (0, 0, 0.05)),
    '20 cm aside': lambda o: moved(o, (-0.2, 0, 0)),
    'intrinsics of twice the size': lambda o: with_camera(
        o, fx=2 * o.view.camera.fx, fy=2 * o.view.camera.fy),
    'intrinsics of another camera': lambda o: with_camera(
        o, fx=0.75 * o.view.camera.fx, fy=0.75 * o.view.camera.fy),
    'principal point off': lambda o: with_camera(o, cx=o.view.camera.cx + 20),
    'mirrored': mirrored,
    'upside down': lambda o: o.with_view(depth=o.view.depth[::-1], image=o.view.image[::-1]),
    'joint 2 off by 4': lambda o: joint_off(o, 4),
    'joint 4 off by -5': lambda o: joint_off(o, -5, 'panda_joint4'),
    'joint 1 off by 5': lambda o: joint_off(o, 5, 'panda_joint1'),
    'depth in the wrong unit': lambda o: o.with_view(depth=o.view.depth * 1.25),
}


@pytest.mark.parametrize('noise', [False, True], ids=['clean', 'realistic'])
@pytest.mark.parametrize('wrong', WRONG.values(), ids=WRONG)
def test_a_camera_that_is_elsewhere_forbids_a_pass(shadow, episode, wrong, noise):
    observation = wrong(episode.observation())
    if noise:
        observation = degrade(observation, REALISTIC, 1)
    verdict, finding = judged(shadow, episode, observation)
    assert verdict.status == Status.UNSURE, verdict.summary
    assert finding is not None and finding.severity == Severity.UNSURE
    assert 'camera' in finding.message


@pytest.mark.parametrize('seed', range(3))
def test_a_camera_in_its_place_is_believed(shadow, episode, seed):
    observation = episode.observation()
    for seen in (observation, degrade(observation, REALISTIC, seed)):
        verdict, finding = judged(shadow, episode, seen)
        assert verdict.status == Status.PASS, verdict.summary
        assert finding is None


@pytest.mark.parametrize('seed', range(4))
def test_what_the_calibration_explains_is_put_right(shadow, episode, seed):
    """The scene is laid where the robot shows it is: clearances come out as without the error."""
    observation = episode.observation()
    how = dataclasses.replace(REALISTIC, shift=0.005, turn=np.radians(0.5))
    seen = degrade(observation, how, seed)
    verdict, finding = judged(shadow, episode, seen, calibration_turn_sigma=np.radians(0.5))
    assert finding is None or (finding.severity == Severity.INFO and 'mm' in finding.message)
    assert verdict.status == Status.PASS, verdict.summary
    exact, _ = judged(shadow, episode, observation)
    assert verdict.min_clearance == pytest.approx(exact.min_clearance, abs=0.006)
    assert verdict.clearance_sigma < 0.007          # the calibration alone leaves 11 mm


def test_the_offset_is_measured(shadow, episode):
    _, finding = judged(shadow, episode, moved(episode.observation(), (0.05, 0, 0)))
    assert finding.value == pytest.approx(0.05, abs=0.004) and finding.unit == 'm'
    assert '50 mm' in finding.message or '49 mm' in finding.message


def test_a_tighter_calibration_explains_less(shadow, episode):
    seen = moved(episode.observation(), (0.012, 0, 0))
    assert judged(shadow, episode, seen)[0].status == Status.PASS
    tight = {'calibration_sigma': 0.001, 'calibration_turn_sigma': 0.001}
    verdict, finding = judged(shadow, episode, seen, **tight)
    assert verdict.status == Status.UNSURE and 'tier1.calibration_sigma' in finding.message


# ------------------------------------------------------------------ nothing to compare

def hidden(observation):
    """Put a board before all of the robot."""
    return observation.with_view(depth=np.minimum(observation.view.depth, np.float32(0.4)))


UNSEEN = {
    'hidden': (hidden, 'something nearer hides'),
    'no depth there': (lambda o: o.with_view(depth=np.where(
        np.arange(o.view.depth.shape[1]) < 280, np.nan, o.view.depth).astype(np.float32)),
        'no depth where'),
    'outside of the image': (lambda o: moved(o, degrees=(0, 180, 0)), 'outside of the image'),
}


@pytest.mark.parametrize('case', UNSEEN.values(), ids=UNSEEN)
def test_a_robot_that_cannot_be_seen_vouches_for_nothing(shadow, episode, case):
    spoil, why = case
    verdict, finding = judged(shadow, episode, spoil(episode.observation()))
    assert verdict.status == Status.UNSURE
    assert finding.severity == Severity.UNSURE and why in finding.message
    assert 'move the robot into view once' in finding.message
    _, finding = judged(shadow, episode, spoil(episode.observation()), camera_check='when_visible')
    assert finding.severity == Severity.INFO and why in finding.message
    assert judged(shadow, episode, spoil(episode.observation()), camera_check='off')[1] is None


def test_an_earlier_agreement_counts_from_the_same_place_for_some_time(shadow, episode):
    observation = episode.observation()
    board = hidden(observation)
    for seconds, shift, severity in (
            (30, 0.0, Severity.INFO), (599, 0.0, Severity.INFO), (601, 0.0, Severity.UNSURE),
            (30, 0.01, Severity.UNSURE)):
        judged(shadow, episode, observation, camera_check='required')
        later = moved(dataclasses.replace(
            board, stamp_ns=observation.stamp_ns + seconds * 1_000_000_000), (shift, 0, 0))
        verdict = shadow.precheck(later, episode.trajectory)
        (finding,) = [f for f in verdict.findings if f.code == FindingCode.CAMERA_POSE]
        assert finding.severity == severity, (seconds, shift)
        assert (f'{seconds} s ago' in finding.message) == (not shift)


def test_a_disagreement_ends_an_agreement(shadow, episode):
    observation = episode.observation()
    judged(shadow, episode, observation)
    bumped = observation.with_view(depth=np.roll(observation.view.depth, 25, axis=1))
    assert shadow.precheck(bumped, episode.trajectory).status == Status.UNSURE
    verdict = shadow.precheck(hidden(observation), episode.trajectory)
    assert any('never agreed' in f.message for f in verdict.findings)


def test_a_camera_on_the_hand_is_at_the_same_place_on_the_hand():
    rng = np.random.default_rng(0)
    poses = np.repeat(np.eye(4)[None], 3, 0)
    poses[:, :3, 3] = rng.normal(size=(3, 3))
    episode = Episode.open(EPISODES / f'{NAMES[0]}.mcap')
    mounted = np.eye(4)
    mounted[:3, 3] = 0.1, 0.0, 0.05
    seen = posed(episode.observation(), poses[2] @ mounted)
    memory = CameraMemory()
    assert memory.age(seen.view, poses, 0) is None
    memory.remember(seen.view, poses, 0)
    poses[1:, :3, 3] += 0.3
    assert memory.age(posed(seen, poses[2] @ mounted).view, poses, 0) == 0.0
    mounted[0, 3] += 0.01                      # it was knocked against something
    assert memory.age(posed(seen, poses[2] @ mounted).view, poses, 0) is None


# ------------------------------------------------------------------ in front of the robot

def test_what_stands_between_camera_and_robot_is_an_obstacle(shadow, episode):
    """A robot's mask hides the scene behind it, and nothing before it."""
    observation = episode.observation()
    checker = shadow.checker()
    motion = checker.rollout_of(observation, episode.trajectory)
    palm = motion.T_base_link[:, motion.link_names.index('panda_hand'), :3, 3]
    way = np.linalg.norm(palm - palm[0], axis=1)
    blocked, pixels = with_ball(observation, palm[np.argmax(way > 0.15)], 0.03)
    assert pixels > 100
    verdict, _ = judged(shadow, episode, blocked)
    assert verdict.status == Status.FAIL, verdict.summary
    assert any(f.code == FindingCode.CONTACT for f in verdict.findings)


def test_memory_of_the_scene_does_not_speak_for_the_camera(shadow, episode):
    """What is remembered of the scene says nothing of where the camera is now."""
    seen = moved(episode.observation(), (0.05, 0, 0))
    view = seen.view
    known = Background(view.image, view.depth, np.ones(view.depth.shape, bool),
                       np.zeros(view.depth.shape, np.int64))
    assert judged(shadow, episode, seen.with_view(background=known))[0].status == Status.UNSURE
