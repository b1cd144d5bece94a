# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""10,000 random and adversarial trajectories: no crash, and no PASS that was not earned."""
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.precheck import PrecheckSettings, Tier0Settings, Tier1Settings
from kinema4d_ros.precheck.sequence import run_precheck
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import JointTrajectory, Observation, PinholeCamera, Severity, Status
from kinema4d_ros.world_model import load_world_model



def _link(name: str) -> str:
    return (f'<link name="{name}"><collision><origin xyz="0.15 0 0"/><geometry>'
            '<box size="0.24 0.06 0.06"/></geometry></collision></link>')


def _joint(name: str, kind: str, parent: str, child: str, axis: str, limit: str) -> str:
    return (f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
            f'<origin xyz="0.3 0 0"/><axis xyz="{axis}"/><limit effort="1" {limit}/></joint>')


# A chain that can fold onto itself, and that is judged in a third of the demo arm's time.
CHAIN = ('<robot name="chain">' + ''.join(map(_link, ('base', 'upper', 'fore', 'hand', 'finger')))
         + _joint('joint1', 'revolute', 'base', 'upper', '0 0 1',
                  'lower="-2.9" upper="2.9" velocity="2"')
         + _joint('joint2', 'revolute', 'upper', 'fore', '0 0 1',
                  'lower="-2.9" upper="2.9" velocity="2"')
         + _joint('joint3', 'revolute', 'fore', 'hand', '1 0 0',
                  'lower="-3" upper="3" velocity="3"')
         + _joint('slide', 'prismatic', 'hand', 'finger', '0 1 0',
                  'lower="0" upper="0.04" velocity="0.2"') + '</robot>')
CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
# 1.6 m above the floor in front of the robot, looking straight down.
T_BASE_CAMERA = np.array([[1, 0, 0, 0.3], [0, -1, 0, 0.0], [0, 0, -1, 1.6], [0, 0, 0, 1]], float)
ODD = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, 1e-12, 1e6)
ARM = (Path(__file__).parents[2] / 'urdf' / 'demo_arm.urdf').read_text()
NAMES = ('nobody', '', 'joint1 ', '\N{SNOWMAN}', 'x' * 500)
TIERS = ((0,), (0, 1), (1,), ())


class Fuzzed:
    """A robot, with what is drawn and checked of it, and its simulator."""

    def __init__(self, urdf: str) -> None:
        self.robot = Robot.from_urdf(urdf)
        self.joints = self.robot.joint_names
        self.names = (*self.joints, *NAMES)
        limits = [self.robot.limits[name] for name in self.joints]
        self.low = np.array([-3.0 if each.lower is None else each.lower for each in limits])
        self.high = np.array([3.0 if each.upper is None else each.upper for each in limits])
        self.speed = np.array([each.velocity for each in limits])
        self.shadow = ShadowSimulator(self.robot, load_world_model('kinematic'))


@pytest.fixture(scope='module')
def arm():
    """Return the demo arm."""
    fuzzed = Fuzzed(ARM)
    yield fuzzed
    fuzzed.shadow.close()


@pytest.fixture(scope='module')
def chain():
    """Return the robot of few links."""
    fuzzed = Fuzzed(CHAIN)
    yield fuzzed
    fuzzed.shadow.close()


def likely(it: Fuzzed, rng: np.random.Generator) -> JointTrajectory:
    """Return a motion that may well be good: smooth, slow, from the middle of the ranges."""
    count = int(rng.integers(2, 12))
    chosen = rng.permutation(len(it.joints))[:int(rng.integers(1, len(it.joints) + 1))]
    middle = 0.5 * (it.low + it.high)[chosen]
    goal = middle + rng.uniform(-0.3, 0.3, len(chosen)) * (it.high - it.low)[chosen]
    share = np.linspace(0, 1, count)[:, None]
    positions = middle + share ** 2 * (3 - 2 * share) * (goal - middle)
    times = np.linspace(0, rng.uniform(0.3, 12.0), count)
    velocities = np.gradient(positions, times, axis=0)
    velocities[[0, -1]] = 0.0
    kind = rng.integers(3)
    fields = {} if kind == 0 else {'velocities': velocities}
    if kind == 2:
        fields['accelerations'] = np.zeros_like(positions)
    return JointTrajectory(tuple(it.joints[i] for i in chosen), times, positions, **fields)


def spoilt(it: Fuzzed, rng: np.random.Generator, motion: JointTrajectory) -> JointTrajectory:
    """Return a trajectory with one to four things wrong, or merely strange."""
    names = list(motion.joint_names)
    arrays = {'times': motion.times, 'positions': motion.positions,
              'velocities': motion.velocities, 'accelerations': motion.accelerations}
    arrays = {key: None if value is None else value.copy() for key, value in arrays.items()}
    for _ in range(rng.integers(1, 5)):
        count = len(arrays['times'])
        key = str(rng.choice([key for key, value in arrays.items() if value is not None]))
        match rng.integers(8):
            case 0 if arrays[key].size:
                arrays[key].flat[rng.integers(arrays[key].size)] = rng.choice(ODD)
            case 1:
                arrays[key] = arrays[key] * rng.choice([-1.0, 0.0, 1e-9, 0.01, 100.0, 1e12])
            case 2:
                names[rng.integers(len(names))] = it.names[rng.integers(len(it.names))]
            case 3:
                order = rng.permutation(count)
                arrays['times'] = arrays['times'][order]
            case 4:
                keep = slice(0, int(rng.integers(0, count + 1)))
                arrays = {k: None if v is None else v[keep] for k, v in arrays.items()}
            case 5:
                arrays['positions'] = rng.uniform(-8, 8, arrays['positions'].shape)
            case 6:
                arrays['velocities'] = rng.normal(0, 10.0 ** rng.integers(-3, 6),
                                                  arrays['positions'].shape)
            case 7:
                arrays['times'] = arrays['times'] + rng.choice([-1.0, 1e-9, 5.0, 1e9])
    if len(set(names)) != len(names):
        names = [f'{name}{i}' if i else name for i, name in enumerate(names)]
    return JointTrajectory(tuple(names), **arrays)


def observed(it: Fuzzed, rng: np.random.Generator, motion: JointTrajectory) -> Observation:
    """Return an observation of floor, blocks, holes and nonsense; live joints that fit, or not."""
    live = dict(zip(it.joints, 0.5 * (it.low + it.high)))
    if rng.random() < 0.7 and len(motion.times):
        live |= {name: float(value) for name, value in zip(motion.joint_names,
                                                           motion.positions[0])}
    if rng.random() < 0.15:
        live[it.joints[rng.integers(len(it.joints))]] = float(rng.choice(ODD))
    if rng.random() < 0.1:
        del live[it.joints[rng.integers(len(it.joints))]]
    depth = np.full((48, 64), 1.6, np.float32)
    match rng.integers(5):
        case 0:
            depth[rng.integers(48):, rng.integers(64):] = rng.uniform(0.2, 1.6)
        case 1:
            depth[rng.random(depth.shape) < 0.3] = rng.choice([np.nan, 0.0, -1.0, np.inf, 1e30])
        case 2:
            depth[:] = rng.normal(1, 1, depth.shape)
        case 3:
            depth[:] = np.nan
    image = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
    return Observation.from_rgbd(image, None if rng.random() < 0.1 else depth, CAMERA,
                                 T_BASE_CAMERA, live)


def unearned(it: Fuzzed, verdict, motion: JointTrajectory, observation: Observation, tiers,
             required) -> str:
    """Return what an independent check holds against a PASS; empty for nothing."""
    if not required or set(required) - set(verdict.tiers_passed):
        return 'a required tier did not pass'
    if any(f.severity > Severity.INFO for f in verdict.findings):
        return 'a finding speaks against it'
    if 1 in required and (1 not in tiers or observation.view.depth is None):
        return 'the scene was not looked at'
    live = observation.joint_positions
    if not all(math.isfinite(live.get(name, math.nan)) for name in it.joints):
        return 'a live joint is not known'
    if not all(np.isfinite(x).all() for x in (motion.times, motion.positions)) \
            or (np.diff(motion.times) <= 0).any() or motion.times[0] < 0:
        return 'it is no motion'
    dense = sample_trajectory(motion, it.robot, np.linspace(0, motion.duration, 500), live)
    if (dense.positions < it.low - 2e-3).any() or (dense.positions > it.high + 2e-3).any():
        return 'it leaves the position limits'
    moving = [it.joints.index(name) for name in motion.joint_names]
    if (np.abs(dense.velocities[:, moving]) > it.speed[moving] * (1 + 1e-5)).any():
        return 'it is too fast'
    return ''


def check(it: Fuzzed, rng: np.random.Generator, tiers) -> Status:
    """Judge one trajectory, and check that the verdict means what it says."""
    motion = likely(it, rng)
    if rng.random() < 0.7:
        motion = spoilt(it, rng, motion)
    observation = observed(it, rng, motion)
    required = TIERS[rng.integers(len(TIERS))] if rng.random() < 0.3 else tiers
    verdict = run_precheck(it.shadow, it.shadow.checker(SETTINGS), observation, motion, tiers=tiers,
                           required=required, goal=None)
    assert verdict.summary and verdict.trajectory_hash
    missing = set(required) - {0, *tiers}
    if missing or not required:
        assert verdict.status != Status.PASS
    if verdict.status == Status.PASS:
        reason = unearned(it, verdict, motion, observation, tiers, required)
        assert not reason, (reason, motion, observation.joint_positions, verdict)
    return verdict.status


# Few samples: what is fuzzed are rules and numbers, not how densely a motion is sampled.
SETTINGS = PrecheckSettings(
    Tier0Settings(workspace=(-2, -2, -2, 2, 2, 2), travel=0.2),
    Tier1Settings(unseen_outside=0.02, travel=0.2, voxel=0.01,
                  camera_check='off'))     # the robot is not in these pictures


@pytest.mark.filterwarnings('ignore::RuntimeWarning')      # of numbers that overflow
@pytest.mark.parametrize('which, tiers, count, seed', [
    ('arm', (0,), 1_650, 0), *(('chain', (0,), 1_650, seed) for seed in range(1, 6)),
    ('arm', (0, 1), 100, 6)])        # 10,000 together
def test_no_crash_and_no_pass_that_was_not_earned(request, which, tiers, count, seed):
    it, rng = request.getfixturevalue(which), np.random.default_rng([20_26, seed])
    seen = [check(it, rng, tiers) for _ in range(count)]
    # The fuzzing reaches all sides: a check that always says no would show nothing.
    for status in Status:
        assert seen.count(status) >= count // 100, status


ARM_NAMES = (*Robot.from_urdf(ARM).joint_names, *NAMES)
NUMBERS = st.one_of(st.floats(), st.floats(-3, 3), st.sampled_from(ODD))


@st.composite
def anything(draw):
    """Draw any trajectory that can be written down."""
    names = draw(st.lists(st.one_of(st.sampled_from(ARM_NAMES), st.text(max_size=4)),
                          max_size=8, unique=True))
    count = draw(st.integers(0, 6))
    arrays = [draw(st.none() if k and draw(st.booleans()) else st.lists(
        NUMBERS, min_size=count * len(names), max_size=count * len(names))) for k in range(3)]
    times = draw(st.lists(NUMBERS, min_size=count, max_size=count))
    if draw(st.booleans()):
        times = [0.5 * number for number in range(count)]
    return JointTrajectory(tuple(names), np.array(times, float), *(
        None if array is None else np.reshape(np.array(array, float), (count, len(names)))
        for array in arrays))


@pytest.mark.filterwarnings('ignore::RuntimeWarning')
@settings(max_examples=200, deadline=None)
@given(anything(), st.sampled_from(TIERS), st.sampled_from(TIERS), st.integers(0, 99))
def test_anything_at_all(arm, motion, tiers, required, seed):
    observation = observed(arm, np.random.default_rng(seed), motion)
    verdict = run_precheck(arm.shadow, arm.shadow.checker(SETTINGS), observation, motion,
                           tiers=tiers, required=required, goal=None)
    if verdict.status == Status.PASS:
        assert not unearned(arm, verdict, motion, observation, tiers, required)
