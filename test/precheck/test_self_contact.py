# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Self-collision as a rule of tier 0: two boxes of 10 cm that meet where it can be computed."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema4d_ros.precheck import check_tier0, Tier0Settings
from kinema4d_ros.precheck.tier0.self_contact import check_self_contact
from kinema4d_ros.robot import ForwardKinematics, load_meshes, Robot, SelfCollision
from kinema4d_ros.types import FindingCode, JointTrajectory, Severity


def _box(name: str) -> str:
    return (f'<link name="{name}"><visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual>'
            '</link>')


def _slide(name: str, parent: str, child: str, xyz: str, axis: str) -> str:
    return (f'<joint name="{name}" type="prismatic"><parent link="{parent}"/>'
            f'<child link="{child}"/><origin xyz="{xyz}"/><axis xyz="{axis}"/>'
            '<limit lower="-2" upper="2" velocity="1" effort="1"/></joint>')


# `probe` is 1 m from `base` along x; `lifter`, which joins them, is high above both.
ROBOT = Robot.from_urdf(
    '<robot name="boxes">' + _box('base') + _box('lifter') + _box('probe')
    + _slide('up', 'base', 'lifter', '0 0 1', '0 0 1')
    + _slide('along', 'lifter', 'probe', '1 0 -1', '1 0 0') + '</robot>')
CHECK = SelfCollision(ROBOT, load_meshes(ROBOT))


class AllOf:
    """Finds every contact of a motion, where the check might end at the first."""

    def __init__(self, check: SelfCollision):
        self.check, self.touching_at_rest = check, check.touching_at_rest
        self.robot, self.surfaces = check.robot, check.surfaces

    def __call__(self, T_base_link, margin, until_touch):  # noqa: N803 - a transform
        return self.check(T_base_link, margin)


def findings(*along: float, start: float = 0.0, **options):
    """Return tier 0's findings on the probe moving through these places at 0.5 m/s."""
    places = np.array([start, *along])
    times = np.r_[0.0, np.cumsum(np.abs(np.diff(places)) / 0.5)]
    motion = JointTrajectory(('along',), times, places[:, None])
    return check_tier0(motion, ROBOT, {'up': 0.0, 'along': start}, Tier0Settings(**options), CHECK)


def test_links_that_meet_are_named_with_time_and_place():
    # Boxes meet when their middles are 10 cm apart: at -0.9, after 1.8 s.
    (found,) = findings(-1.0)
    assert (found.code, found.severity) == (FindingCode.SELF_COLLISION, Severity.FAIL)
    assert (found.link, found.other) == ('base', 'probe')
    assert 1.8 <= found.time <= 1.8 + 0.02 / 0.5 + 1e-6       # looked at every 2 cm
    assert abs(found.point_base[0] - 0.05) < 0.03 and found.value == 0.0
    assert "'base' and 'probe' would touch at" in found.message
    assert findings(-0.85) == ()


def test_margin():
    # 5 cm of air is left at -0.85, after 1.7 s.
    (found,) = findings(-0.88, self_margin=0.05)
    assert 1.7 <= found.time <= 1.74 + 1e-6 and found.limit == 0.05
    assert found.value == pytest.approx(0.02, abs=1e-3)
    assert 'within 20 mm of each other (at least 50 mm wanted)' in found.message


def test_a_robot_that_stands_in_itself_may_move_out_but_does_not_pass():
    (found,) = findings(0.0, start=-0.95)
    assert found.severity == Severity.UNSURE and 'where the motion begins' in found.message
    (found,) = findings(-0.5, -1.0, start=-0.95)      # and back again
    assert found.severity == Severity.FAIL


def test_links_that_touch_and_that_the_motion_leaves_alone_are_only_told():
    """A gripper that moves while the arm is folded: the arm's own touch is none of its doing."""
    robot = Robot.from_urdf(
        '<robot name="boxes">' + _box('base') + _box('lifter') + _box('probe') + _box('finger')
        + _slide('up', 'base', 'lifter', '0 0 1', '0 0 1')
        + _slide('along', 'lifter', 'probe', '1 0 -1', '1 0 0')
        + _slide('grip', 'probe', 'finger', '1 0 0', '1 0 0') + '</robot>')
    motion = JointTrajectory(('grip',), np.array([0.0, 1.0]), np.array([[0.0], [0.2]]))
    live = {'up': 0.0, 'along': -0.95, 'grip': 0.0}
    (found,) = check_tier0(motion, robot, live, self_collision=SelfCollision(
        robot, load_meshes(robot)))
    assert found.severity == Severity.INFO and (found.link, found.other) == ('base', 'probe')
    assert 'moves neither against the other' in found.message


def test_a_short_touch_between_far_points_is_found():
    (found,) = findings(-0.93, 0.0)
    assert found.severity == Severity.FAIL


def test_without_a_check_it_is_left_out():
    motion = JointTrajectory(('along',), np.array([0.0, 2.0]), np.array([[0.0], [-1.0]]))
    assert check_tier0(motion, ROBOT, {'up': 0.0, 'along': 0.0}) == ()


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.2, 0.5), st.floats(0.0, 0.3), st.floats(0.0, 0.3))
def test_a_wider_margin_never_turns_fail_into_pass(place, margin, more):
    narrow = findings(place, self_margin=margin)
    wide = findings(place, self_margin=margin + more)
    assert not narrow or wide


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1.3, 0.3), min_size=2, max_size=5),
       st.lists(st.floats(-1.2, 0.2), min_size=2, max_size=5), st.sampled_from([0.0, 0.03]))
def test_passing_over_what_cannot_touch_changes_nothing(along, up, margin):
    steps = np.linspace(0, 1, 40)
    motion = np.stack([np.interp(steps, np.linspace(0, 1, len(way)), way) for way in (up, along)],
                      axis=1)
    T_base_link = ForwardKinematics(ROBOT)(motion)
    at_once = [(c.index, c.links, c.distance) for c in CHECK(T_base_link, margin)]
    one_by_one = [(i, c.links, c.distance) for i in range(len(motion))
                  for c in CHECK(T_base_link[i:i + 1], margin)]
    assert at_once == one_by_one
    whole = check_self_contact(steps, T_base_link, AllOf(CHECK), margin)
    assert check_self_contact(steps, T_base_link, CHECK, margin) == whole


@pytest.mark.parametrize('places, want', [
    ((0.2,), Severity.INFO),            # 5 cm apart at once: a robot that is parked like that
    ((-0.3,), Severity.UNSURE),         # through the other link, and out behind it
    ((0.03,), Severity.UNSURE),         # it never parts
    ((0.2, 0.0), Severity.FAIL)])       # and back into it
def test_a_robot_may_leave_the_place_where_it_is_parked(places, want):
    """Where links touch with all joints at 0; anywhere else that is a doubt."""
    robot = Robot.from_urdf(PARKED)
    check = SelfCollision(robot, load_meshes(robot))
    for parked in (check, None):
        if parked is None:      # the same two links, whose joint is at 0 elsewhere
            robot = Robot.from_urdf(PARKED.replace('0.07 0 -1', '1.07 0 -1').replace(
                'lower="-2"', 'lower="-3"'))
            check, want = SelfCollision(robot, load_meshes(robot)), max(want, Severity.UNSURE)
        offset = 0.0 if parked is not None else -1.0
        path = np.array([0.0, *places]) + offset
        times = np.r_[0.0, np.cumsum(np.abs(np.diff(path)) / 0.5)]
        found = check_tier0(JointTrajectory(('along',), times, path[:, None]), robot,
                            {'up': 0.0, 'along': offset}, Tier0Settings(), check)
        assert [(f.code, f.severity) for f in found] == [(FindingCode.SELF_COLLISION, want)]


PARKED = ('<robot name="boxes">' + _box('base') + _box('lifter') + _box('probe')
          + _slide('up', 'base', 'lifter', '0 0 1', '0 0 1')
          + _slide('along', 'lifter', 'probe', '0.07 0 -1', '1 0 0') + '</robot>')
