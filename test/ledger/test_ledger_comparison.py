# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Entries against what truly happened in recorded episodes, whose things are known exactly."""
import dataclasses

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import LedgerError
from kinema4d_ros.ledger import End, SeenMotion, JointHistory, PredictedMotion, Went
from kinema4d_ros.ledger.episodes import seen_in
from kinema4d_ros.types import EventKind, FindingCode

PICKED, MISSED = 'libero_object_0_0_success', 'libero_object_0_0_missed_grasp'


def true_ends(episode: Episode) -> list[np.ndarray]:
    """Return where things truly end that have moved by more than 1 cm, (3,) [m] each."""
    ends, times = [], np.array([0.0, float(episode.frames.times[-1])])
    for name in episode.metadata.objects:
        begin, end = episode.truth.object_center(
            name, episode.metadata.objects[name].center, times)
        if np.linalg.norm(end - begin) > 0.01:
            ends.append(end)
    return ends


@pytest.mark.parametrize('name, went', [
    (PICKED, Went.YES), (MISSED, Went.YES), ('libero_object_3_0_slip', Went.YES),
    ('libero_spatial_1_0_success', Went.YES),         # the robot stands before where it grasped
    ('libero_object_6_0_success', Went.UNKNOWN),      # it lies in a basket, behind its wall
    ('libero_object_1_0_success_eye_in_hand', Went.UNKNOWN)])       # another place to look from
def test_an_entry_is_what_truly_happened(name, went, episodes, comparer):
    episode = episodes(name)
    entry = comparer(episode.path)
    assert entry.went is went, entry.reasons
    rests = [place for place in entry.predicted_places if place.event == 'REST']
    ends = true_ends(episode)
    assert len(rests) == len(ends)
    for place, end in zip(rests, ends):
        assert np.linalg.norm(end - [place.x, place.y, place.z]) < 0.06
    assert entry.followed and entry.path_error < 0.05 and entry.end_error < 0.01
    assert entry.robot_residual < 0.005 and entry.kept_clear
    assert entry.success == episode.metadata.success
    if went is Went.UNKNOWN:
        assert entry.scene_as_foreseen is None
        assert 'cannot be seen' in entry.reasons[0] or 'from one place' in entry.reasons[0]
    else:
        assert entry.reasons == () and not entry.seen_held


def test_what_was_not_lifted_is_told(episodes, comparer):
    """The same scene, judged as a grasp, and seen as it ends when the fingers miss."""
    motion = comparer.judged(episodes(PICKED))
    seen = dataclasses.replace(seen_in(episodes(PICKED)), after=seen_in(episodes(MISSED)).after)
    entry = comparer.comparer(episodes(PICKED)).compare(motion, seen)
    assert entry.went is Went.NO and entry.scene_as_foreseen is False
    assert {place.event for place in entry.missing} >= {'GRASP'}
    assert 'was foreseen, and is not so' in entry.reasons[0]


def test_what_moved_and_was_not_to_is_told(episodes, comparer):
    motion = comparer.judged(episodes(MISSED))
    seen = dataclasses.replace(seen_in(episodes(MISSED)), after=seen_in(episodes(PICKED)).after)
    entry = comparer.comparer(episodes(MISSED)).compare(motion, seen)
    assert entry.went is Went.NO
    gone = next(change for change in entry.unforeseen if change.change == 'gone')
    assert np.linalg.norm(np.subtract([gone.x, gone.y], [0.48, -0.24])) < 0.05
    assert 'where nothing was foreseen' in entry.reasons[0]


def test_a_grip_that_is_not_there_is_told(episodes, comparer):
    """Foreseen: it is held to the end. Seen: the fingers hold nothing."""
    motion = comparer.judged(episodes(MISSED))
    grasp = dataclasses.replace(motion.verdict.findings[0], code=FindingCode.GRASP, time=1.0,
                                point_base=None)
    findings = [f for f in motion.verdict.findings
                if f.code is not FindingCode[EventKind.CLOSED_ON_NOTHING.name]]
    motion = dataclasses.replace(motion, verdict=dataclasses.replace(
        motion.verdict, findings=(*findings, grasp)))
    entry = comparer.comparer(episodes(MISSED)).compare(motion, seen_in(episodes(MISSED)))
    assert (entry.predicted_held, entry.seen_held, entry.went) == (True, False, Went.NO)
    assert entry.reasons[0] == 'the fingers hold nothing, and were to hold something'


def test_a_path_that_was_left_is_told_with_the_clearance_it_had(episodes, comparer):
    episode = episodes(PICKED)
    motion, seen = comparer.judged(episode), seen_in(episode)
    times, names, positions = episode.joint_states
    history, shoulder = JointHistory(), names.index('panda_joint2')
    for time, row in zip(times, positions):
        if 0.0 <= time <= episode.frames.times[-1]:
            bent = row.copy()
            bent[shoulder] += 0.2 * np.sin(np.pi * np.clip(time / 5.0, 0.0, 1.0))   # lower
            history.add(time, dict(zip(names, bent)))
    entry = comparer.comparer(episode).compare(motion, dataclasses.replace(seen, history=history))
    assert entry.went is Went.NO and entry.followed is False
    assert entry.path_error == pytest.approx(0.2, abs=0.06)
    assert entry.kept_clear is False and entry.seen_clearance < entry.predicted_clearance - 0.02


@pytest.mark.parametrize('ended, went, said', [
    (End.STOPPED, Went.NO, 'the gate stopped it'),
    (End.CANCELLED, Went.UNKNOWN, 'its client cancelled it')])
def test_how_it_ended_counts(ended, went, said, episodes, comparer):
    seen = dataclasses.replace(seen_in(episodes(MISSED)), ended=ended)
    entry = comparer.comparer(episodes(MISSED)).compare(comparer.judged(episodes(MISSED)), seen)
    assert entry.went is went and said in entry.reasons


def test_without_a_look_afterwards_and_without_joints_nothing_is_known(episodes, comparer):
    motion = comparer.judged(episodes(MISSED))
    entry = comparer.comparer(episodes(MISSED)).compare(
        motion, SeenMotion(JointHistory(), None, why_not_seen='the camera was late'))
    assert entry.went is Went.UNKNOWN and not entry.scene_compared
    assert entry.followed is entry.kept_clear is entry.scene_as_foreseen is entry.robot_seen is None
    assert entry.seen_held is entry.path_error is entry.seen_clearance is None
    assert any('camera was late' in reason for reason in entry.reasons)
    assert any('0 joint states came' in reason for reason in entry.reasons)


def test_a_camera_without_depth_leaves_the_scene_unknown(episodes, comparer):
    motion, seen = comparer.judged(episodes(MISSED)), seen_in(episodes(MISSED))
    blind = PredictedMotion(motion.observation.with_view('', depth=None), motion.trajectory,
                         motion.verdict)
    entry = comparer.comparer(episodes(MISSED)).compare(blind, seen)
    assert entry.went is Went.UNKNOWN and entry.scene_as_foreseen is None


def test_a_recording_that_ends_early_is_refused(episodes):
    episode = episodes(PICKED)

    class Short:
        path, trajectory = episode.path, dataclasses.replace(
            episode.trajectory, times=episode.trajectory.times * 3)
        frames = episode.frames

    with pytest.raises(LedgerError, match='it does not show how that ends'):
        seen_in(Short())
