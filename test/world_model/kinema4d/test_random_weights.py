# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random weights are told from trained ones by the probe, though the robot steers them."""
import pytest
from gantry import GRIPPER, motion, observe, ROBOT
from lacking import needs
from scenes import can, Path, RED, World

from kinema4d_ros.evaluation.probe import summarize_probes
from kinema4d_ros.evaluation.probe.episode import probe_motion
from kinema4d_ros.world_model.following import (FollowingScores, why_never_believed, why_unprobed)

pytestmark = needs('torch')
WORLD = World().add(RED, can(0.03, 0.12, (0.1, 0.15, 0)))
PATH = Path.through((0, 0, -0.3, 0.3, 0.08), (1, 0.1, -0.1, 0.2, 0.08), (2, -0.1, -0.1, 0.3, 0.08),
                    frames=21)


@pytest.fixture(scope='module')
def report(models):
    """Return what the probe says of a future of two chained windows."""
    return summarize_probes(models['default'], [probe_motion(
        models['default'], ROBOT, observe(WORLD, PATH), motion(PATH), frames=10, gripper=GRIPPER)])


def test_they_do_not_follow(report, models):
    assert not report.follows and abs(report.score.score) < 0.05
    assert report.score.high < 0.1
    assert report.score.frames >= 8 and report.seed_colors > 1.0
    assert f'kinema4d {models["default"].fingerprint[:12]} does not follow' in report.verdict


def test_their_score_is_that_of_their_fingerprint(report, models):
    scores = FollowingScores((report.score,))
    assert 'does not follow' in why_never_believed(models['default'], scores, report.limit)
    other = models['pmcond']
    assert why_never_believed(other, scores, report.limit) is None
    assert 'nobody has measured' in why_unprobed(other, scores)
