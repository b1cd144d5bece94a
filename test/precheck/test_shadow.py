# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What could be in the robot's shadow: by hand, by an oracle, and seen by an oblique camera."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hand_over_table import CAMERA, GRIPPER, NOW, ROBOT, SETTINGS, way
from kinema4d_ros.evaluation.hidden_obstacles import distance_to
from kinema4d_ros.precheck import check_tier1
from kinema4d_ros.precheck.tier1 import unseen
from kinema4d_ros.precheck.tier1.shadow import BESIDE, could_hold_something
from kinema4d_ros.robot import DistanceFields, hand_links_of, load_meshes
from kinema4d_ros.scene import Knowledge, Scene
from kinema4d_ros.types import FindingCode, Observation, Severity

VOXEL = 0.02
NEAR = round(BESIDE / VOXEL)
K = Knowledge


def grid(*parts):
    """Return 15 x 15 x 15 voxels that are seen, but for parts (slices, what is known there)."""
    found = np.full((15, 15, 15), K.SEEN, np.uint8)
    for where, why in parts:
        found[where] = why
    return found


def could(knowledge):
    return could_hold_something(knowledge, VOXEL, np.isin(knowledge, (K.BEHIND_ROBOT, K.TOO_OLD)))


SHADOW = np.s_[6:9, 6:9, 6:10]


@pytest.mark.parametrize('why', [K.BEHIND_ROBOT, K.TOO_OLD], ids=lambda why: why.name)
def test_nothing_floats(why):
    assert not could(grid((SHADOW, why))).any()


@pytest.mark.parametrize('why', [K.NOT_MEASURED, K.BEHIND, K.OUTSIDE, K.DISPUTED],
                         ids=lambda why: why.name)
@pytest.mark.parametrize('where, all_of_it', [
    (np.s_[7, 7, :6], True),            # a post below that leads up to the middle of it
    (np.s_[7, 7, 10:], True),           # or down to it
    (np.s_[6 - NEAR, 7, 7], False), (np.s_[5 - NEAR, 7, 7], None)])
def test_what_is_unknown_below_above_or_beside_may_reach_in(why, where, all_of_it):
    found = could(grid((SHADOW, K.BEHIND_ROBOT), (where, why)))
    if all_of_it is None:
        assert not found.any()
    else:
        assert found[7, 7].any() if all_of_it else found[6, 7, 7]
    if all_of_it:
        assert found[7, 7, 6:10].all()


def test_what_stands_may_lean_by_45_degrees_and_what_hangs_hangs_straight():
    leaning = [(np.s_[2 + k, 7, k], K.BEHIND_ROBOT) for k in range(12)]
    assert could(grid(*leaning)).sum() == 12           # from the lowest voxels of the grid on
    flatter = [(np.s_[1 + 2 * k:3 + 2 * k, 7, 3 + k], K.BEHIND_ROBOT) for k in range(6)]
    assert not could(grid(*flatter)).any()
    hung = [(np.s_[13 - k, 7, 14 - k], K.BEHIND_ROBOT) for k in range(5)]
    assert could(grid(*hung)).sum() == 1               # only the one at the upper end of the grid
    assert could(grid((np.s_[7, 7, 5:], K.BEHIND_ROBOT))).sum() == 10


def test_a_shadow_that_leaves_the_grid_may_hold_something():
    assert could(grid((np.s_[:9, 6:9, 6:9], K.BEHIND_ROBOT)))[0].any()


def oracle(knowledge):
    """Return the same, voxel by voxel, by following unknown space down and up."""
    size = knowledge.shape
    unknown = knowledge > K.REMEMBERED
    others = unknown & ~np.isin(knowledge, (K.BEHIND_ROBOT, K.TOO_OLD))
    found = np.zeros(size, bool)
    for start in np.argwhere(unknown & ~others):
        todo, seen = [tuple(start)], set()
        while todo:
            i, j, k = todo.pop()
            if not unknown[i, j, k] or (i, j, k) in seen:
                continue
            seen.add((i, j, k))
            if others[i, j, k] or k == 0 or i in (0, size[0] - 1) or j in (0, size[1] - 1):
                found[tuple(start)] = True
                break
            todo += [(i + a, j + b, k - 1) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        above = unknown[start[0], start[1], start[2]:]
        end = above.argmin() if not above.all() else len(above)
        found[tuple(start)] |= end == len(above) or others[
            start[0], start[1], start[2]:start[2] + end].any()
        far = np.linalg.norm(np.argwhere(others) - start, axis=1) if others.any() else [np.inf]
        found[tuple(start)] |= np.min(far) <= NEAR + 1e-6
    return found


@hypothesis_settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10 ** 6), known=st.floats(0.5, 0.95), shadow=st.floats(0.5, 1.0))
def test_random_space_against_an_oracle(seed, known, shadow):
    rng = np.random.default_rng(seed)
    knowledge = np.where(rng.random((9, 8, 10)) < known, K.SEEN, np.where(
        rng.random((9, 8, 10)) < shadow, K.BEHIND_ROBOT, K.NOT_MEASURED)).astype(np.uint8)
    knowledge[rng.random(knowledge.shape) < 0.1] = K.TOO_OLD
    np.testing.assert_array_equal(could(knowledge), oracle(knowledge))
    # What is known less holds no less.
    more = np.where(rng.random(knowledge.shape) < 0.1, np.uint8(K.NOT_MEASURED), knowledge)
    assert not (could(knowledge) & ~could(more) & (more != K.NOT_MEASURED)).any()


# ------------------------------------------------------------------ with a camera that looks down

OBLIQUE = np.array([[0, 0.28, -0.96, 1.3], [1, 0, 0, 0], [0, -0.96, -0.28, 0.8], [0, 0, 0, 1]])
START, END = (0.3, 0.0, 0.5), (0.12, 0.0, 0.45)      # of the hand, along its shadow
#: before, it goes to and fro beside the shadow, so that the grid holds all of that
AROUND = START, (0.3, 0.45, 0.5), (-0.35, 0.45, 0.5), (0.3, 0.45, 0.1), (0.3, 0.45, 0.5), START


@pytest.fixture(scope='module')
def fields(tmp_path_factory):
    """Return the distance fields of the links."""
    return DistanceFields(load_meshes(ROBOT), cache_dir=tmp_path_factory.mktemp('fields'))


def scene(*posts, value=None, floor=True) -> Scene:
    """Return what the camera sees: table, wall, hand, arm, and posts (low, high corners [m])."""
    blank = np.full((120, 160), np.nan, np.float32)
    view = Observation.from_rgbd(np.zeros((120, 160, 3), np.uint8), blank, CAMERA, OBLIQUE,
                                 stamp_ns=NOW).view
    rays = CAMERA.rays() @ OBLIQUE[:3, :3].T
    table, wall = -OBLIQUE[2, 3] / rays[..., 2], (-1.5 - OBLIQUE[0, 3]) / rays[..., 0]
    depth = np.where(table > 0, np.minimum(table, wall), wall).astype(np.float32)
    if not floor:
        depth[:] = np.nan
    robot = np.full(depth.shape, np.inf, np.float32)
    for z in (0.0, 0.15):
        middle = np.add(START, (0, 0, z))
        robot = np.minimum(robot, distance_to(view, middle - 0.05, middle + 0.05)[0])
    for low, high in posts:
        post = distance_to(view, np.array(low), np.array(high))[0]
        depth = np.where(post < depth, post if value is None else np.float32(value), depth)
    mask = robot < np.where(depth > 0, depth, np.inf)
    return Scene(Observation(NOW, (dataclasses.replace(
        view, depth=np.where(mask, robot, depth).astype(np.float32)),)), [mask], SETTINGS.scene)


def judge(fields, of, settings=SETTINGS):
    """Return the findings about unseen space, and the worst severity of all."""
    findings, _ = check_tier1(of, way(*AROUND, END, frames=20), fields, {}, settings,
                              hand_links=hand_links_of(ROBOT, GRIPPER))
    return ([f for f in findings if f.code is FindingCode.UNSEEN_SPACE],
            max((f.severity for f in findings), default=Severity.INFO))


def test_a_hand_that_goes_back_into_its_own_shadow_where_nothing_could_stand(fields):
    of = scene()
    found, _ = of.knowledge(np.array([END]), 0.01)
    assert found[0] == Knowledge.BEHIND_ROBOT
    assert judge(fields, of) == ([], Severity.INFO)
    # It goes farther than it may where something could stand.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unseen, 'UNSUPPORTED', 1.0)
        assert judge(fields, of)[1] is Severity.UNSURE


@pytest.mark.parametrize('low, high', [
    ((0.08, -0.03, 0.0), (0.14, 0.03, 0.47)),          # it stands where the hand ends
    ((0.08, -0.02, 0.0), (0.12, 0.02, 0.42)),          # 4 cm wide, and just reaches the hand
    ((0.08, -0.03, 0.43), (0.14, 0.03, 0.95)),         # it hangs
    ((0.08, -0.02, 0.43), (0.12, 0.4, 0.47))],         # a rod that reaches in from the side
    ids=['stands', 'thin', 'hangs', 'aside'])
@pytest.mark.parametrize('value', [None, 0.0, np.nan, 65.535, 20.0], ids=str)
def test_something_in_the_shadow_of_which_a_part_shows_is_no_pass(fields, low, high, value):
    assert judge(fields, scene((low, high), value=value))[1] >= Severity.UNSURE


def test_no_farther_than_twice_the_distance(fields):
    tight = dataclasses.replace(SETTINGS, unseen_behind_hand=0.03)
    found, worst = judge(fields, scene(), settings=tight)
    assert worst is Severity.UNSURE and found[0].value > 2 * 0.03
    assert 'the robot itself hides' in found[0].message


def test_where_the_ground_is_not_seen_something_may_stand(fields):
    assert judge(fields, scene(floor=False))[1] is Severity.UNSURE
