# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms: matrices, quaternions, and the tree of /tf against hand-made chains."""
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Quaternion, Transform, Vector3
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from kinema4d_ros.bridge import transforms
from kinema4d_ros.errors import CameraError, ContradictionError

SEEDS = st.integers(0, 2**31)


def random_pose(seed):
    """Return a random (4, 4) transform."""
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3)
    return T


def tf(parent, child, T, sec=0):
    """Build a TFMessage of one transform; its package is not needed to read one."""
    header = Header(frame_id=parent, stamp=Time(sec=sec))
    return SimpleNamespace(transforms=[transforms.transform_message(T, header, child)])


@given(SEEDS)
def test_matrix_round_trip(seed):
    T = random_pose(seed)
    message = transforms.transform_message(T, Header(frame_id='a'), 'b')
    assert (message.header.frame_id, message.child_frame_id) == ('a', 'b')
    np.testing.assert_allclose(transforms.matrix(message.transform), T, atol=1e-12)


def test_optical_frame_by_hand():
    # REP-103: optical z is body x, so xyzw = -0.5 0.5 -0.5 0.5; length does not matter
    out = transforms.matrix(Transform(translation=Vector3(x=1.0),
                                      rotation=Quaternion(x=-1.0, y=1.0, z=-1.0, w=1.0)))
    np.testing.assert_allclose(out @ [0, 0, 1, 1], [2, 0, 0, 1], atol=1e-12)


@pytest.mark.parametrize('message', [
    Transform(rotation=Quaternion(w=0.0)), Pose(orientation=Quaternion(w=float('nan'))),
    Transform(translation=Vector3(y=float('inf')))])
def test_what_is_no_pose(message):
    with pytest.raises(CameraError, match='not a pose'):
        transforms.matrix(message)


def test_tree_up_and_down():
    world_base, base_mount, mount_camera = (random_pose(seed) for seed in (1, 2, 3))
    tree = transforms.TransformTree()
    tree.update(tf('world', 'base', world_base), static=True)
    tree.update(tf('/world', '/mount', base_mount), static=True)
    tree.update(tf('mount', 'camera', mount_camera, sec=9), static=False)
    found = tree.lookup('base', 'camera')
    np.testing.assert_allclose(
        found.T, np.linalg.inv(world_base) @ base_mount @ mount_camera, atol=1e-12)
    assert found.stamp_ns == 9_000_000_000
    np.testing.assert_allclose(
        tree.lookup('camera', 'base').T @ found.T, np.eye(4), atol=1e-12)
    still = tree.lookup('world', 'base')
    assert still.stamp_ns is None
    np.testing.assert_allclose(still.T, world_base, atol=1e-12)
    np.testing.assert_allclose(tree.lookup('/base', 'base').T, np.eye(4), atol=1e-12)


def test_tree_takes_the_newest_and_the_oldest_moving_stamp():
    tree = transforms.TransformTree()
    tree.update(tf('base', 'mount', np.eye(4), sec=5), static=False)
    tree.update(tf('mount', 'camera', random_pose(4), sec=7), static=False)
    tree.update(tf('mount', 'camera', random_pose(5), sec=8), static=False)
    found = tree.lookup('base', 'camera')
    np.testing.assert_allclose(found.T, random_pose(5), atol=1e-12)
    assert found.stamp_ns == 5_000_000_000


def test_what_the_tree_does_not_know():
    tree = transforms.TransformTree()
    with pytest.raises(CameraError, match='nothing on /tf'):
        tree.lookup('base', 'camera')
    tree.update(tf('base', 'hand', np.eye(4)), static=True)
    tree.update(tf('island', 'camera', np.eye(4)), static=False)
    with pytest.raises(CameraError, match='known frames are base, camera, hand, island'):
        tree.lookup('base', 'camera')
    tree.clear()
    with pytest.raises(CameraError, match='known frames are base, hand'):
        tree.lookup('base', 'camera')


def test_a_loop_and_a_bad_transform_do_no_harm():
    tree = transforms.TransformTree()
    tree.update(tf('a', 'b', np.eye(4)), static=True)
    tree.update(tf('b', 'a', np.eye(4)), static=True)
    with pytest.raises(CameraError, match="no transform from 'c'"):
        tree.lookup('a', 'c')
    message = tf('a', 'good', np.eye(4))
    bad = tf('a', 'bad', np.eye(4)).transforms[0]
    bad.transform.rotation = Quaternion(w=0.0)
    message.transforms.insert(0, bad)
    with pytest.raises(CameraError, match='a -> bad: not a pose'):
        tree.update(message, static=True)
    np.testing.assert_array_equal(tree.lookup('a', 'good').T, np.eye(4))


@pytest.mark.parametrize('other', [('hand', 1), ('base', 2)], ids=['parent', 'pose'])
@pytest.mark.parametrize('numbers', [(1, 1), (None, None), (5, 3)])
def test_two_static_mountings_of_one_frame_are_in_neither_place(other, numbers):
    tree = transforms.TransformTree()
    parent, seed = other
    tree.update(tf('base', 'hand', np.eye(4)), static=True, sequence=9)
    tree.update(tf('base', 'eye', random_pose(1)), static=True, sequence=numbers[0])
    tree.update(tf(parent, 'eye', random_pose(seed)), static=True, sequence=numbers[1])
    for ask in (lambda: tree.lookup('base', 'eye'), lambda: tree.ancestor('eye', ['base']),
                lambda: tree.parent('eye')):
        with pytest.raises(ContradictionError, match=f"frame 'eye' is in 'base' at xyz .* and in "
                                                     f"'{parent}' at xyz "):
            ask()
    assert tree.contradicted() == ['eye']
    assert tree.lookup('base', 'hand').stamp_ns is None      # others go on
    tree.clear_static()
    tree.update(tf('base', 'eye', random_pose(1)), static=True, sequence=2)
    np.testing.assert_allclose(tree.lookup('base', 'eye').T, random_pose(1), atol=1e-12)


def test_a_broadcaster_that_was_calibrated_anew_does_not_contradict_itself():
    tree = transforms.TransformTree()
    tree.update(tf('world', 'base', np.eye(4)), static=True, sequence=1)       # of another
    tree.update(tf('base', 'eye', random_pose(1)), static=True, sequence=1)
    tree.update(tf('base', 'eye', random_pose(2)), static=True, sequence=2)
    np.testing.assert_allclose(tree.lookup('base', 'eye').T, random_pose(2), atol=1e-12)
    tree.update(tf('base', 'eye', random_pose(3)), static=True, only_source=True)
    np.testing.assert_allclose(tree.lookup('base', 'eye').T, random_pose(3), atol=1e-12)
    for _ in range(3):                                                # the same by two is no harm
        tree.update(tf('base', 'eye', random_pose(3)), static=True)
    assert tree.contradicted() == []


def test_a_frame_with_two_parents_on_tf_is_in_neither():
    tree = transforms.TransformTree()
    tree.update(tf('base', 'hand', np.eye(4)), static=False)
    tree.update(tf('base', 'eye', np.eye(4)), static=False)
    tree.update(tf('hand', 'eye', np.eye(4)), static=False)
    with pytest.raises(ContradictionError, match="'eye' is in 'base' on /tf and in 'hand' on /tf"):
        tree.lookup('base', 'eye')
    tree.clear()
    tree.update(tf('base', 'eye', np.eye(4)), static=False)
    tree.lookup('base', 'eye')
    tree.update(tf('base', 'eye', np.eye(4)), static=True)
    with pytest.raises(ContradictionError, match='on /tf and in .* on /tf_static'):
        tree.lookup('base', 'eye')
