# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the probe says of a model in the world of the gantry, and what tier 2 makes of its score."""
from __future__ import annotations

import dataclasses

from gantry import GRIPPER, motion, observe, ROBOT
from scenes import can, Path, RED, World

from kinema4d_ros.evaluation.probe import summarize_probes
from kinema4d_ros.evaluation.probe.episode import probe_motion
from kinema4d_ros.evaluation.probe.report import ProbeReport
from kinema4d_ros.precheck import PrecheckSettings, Tier2Settings
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import FindingCode, Severity, Status
from kinema4d_ros.world_model import load_world_model, WorldModel
from kinema4d_ros.world_model.following import FollowingScores

_CAN = can(0.03, 0.12, (0.1, 0.15, 0))


def probe_gantry(model: WorldModel, *, seconds: float, frames: int, seeds: int = 1) -> ProbeReport:
    """
    Return the report on a model in a world without anything that could be taken out.

    :param seconds: of the motion, which is as far as it is whatever the time it takes; a model
        that chains windows needs as many as fit in it, for each of the four motions.
    """
    path = Path.through(*((seconds * share, *rest) for share, *rest in (
        (0, 0, -0.3, 0.3, 0.08), (0.5, 0.1, -0.1, 0.2, 0.08), (1, -0.1, -0.1, 0.3, 0.08))),
        frames=21)
    return summarize_probes(model, [probe_motion(
        model, ROBOT, observe(World(), path), motion(path), frames=frames, gripper=GRIPPER,
        seeds=seeds)])


def check_not_believed(model: WorldModel, report: ProbeReport, monkeypatch, words: str) -> None:
    """
    Check that the score alone makes tier 2 UNSURE, though what the model shows be just right.

    A better score makes it PASS, but for a model that says that it takes no actions.
    """
    path = Path.through((0, 0, -0.3, 0.3, 0.08), (2, 0, -0.1, 0.3, 0.08), frames=21)
    seen, asked = observe(World().add(RED, _CAN), path), motion(path)
    monkeypatch.setattr(model, 'predict', load_world_model('kinematic').predict)
    simulator = ShadowSimulator(ROBOT, model, frames=4, gripper=GRIPPER)
    best = dataclasses.replace(report.score, score=1.0, low=1.0, high=1.0)
    measured, better = (simulator.precheck(seen, asked, tiers=(0, 1, 2), settings=PrecheckSettings(
        tier2=Tier2Settings(following_scores=FollowingScores((score,)),
                            least_following=report.limit))) for score in (report.score, best))
    assert measured.status == Status.UNSURE and measured.deciding_tier == 2
    assert measured.tiers_passed == (0, 1) and words in measured.summary
    assert [f.code for f in measured.findings if f.severity > Severity.INFO] == [
        FindingCode.ACTION_FOLLOWING]
    assert better.status == (Status.UNSURE if model.follows_actions is False else Status.PASS)
