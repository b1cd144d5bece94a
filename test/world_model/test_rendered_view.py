# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The wrist's view of a future, drawn from another camera, against what the wrist really saw."""
import numpy as np
import pytest
from graph import ROOT

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.episodes import Episode
from kinema4d_ros.foresight import best_story
from kinema4d_ros.robot import load_meshes, Robot
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.world_model.rendered_view import FutureRenderer

EPISODE = ROOT / 'data' / 'episodes' / 'libero_object_6_0_success_wrist.mcap'


class Future:
    """The future of the episode, as it is foreseen, and what the wrist really sees of it."""

    def __init__(self):
        self.episode = Episode.open(EPISODE)
        self.robot = Robot.from_urdf(self.episode.robot_description)
        meshes = load_meshes(self.robot)
        self.simulator = ShadowSimulator(self.robot, None, meshes=meshes, frames=4)
        checker = self.simulator.checker()
        observation = self.episode.observation()
        self.wrist = self.episode.camera('wrist')
        self.motion = checker.rollout_of(observation, self.episode.trajectory)
        self.scene = checker.scene_of(observation)
        self.story = best_story(self.scene, self.motion, pictures=True)
        self.renderer = RobotRenderer(meshes, self.robot.link_names)

    def drawn(self, names, frame, told=True):
        """Return the wrist's view by the cameras of some names, and what was recorded."""
        views = [view for view in self.scene.views if view.seen.name in names]
        at = int(np.abs(self.motion.times - self.wrist.frames.times[frame]).argmin())
        link = self.motion.link_names.index(self.wrist.frame)
        return FutureRenderer(
            views, self.motion, self.renderer, self.story if told else None).at(
                at, self.wrist.calibration.pinhole, self.motion.T_base_link[at, link]), \
            self.wrist.frames[frame]


@pytest.fixture(scope='module')
def future():
    return Future()


def agreement(drawn, recorded):
    """Return the median error of the depth that is known [m], and how much is within 1 cm."""
    error = np.abs(drawn.depth - recorded.depth)[np.isfinite(drawn.depth)]
    return np.median(error), (error < 0.01).mean()


@pytest.mark.parametrize('time', [0.4, 1.4, 2.4, 3.4])      # reaching, lowering, carrying
def test_it_is_what_the_wrist_sees_later(future, time):
    frame = int(np.abs(future.wrist.frames.times - time).argmin())
    drawn, recorded = future.drawn(['camera'], frame)
    median, share = agreement(drawn, recorded)
    assert median < 0.006 and share > 0.9
    assert 0.02 < drawn.never_seen < 0.4        # what one camera does not see is not made up
    assert drawn.time == pytest.approx(recorded.time, abs=0.03)
    known = np.isfinite(drawn.depth) & ~drawn.robot_mask
    color = np.abs(drawn.image.astype(int) - recorded.image)[known].mean()
    assert color < 40


def test_each_camera_more_leaves_less_unknown(future):
    frame = int(np.abs(future.wrist.frames.times - 0.4).argmin())
    one, recorded = future.drawn(['camera'], frame)
    both, _ = future.drawn(['camera', 'wrist'], frame)
    assert both.never_seen < 0.5 * one.never_seen
    assert agreement(both, recorded)[1] > 0.95
    none, _ = future.drawn([], frame)
    np.testing.assert_array_equal(np.isfinite(none.depth), none.robot_mask)      # the robot alone
    assert none.never_seen == pytest.approx(1 - none.robot_mask.mean())


def test_what_is_carried_is_where_the_hand_takes_it(future):
    """Without being told, the view shows the thing where it stood, and the table in the hand."""
    frame = int(np.abs(future.wrist.frames.times - 3.4).argmin())
    told, recorded = future.drawn(['camera'], frame)
    untold, _ = future.drawn(['camera'], frame, told=False)
    held = (recorded.depth < 0.2) & ~told.robot_mask & np.isfinite(told.depth) \
        & np.isfinite(untold.depth)
    assert held.sum() > 100
    error = [np.median(np.abs(drawn.depth - recorded.depth)[held]) for drawn in (told, untold)]
    assert error[0] < 0.02 < error[1]


def test_a_simulator_draws_the_frames_of_a_rollout(future):
    simulator, observation = future.simulator, future.episode.observation(cameras=['camera'])
    rollout = simulator.roll_out(observation, future.episode.trajectory)
    views = simulator.view_of(observation, rollout)
    link, camera = rollout.link_names.index(future.wrist.frame), future.wrist.calibration.pinhole
    drawn = [views.at(index, camera, rollout.T_base_link[index, link]) for index in range(4)]
    np.testing.assert_allclose([view.time for view in drawn], rollout.times)
    recorded = future.wrist.frames[0]      # the robot has not moved yet
    assert agreement(drawn[0], recorded)[0] < 0.003 and 0.02 < drawn[0].never_seen < 0.4
    assert not np.array_equal(drawn[0].depth, drawn[1].depth, equal_nan=True)
