# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the probe tells models that follow actions from those that only look as if they did."""
import dataclasses
import itertools
import json

import numpy as np
import pytest
from gantry import GRIPPER, JOINTS, motion, observe, ROBOT
from lacking import needs
from scenes import BLUE, box, can, Path, RED, World

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.cli.main import main
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.evaluation.probe import ACTIONS, action_variants, summarize_probes
from kinema4d_ros.evaluation.probe.episode import probe_motion
from kinema4d_ros.evaluation.probe.report import probe_sheet
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import sample_trajectory
from kinema4d_ros.types import silent
from kinema4d_ros.world_model import load_world_model
from kinema4d_ros.world_model.following import FollowingScores
from kinema4d_ros.world_model.frozen import Frozen

EPISODES = share_dir() / 'data' / 'episodes'
FRAMES = 5
PATH = Path.through((0, 0, -0.3, 0.3, 0.08), (1, 0.1, -0.1, 0.2, 0.08), (2, -0.1, -0.1, 0.3, 0.08),
                    frames=21)
WORLD = World().add(RED, can(0.03, 0.12, (0.1, 0.15, 0))).add(BLUE, box((0.06, 0.06, 0.1),
                                                                        (-0.1, 0.1, 0)))
SEEN, TRUE = observe(WORLD, PATH), motion(PATH)


def probe(model, seeds=1, recorded=None):
    """Probe a model in the world of the gantry."""
    return probe_motion(model, ROBOT, SEEN, TRUE, frames=FRAMES, gripper=GRIPPER, seeds=seeds,
                        recorded=recorded)


def report_of(model, **more):
    """Return the report on a model in the world of the gantry."""
    return summarize_probes(model, [probe(model, **more)])


class Deaf(Frozen):
    """Predicts the first motion that it is asked for, for ever: as a recording that is played."""

    name = 'deaf'

    def predict(self, observation, robot, *, seed=0, report=silent):
        self._robot = getattr(self, '_robot', robot)
        return super().predict(observation, self._robot, seed=seed, report=report)


class Blind(Frozen):
    """Predicts the scene that it saw first."""

    name = 'blind'

    def predict(self, observation, robot, *, seed=0, report=silent):
        self._observation = getattr(self, '_observation', observation)
        return super().predict(self._observation, robot, seed=seed, report=report)


class Copies(Frozen):
    """Has the exact robot in points and mask, and nothing of it in the picture."""

    name = 'copies'

    def predict(self, observation, robot, *, seed=0, report=silent):
        for frame in super().predict(observation, robot, seed=seed, report=report):
            yield dataclasses.replace(frame, image=observation.view.image)


class Painted(Frozen):
    """Has the exact robot in the picture, and points that stay."""

    name = 'painted'

    def predict(self, observation, robot, *, seed=0, report=silent):
        stays = pointmap_from_depth(observation.view.depth, observation.view.camera)
        for frame in super().predict(observation, robot, seed=seed, report=report):
            yield dataclasses.replace(frame, pointmap=stays)


class Drifts(Frozen):
    """Follows until half of the motion is over, and then stands still."""

    name = 'drifts'

    def predict(self, observation, robot, *, seed=0, report=silent):
        kept = None
        for frame in super().predict(observation, robot, seed=seed, report=report):
            kept = frame if frame.index <= frame.count // 2 else kept
            yield dataclasses.replace(kept, index=frame.index, time=frame.time)


class Noise(Frozen):
    """Colours and depths at random, another picture for each seed and motion."""

    name = 'noise'

    def predict(self, observation, robot, *, seed=0, report=silent):
        random = np.random.default_rng([seed, int(1e6 * abs(robot.positions).sum())])
        for frame in super().predict(observation, robot, seed=seed, report=report):
            yield dataclasses.replace(
                frame, image=random.integers(0, 255, frame.image.shape, np.uint8),
                pointmap=random.uniform(0.5, 1.5, frame.pointmap.shape).astype(np.float32))


@pytest.fixture(scope='module')
def frozen():
    """Return the report on the model that draws the exact robot, the same with each seed."""
    return report_of(Frozen(), seeds=2)


def test_other_motions_begin_where_the_robot_is_and_differ():
    made = action_variants(TRUE, ROBOT, SEEN)
    assert tuple(made) == ACTIONS and made['true'] is TRUE
    times = np.linspace(0, TRUE.duration, 33)
    at = {name: sample_trajectory(each, ROBOT, times, SEEN.joint_positions).positions
          for name, each in made.items()}
    here = ROBOT.configuration(SEEN.joint_positions)
    for name, positions in at.items():
        assert np.allclose(positions[0], here) and made[name].duration == TRUE.duration
    assert np.allclose(at['zero'], here)
    assert np.allclose(at['mirrored'][:, :3] - here[:3], here[:3] - at['true'][:, :3], atol=0.01)
    assert np.allclose(at['shuffled'][-1], at['true'][-1], atol=1e-6)      # the same pieces
    for one, other in itertools.combinations(ACTIONS, 2):
        assert np.abs(at[one] - at[other]).max() > 0.05
    lower = np.array([ROBOT.limits[name].lower for name in JOINTS])
    assert (at['mirrored'] >= lower - 1e-9).all()


def test_a_model_that_draws_the_exact_robot_follows(frozen):
    assert frozen.follows and frozen.score.score == pytest.approx(1.0)
    assert (frozen.score.low, frozen.score.high) == pytest.approx((1.0, 1.0))
    assert frozen.windows == pytest.approx((1.0,) * 4)
    assert max(frozen.window_residuals) < 1e-6
    assert (frozen.seed_depths, frozen.seed_colors) == (0.0, 0.0)
    assert frozen.seed_scores == pytest.approx((1.0, 1.0)) and frozen.reaction == pytest.approx(1)
    overlap, residuals = np.array(frozen.overlap), np.array(frozen.residuals)
    moving = [0, 1, 3]      # the scene behind a robot that stays has not been seen
    assert np.allclose(overlap[moving, moving], 1.0) and np.allclose(np.diag(residuals), 0.0)
    away = ~np.eye(4, dtype=bool)
    assert np.nanmax(overlap[away]) < 0.6 and residuals[away].min() > 0.03
    assert 'frozen follows the actions' in frozen.verdict


@pytest.mark.parametrize('name', ['kinematic', pytest.param('physics', marks=needs('mujoco'))])
def test_so_do_the_models_of_geometry_and_of_rigid_bodies(name):
    report = report_of(load_world_model(name))
    assert report.score.low > 0.95 and report.reaction > 0.9


def test_what_is_played_whatever_is_asked_for_scores_nothing(frozen):
    report = report_of(Deaf(), recorded=Frozen())
    assert report.score.score == pytest.approx(0.0, abs=1e-9) and not report.follows
    assert 'deaf does not follow' in report.verdict
    assert report.seed_scores[0] == pytest.approx(1.0)      # of the true motion it shows all
    assert report.recorded_by_color == pytest.approx(frozen.seed_scores[0])
    assert report.reaction == pytest.approx(1.0)


def test_a_robot_that_is_copied_into_points_is_not_in_the_picture():
    report = report_of(Copies())
    assert report.by_points == pytest.approx(1.0)
    assert report.score.score == report.by_color < 0.2


def test_a_robot_that_is_painted_has_no_points():
    report = report_of(Painted())
    assert report.by_color == pytest.approx(1.0)
    assert report.score.score == report.by_points < 0.2


def test_noise_does_not_follow():
    report = report_of(Noise(), seeds=2)
    assert abs(report.score.score) < 0.05 and not report.follows
    assert report.seed_depths > 0.1 and report.seed_colors > 50
    assert abs(report.reaction) < 0.3


def test_what_drifts_is_told_by_its_quarters():
    report = report_of(Drifts())
    assert report.windows[0] == pytest.approx(1.0) and report.windows[-1] < 0.7
    assert report.window_residuals[-1] > 0.03 > report.window_residuals[0]
    assert report.score.low < report.score.score < 1.0


def test_a_scene_that_is_not_looked_at_is_told():
    report = report_of(Blind())
    assert report.reaction == pytest.approx(0.0, abs=1e-9)
    assert report.score.score == pytest.approx(1.0)


def test_episodes_that_disagree_widen_the_interval():
    both = [probe(Frozen()), probe(Deaf())]
    report = summarize_probes(Frozen(), both)
    assert 0.4 < report.score.score < 0.6
    assert report.score.low < 0.05 and report.score.high > 0.95 and not report.follows
    assert report.score.episodes == 2 and report.score.frames == 2 * (FRAMES - 1)


def test_motions_that_look_the_same_tell_nothing():
    still = action_variants(TRUE, ROBOT, SEEN)['zero']
    with pytest.raises(WorldModelError, match='differ in colour from what is behind it'):
        summarize_probes(Frozen(), [probe_motion(Frozen(), ROBOT, SEEN, still, frames=3,
                                                 gripper=GRIPPER, seeds=1)])


def test_the_pictures_have_a_row_for_each_motion():
    shown = probe(Frozen())
    assert list(shown.pictures) == [*ACTIONS, 'removed']
    sheet = probe_sheet(shown, 'title')
    assert sheet.dtype == np.uint8 and sheet.shape[0] > 5 * 100
    # the outline of what was asked for is drawn
    assert (shown.pictures['true'][3] == (40, 200, 60)).all(-1).sum() > 20


@needs('PyKDL')
def test_the_command_writes_score_report_and_pictures(tmp_path, capsys):
    path = EPISODES / 'libero_object_0_0_success.mcap'
    scores, common = tmp_path / 'all.json', ['--frames', '5', '--seeds', '1']
    out = ['--out', str(tmp_path / 'out'), '--scores', str(scores)]
    assert main(['probe-model', 'replay', str(path), '--set', f'episode={path}', *common,
                 *out]) == 1
    assert 'replay does not follow' in ' '.join(capsys.readouterr().out.split())
    assert main(['probe-model', 'frozen', path.stem, *common, *out, '--json']) == 0
    told = json.loads(capsys.readouterr().out)
    assert told['score']['score'] > 0.99 and told['recorded_by_points'] > 0.7
    assert told['recorded_by_color'] > 0.7 and told['reaction'] > 0.9
    assert told == json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert (tmp_path / 'out' / f'frozen_{path.stem}.png').stat().st_size > 10_000
    kept = FollowingScores.load(scores)
    assert [each.world_model for each in kept.scores] == ['replay', 'frozen']
    played = load_world_model('replay', episode=str(path))
    assert kept.of(played).score == pytest.approx(0.0, abs=1e-9)
    assert main(['probe-model', 'frozen', path.stem, '--seeds', '0', *out]) == 2
    assert '--seeds must be 1 or more' in capsys.readouterr().err


def test_folders_of_mesh_packages_reach_the_robot_that_is_loaded(tmp_path, capsys):
    """An empty one is refused where meshes are looked for, and nowhere before."""
    words = ['probe-model', 'frozen', 'libero_object_0_0_success', '--out', str(tmp_path),
             '--package-path', str(tmp_path)]
    assert main([*words, '--package-path', '']) == 2
    assert 'package_paths' in (told := capsys.readouterr().err) and 'an empty path' in told
