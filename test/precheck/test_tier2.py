# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tier 2 on predictions with one known fault each, and on ones without."""
import dataclasses

import numpy as np
import pytest
from gantry import motion, observe, simulator
from scenes import BLUE, box, can, Path, pick_and_place, RED, World

from kinema4d_ros.camera import LinkPose
from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck import FutureCheck, PrecheckSettings, Tier1Settings, Tier2Settings
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import DistanceFields, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (FindingCode, PinholeCamera, PredictedFrame, RobotRollout, Severity,
                                Status)
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.following import (FollowingScore, FollowingScores,
                                                settings_that_matter)
from kinema4d_ros.world_model.frozen import Frozen
from kinema4d_ros.world_model.kinematic import Kinematic

PLACE = pick_and_place((0.1, 0.15), (-0.05, -0.2), grip_height=0.07, release_height=0.09,
                       frames=76)
AIR = Path.through((0, 0, -0.3, 0.3, 0.08), (2, 0, -0.1, 0.3, 0.08), frames=21)
CAN, POST = can(0.03, 0.12, (0.1, 0.15, 0)), box((0.06, 0.06, 0.1), (-0.1, 0.1, 0))
CAN_AND_POST = World().add(RED, CAN).add(BLUE, POST)
_, DEPTH, THING = CAN_AND_POST.render()
_, EMPTY, _ = World().render()


class Faulty(Frozen):
    """Predicts that nothing moves, but for a fault in the frames of the second half."""

    def predict(self, observation, robot, *, seed=0, report=lambda *_: None):
        """Yield the frames."""
        for frame in super().predict(observation, robot, seed=seed, report=report):
            if frame.index >= frame.count // 2:
                points = frame.pointmap.copy()
                frame = self.spoil(dataclasses.replace(frame, pointmap=points), robot, seed)
            if frame is not None:
                yield frame

    def spoil(self, frame, robot, seed):
        """Return the frame with a fault."""
        return frame


def set_depth(frame, robot, mask, depth):
    """Set the depth (H, W) [m] of some pixels of a frame."""
    frame.pointmap[mask] = (robot.camera.rays() * depth[..., None])[mask]
    return frame


class PostMoves(Faulty):
    """The post is 20 cm nearer to the camera all at once."""

    def spoil(self, frame, robot, seed):
        return set_depth(frame, robot, THING == 2, DEPTH - 0.2)


class PostVanishes(Faulty):
    """The post is gone: the table behind it is seen."""

    def spoil(self, frame, robot, seed):
        return set_depth(frame, robot, THING == 2, EMPTY)


class RobotLags(Faulty):
    """The robot is drawn 10 cm behind where it will be."""

    def spoil(self, frame, robot, seed):
        mask = robot.link_id[frame.index] >= 0
        frame.pointmap[mask] += np.float32([0, 0, 0.1])
        return frame


class Ends(Faulty):
    """The prediction stops half-way."""

    def spoil(self, frame, robot, seed):
        return None


class Dice(Kinematic):
    """What is carried is somewhere else for each seed."""

    def predict(self, observation, robot, *, seed=0, report=lambda *_: None):
        for frame in super().predict(observation, robot, seed=seed, report=report):
            yield dataclasses.replace(
                frame, carried_point_base=frame.carried_point_base + [0.1 * seed, 0, 0])


def judge(model, path, *, world=CAN_AND_POST, **settings):
    """Return the verdict with tier 2."""
    options = PrecheckSettings(
        tier1=Tier1Settings(depth_sigma=0.0, depth_sigma_square=0.0, mask_growth=2),
        tier2=Tier2Settings(**settings))
    return simulator(model).precheck(observe(world, path), motion(path), tiers=(0, 1, 2),
                                     settings=options)


def doubts(verdict):
    """Return the codes of what speaks against the motion."""
    return [f.code for f in verdict.findings if f.severity > Severity.INFO]


@pytest.mark.parametrize('name, path', [('kinematic', PLACE), ('frozen', AIR)])
def test_a_prediction_without_fault_passes(name, path):
    verdict = judge(load_world_model(name), path, seeds=2, hold_still=True)
    assert verdict.status == Status.PASS and verdict.tiers_passed == (0, 1, 2), verdict.summary
    assert verdict.action_following < 1e-4 and 'tier 2' in verdict.latencies


@pytest.mark.parametrize('name, passed, told', [
    ('libero_object_0_0_success', (0, 1, 2), None),
    ('libero_spatial_0_0_into_table', (0, 2), FindingCode.CONTACT),
    ('libero_object_3_0_slip', (0, 1), FindingCode.GHOST_MOTION)])     # it slips off the fingers
def test_the_recorded_future_of_a_real_episode(name, passed, told):
    path = share_dir() / 'data' / 'episodes' / f'{name}.mcap'
    episode = Episode.open(path)
    shadow = ShadowSimulator(
        Robot.from_urdf(episode.robot_description), load_world_model('replay', episode=str(path)),
        frames=13, camera_poses=LinkPose(episode.camera_frame).poses)
    # It follows no other trajectory than that of its own, so what it plays is never believed
    # unless that is asked for.
    asked = PrecheckSettings(tier2=Tier2Settings(unprobed='report'))
    verdict = shadow.precheck(episode.observation(), episode.trajectory, tiers=(0, 1, 2),
                              settings=asked)
    assert verdict.tiers_passed == passed, verdict.summary
    assert (told in doubts(verdict)) if told else (verdict.status == Status.PASS)
    assert 0.0 < verdict.action_following < 0.02      # the arm follows its plan, not quite


@pytest.mark.parametrize('model, code, words', [
    (PostMoves, FindingCode.GHOST_MOTION, 'moves in the prediction, which nothing touches'),
    (PostVanishes, FindingCode.VANISHED, 'disappears in the prediction'),
    (RobotLags, FindingCode.ACTION_FOLLOWING, 'the predicted robot is up to 10 cm from where'),
    (Ends, FindingCode.MODEL_FAILED, 'ended after 8 of 17 frames')])
def test_a_fault_is_named_and_the_verdict_unsure(model, code, words):
    verdict = judge(model(), AIR)
    assert verdict.status == Status.UNSURE and verdict.deciding_tier == 2
    assert doubts(verdict) == [code], verdict.summary
    assert words in verdict.summary
    if code is FindingCode.GHOST_MOTION:
        finding = next(f for f in verdict.findings if f.code == code)
        assert finding.time == pytest.approx(1.0) and finding.unit == 'm^2'


def test_a_prediction_of_which_nothing_could_be_examined_does_not_pass():
    still = np.tile(np.eye(4), (2, 1, 1))
    moving = still.copy()
    moving[1, 0, 3] = 0.1
    for poses, severity in ((moving, Severity.UNSURE), (still, Severity.INFO)):
        robot = RobotRollout(
            np.array([0.0, 1.0]), ('j',), np.zeros((2, 1)), ('base',), still[:, None],
            PinholeCamera(8, 8, 8.0, 8.0, 3.5, 3.5), poses, np.full((2, 8, 8, 3), np.nan, 'f4'),
            np.full((2, 8, 8), -1, np.int16), np.zeros((2, 8, 8, 3), np.uint8))
        check = FutureCheck(robot, {'base': np.full((1, 3), 9.0)}, DistanceFields({}))
        for index in range(2):         # the robot is in no picture
            check.add(PredictedFrame(
                index, 2, float(index), np.zeros((8, 8, 3), np.uint8),
                np.dstack([np.zeros((8, 8, 2)), np.ones((8, 8))]).astype(np.float32),
                np.zeros((8, 8), bool)))
        assert max(finding.severity for finding in check.finish()) == severity


def test_residual_by_hand():
    verdict = judge(RobotLags(), AIR, residual=0.2)
    assert verdict.action_following == pytest.approx(0.1, abs=1e-3)
    assert verdict.status == Status.PASS


def test_seeds_that_differ():
    verdict = judge(Dice(), PLACE, seeds=2)
    assert doubts(verdict) == [FindingCode.SPREAD]
    found = next(f for f in verdict.findings if f.code == FindingCode.SPREAD)
    assert found.value == pytest.approx(0.1, abs=1e-6) and found.limit == 0.05
    assert judge(Dice(), PLACE, seeds=2, spread=0.2).status == Status.PASS
    assert judge(Dice(), PLACE, seeds=1).status == Status.PASS


def test_things_that_move_by_themselves():
    verdict = judge(PostMoves(), AIR, hold_still=True)
    assert FindingCode.NO_REACTION in doubts(verdict)


class PostIsPushed(Faulty):
    """The post is 5 cm nearer to the camera in the second half."""

    def spoil(self, frame, robot, seed):
        return set_depth(frame, robot, THING == 2, DEPTH - 0.05)


def test_what_was_touched_may_move():
    # The hand comes down beside the post, which then is nearer to the camera.
    beside = Path.through((0, 0, -0.3, 0.3, 0.08), (0.7, -0.1, 0.01, 0.3, 0.08),
                          (1.2, -0.1, 0.01, 0.08, 0.08), (3, -0.1, 0.01, 0.3, 0.08), frames=31)
    assert doubts(judge(PostIsPushed(), beside)) == []
    assert doubts(judge(PostIsPushed(), AIR)) == [FindingCode.GHOST_MOTION]


@pytest.mark.parametrize('tight, loose', [
    ({'least_area': 0.0004}, {'least_area': 0.1}), ({'moved': 0.02}, {'moved': 0.5}),
    ({'reach': 0.02}, {'reach': 1.0})])
def test_tightening_a_limit_never_turns_doubt_into_a_pass(tight, loose):
    assert judge(PostMoves(), AIR, **tight).status == Status.UNSURE
    assert judge(PostMoves(), AIR, **loose).status == Status.PASS


class Generates(Frozen):
    """Does not say whether the robot in its frames is the one that it was asked about."""

    follows_actions = None


class Ignores(Frozen):
    """Says that its frames do not depend on the actions."""

    follows_actions = False


@pytest.mark.parametrize('model, low, unprobed, code, words', [
    (Generates, None, 'unsure', FindingCode.NOT_CHECKED, 'nobody has measured whether'),
    (Generates, None, 'report', None, ''),
    (Generates, 0.6, 'unsure', None, ''),
    (Generates, 0.4, 'report', FindingCode.ACTION_FOLLOWING, 'does not follow actions well enough'),
    (Frozen, 0.4, 'report', FindingCode.ACTION_FOLLOWING, 'does not follow actions well enough'),
    (Ignores, 1.0, 'report', FindingCode.ACTION_FOLLOWING, 'takes no actions')])
def test_a_model_that_is_not_known_to_follow_actions_leads_to_no_pass(model, low, unprobed, code,
                                                                       words):
    made = model()
    scores = None if low is None else FollowingScores((FollowingScore(
        made.name, '', low, low, 1.0, 1, 20, settings_that_matter(made)),))
    verdict = judge(made, AIR, following_scores=scores, unprobed=unprobed)
    assert doubts(verdict) == ([] if code is None else [code])
    assert verdict.status == (Status.PASS if code is None else Status.UNSURE)
    if code is not None:
        assert words in verdict.summary and verdict.deciding_tier == 2
    told = any('nobody has measured' in finding.message for finding in verdict.findings)
    assert told == (low is None)
    if low is not None and code is not None and made.follows_actions is not False:
        assert (verdict.findings[-1].value, verdict.findings[-1].limit) == (low, 0.5)


def test_an_exception_of_the_model_is_unsure():
    class Broken(Faulty):
        def spoil(self, frame, robot, seed):
            raise ValueError('out of ideas')
    verdict = judge(Broken(), AIR)
    assert verdict.status == Status.UNSURE
    assert 'tier 2 failed: ValueError: out of ideas' in verdict.summary


@pytest.mark.parametrize('bad', [{'residual': -1.0}, {'moved': 0.0}, {'least_area': 0.0},
                                 {'reach': float('nan')}, {'seeds': 0}, {'spread': -0.1},
                                 {'least_following': -1.0}, {'least_following': 1.5}])
def test_settings_that_switch_a_rule_off_are_refused(bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        Tier2Settings(**bad)
