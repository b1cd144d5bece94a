# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder's command line, and one recording where the simulator is installed."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.evaluation.moved_things import true_displacement

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'record_libero.py'
with_simulator = pytest.mark.skipif(importlib.util.find_spec('libero') is None,
                                    reason='the LIBERO simulator is not installed (optional)')
without_simulator = pytest.mark.skipif(importlib.util.find_spec('libero') is not None,
                                       reason='the LIBERO simulator is installed')


def run(*arguments):
    """Run the script to its end."""
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], text=True, timeout=300,
                          capture_output=True, check=False)


def test_help_works_without_the_simulator():
    done = run('--help')
    assert done.returncode == 0
    assert '--suite' in done.stdout and 'into_table' in done.stdout


@pytest.mark.parametrize(('arguments', 'message'), [
    (('--kind', 'dance'), 'unknown kind dance; known: success, missed_grasp'),
    (('--task', 'x'), "'x' is not a number, range or list")])
def test_bad_arguments(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2 and message in done.stderr


@without_simulator
def test_missing_simulator_says_what_to_install(tmp_path):
    done = run('--out', tmp_path)
    assert done.returncode == 1
    assert 'the LIBERO simulator is not installed' in done.stderr
    assert 'requirements/sim.txt' in done.stderr and 'Traceback' not in done.stderr


@with_simulator
def test_list_that_is_not_there(tmp_path):
    done = run('--list', tmp_path / 'none.yaml')
    assert done.returncode == 1 and 'none.yaml cannot be read' in done.stderr


@with_simulator
def test_recording_goes_on_and_repeats(tmp_path):
    common = ('--suite', 'libero_spatial', '--kind', 'into_table', '--size', 60, 90)
    first = run(*common, '--out', tmp_path / 'a')
    assert first.returncode == 0, first.stderr
    assert 'exists' in run(*common, '--out', tmp_path / 'a').stdout
    assert run(*common, '--out', tmp_path / 'b').returncode == 0
    name = 'libero_spatial_0_0_into_table.mcap'
    assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()
    episode = Episode.open(tmp_path / 'a' / name)
    assert episode.metadata.kind == 'into_table' and episode.metadata.tracking_error > 0.02
    assert episode.frames[0].image.shape == (60, 90, 3)


@with_simulator
def test_several_cameras_of_one_motion(tmp_path):
    """The first is as it is alone; each has images, depth and the mask of the robot."""
    common = ('--suite', 'libero_spatial', '--kind', 'into_table', '--size', 60, 90,
              '--camera-every', 10)
    for more in ((), ('--cameras', 'agentview,wrist,side')):
        done = run(*common, *more, '--out', tmp_path)
        assert done.returncode == 0, done.stderr
    alone = Episode.open(tmp_path / 'libero_spatial_0_0_into_table.mcap')
    episode = Episode.open(tmp_path / 'libero_spatial_0_0_into_table_wrist_side.mcap')
    assert [camera.name for camera in episode.cameras] == ['camera', 'wrist', 'side']
    np.testing.assert_array_equal(episode.frames[0].image, alone.frames[0].image)
    observation = episode.observation()
    assert [view.stamp_ns - observation.stamp_ns for view in observation.views] == [
        0, -50_000_000, -100_000_000]
    assert [bool(view.mount_link) for view in observation.views] == [False, True, False]
    for camera in episode.cameras:
        assert camera.frames[0].depth is not None
        assert 0.002 < camera.robot_masks[0].mean() < 0.6


@with_simulator
def test_what_is_handled_is_labelled_by_what_came_of_it(tmp_path):
    """A push of a task that is no pick-and-place, drawn from the name: it repeats."""
    common = ('--suite', 'libero_goal', '--kind', 'push', '--size', 60, 90)
    for folder in 'ab':
        done = run(*common, '--out', tmp_path / folder)
        assert done.returncode == 0, done.stderr
    name = 'libero_goal_0_0_push.mcap'
    assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()
    episode = Episode.open(tmp_path / 'a' / name)
    thing, end = episode.metadata.carried_object, episode.trajectory.duration
    displacement = true_displacement(episode, thing, end + 1.0)
    assert episode.metadata.kind == displacement.happened()
    assert episode.metadata.success is None
    assert end * 5 == pytest.approx(round(end * 5))      # ends where an image is recorded


@with_simulator
def test_drawer_is_opened_and_its_joint_is_in_the_outcome(tmp_path):
    done = run('--suite', 'libero_90', '--task', 7, '--size', 60, 90, '--camera-every', 40,
               '--out', tmp_path)
    assert done.returncode == 0, done.stderr
    metadata = Episode.open(tmp_path / 'libero_90_7_0_success.mcap').metadata
    assert metadata.success and metadata.carried_object is None and metadata.tracking_error < 0.02
    wanted, = metadata.outcome.goals
    assert (wanted.relation, wanted.met_at_start, wanted.met) == ('open', False, True)
    assert wanted.rubric == metadata.goal
    assert metadata.goal['slides_by']['distance'] == pytest.approx(0.14, abs=0.005)
    joints = metadata.outcome.joints
    meant, = [joint for joint in joints.values() if joint.is_meant]
    assert meant.fixture == metadata.goal_object and meant.moved > 0.14
    assert all(joint.moved < 0.005 for joint in joints.values() if not joint.is_meant)
    assert metadata.outcome.things[metadata.goal_object].is_fixture


@with_simulator
def test_task_of_two_goals_has_a_rubric_for_each(tmp_path):
    """Two mugs, wider than the hand opens, on two plates."""
    done = run('--suite', 'libero_10', '--task', 4, '--init', 5, '--size', 60, 90,
               '--camera-every', 40, '--out', tmp_path)
    assert done.returncode == 0, done.stderr
    metadata = Episode.open(tmp_path / 'libero_10_4_5_success.mcap').metadata
    assert metadata.success and metadata.goal == {}
    assert [goal.met and goal.lifted for goal in metadata.outcome.goals] == [True, True]
    assert {goal.thing: goal.target for goal in metadata.outcome.goals} == {
        'porcelain_mug_1': 'plate_1', 'white_yellow_mug_1': 'plate_2'}
    for goal in metadata.outcome.goals:
        assert goal.rubric['above']['region']['name'] == goal.target
        assert metadata.outcome.things[goal.thing].risen > 0.05


@with_simulator
def test_survey_says_what_is_solved_and_why_not():
    done = run('--suite', 'libero_90', '--task', '9,35', '--survey')
    assert done.returncode == 1
    solved, other = done.stdout.splitlines()[-2:]
    assert solved == 'libero_90 9 from 0, put the black bowl on the plate: solved'
    assert other.startswith('libero_90 35 from 0, open the microwave: cannot be recorded: the door')


@with_simulator
@pytest.mark.parametrize(('arguments', 'message'), [
    (('--suite', 'nothing'), "unknown LIBERO suite 'nothing'; known: libero_"),
    (('--task', '99'), 'has tasks 0..9, got 99'),
    (('--init', '500'), 'initial states 0..49, got 500'),
    (('--camera', 'moon'), "no camera 'moon'; it has: frontview"),
    (('--suite', 'libero_90', '--task', '35'), 'the door of microwave_1 is opened by its handle')])
def test_what_cannot_be_recorded_says_why(tmp_path, arguments, message):
    done = run(*arguments, '--out', tmp_path)
    assert done.returncode == 1 and message in done.stdout and 'Traceback' not in done.stderr
