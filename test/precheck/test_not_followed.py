# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Models that show no evidence on a motion: told what to do and not how, or without places."""
import dataclasses

import numpy as np
import pytest
from gantry import motion, observe, simulator
from scenes import BLUE, box, can, Path, RED, World

from kinema4d_ros.precheck import PrecheckSettings, Tier1Settings, Tier2Settings
from kinema4d_ros.types import FindingCode, Severity, Status
from kinema4d_ros.world_model.base import first_view
from kinema4d_ros.world_model.frozen import Frozen

AIR = Path.through((0, 0, -0.3, 0.3, 0.08), (2, 0, -0.1, 0.3, 0.08), frames=21)
WORLD = World().add(RED, can(0.03, 0.12, (0.1, 0.15, 0))).add(
    BLUE, box((0.06, 0.06, 0.1), (-0.1, 0.1, 0)))
_, DEPTH, THING = WORLD.render()


class Told(Frozen):
    """Shows what `frozen` does, and says that it does not follow the motion."""

    name = 'told'
    follows_actions = False


class Unplaced(Frozen):
    """From half-way on a part of the post has changed, and nobody knows to where."""

    share = 1.0

    def predict(self, observation, robot, *, seed=0, report=lambda *_: None):
        """Mark it."""
        rows = np.flatnonzero((THING == 2).any(1))
        mask = (THING == 2) & (np.arange(len(THING)) < rows[0] + self.share * len(rows))[:, None]
        for frame in super().predict(observation, robot, seed=seed, report=report):
            if frame.index >= frame.count // 2:
                points = np.where(mask[..., None], np.float32(np.nan), frame.pointmap)
                frame = dataclasses.replace(frame, pointmap=points, unplaced=mask)
            yield frame


def judge(model, tiers=(0, 1, 2), **settings):
    options = PrecheckSettings(
        tier1=Tier1Settings(depth_sigma=0.0, depth_sigma_square=0.0, mask_growth=2),
        tier2=Tier2Settings(**settings))
    return simulator(model).precheck(observe(WORLD, AIR), motion(AIR), tiers=tiers,
                                     settings=options)


@pytest.mark.parametrize('seeds', [1, 2])
def test_what_does_not_follow_never_passes_however_well_it_looks(seeds):
    verdict = judge(Told(), seeds=seeds, hold_still=seeds > 1)
    assert verdict.status == Status.UNSURE and verdict.deciding_tier == 2
    assert "the world model 'told' takes no actions" in verdict.summary
    found, = [f for f in verdict.findings if f.severity > Severity.INFO]
    assert found.code == FindingCode.ACTION_FOLLOWING and found.value is None
    assert verdict.tiers_passed == (0, 1)


def test_a_change_without_a_place_is_unsure_and_says_how_much():
    verdict = judge(Unplaced())
    assert verdict.status == Status.UNSURE
    found, = [f for f in verdict.findings if f.severity > Severity.INFO]
    assert found.code == FindingCode.UNDECIDED and 'the model cannot tell where' in found.message
    assert found.time == pytest.approx(1.0) and found.unit == 'm^2'
    assert found.value > found.limit == 0.0008
    # the post's pixels, each as large as a pixel is at its distance
    area = float((DEPTH[THING == 2] ** 2).sum())
    camera = observe(WORLD, AIR).view.camera
    assert found.value == pytest.approx(area / (camera.fx * camera.fy), rel=0.1)


def test_a_few_pixels_without_a_place_are_noise():
    model = Unplaced()
    model.share = 0.03
    assert judge(model).status == Status.PASS


def test_the_first_of_several_views_is_taken():
    observation = observe(WORLD, AIR)
    assert first_view(observation) is observation
    view = observation.view
    several = dataclasses.replace(
        observation, views=(view, dataclasses.replace(view, name='other')))
    assert first_view(several).view is view
    assert first_view(several).joint_positions == observation.joint_positions
