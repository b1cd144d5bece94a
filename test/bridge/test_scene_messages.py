# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes of others from messages of the right shape, whose packages need not be installed."""
import struct
import threading
from types import SimpleNamespace as Made

import numpy as np
import pytest
from geometry_msgs.msg import Point
from scene_messages import layer, pose, scene, thing
from std_msgs.msg import Header

from kinema4d_ros.bridge.octomaps import octomap_source
from kinema4d_ros.bridge.planning_scene import CollisionObjects
from kinema4d_ros.bridge.voxel_blocks import VoxelBlocks
from kinema4d_ros.errors import CameraError, ObservationError
from kinema4d_ros.robot.transforms import transform_from_rpy
from kinema4d_ros.types import VoxelSource

FREE, OCCUPIED = VoxelSource.FREE, VoxelSource.OCCUPIED
RESOLUTION = 0.05


# ------------------------------------------------------------------------ octomap

def tree(cells, depth=0, low=(0, 0, 0)):
    """Return cells (key (3,) -> state) as a pruned octree: a state, None, or eight of the same."""
    if not cells:
        return None
    size = 1 << (16 - depth)
    states = set(cells.values())
    if len(cells) == size ** 3 and len(states) == 1:
        return states.pop()
    half, children = size // 2, []
    for child in range(8):
        corner = tuple(low[axis] + half * (child >> axis & 1) for axis in range(3))
        children.append(tree({key: state for key, state in cells.items() if all(
            corner[axis] <= key[axis] < corner[axis] + half for axis in range(3))},
            depth + 1, corner))
    return children


def binary(node):
    """Return the stream of a tree in OctoMap's binary form."""
    bits = sum((3 if isinstance(child, list) else child or 0) << (2 * index)
               for index, child in enumerate(node))
    return struct.pack('<H', bits) + b''.join(binary(c) for c in node if isinstance(c, list))


def full(node, extra=b''):
    """Return the stream of a tree in its full form."""
    children = node if isinstance(node, list) else []
    odds = 0.85 if node == OCCUPIED else -0.4
    mask = sum(1 << index for index, child in enumerate(children) if child is not None)
    return struct.pack('<f', odds) + extra + bytes([mask]) + b''.join(
        full(child, extra) for child in children if child is not None)


def cells():
    """Return a block of free voxels, which is pruned, and some that are occupied."""
    found = {(32768 + x, 32768 + y, 32768 + z): FREE
             for x in range(4) for y in range(4) for z in range(4)}
    found |= {(32768 - 3, 32768 + 7, 32768 - 1): OCCUPIED, (32768 + 9, 32768, 32768): OCCUPIED}
    return found


def octomap(data, *, is_binary=True, kind='OcTree', resolution=RESOLUTION):
    """Return what has the fields of an Octomap."""
    return Made(header=Header(), binary=is_binary, id=kind, resolution=resolution,
                data=np.frombuffer(data, np.int8))


@pytest.mark.parametrize('message', [
    octomap(binary(tree(cells()))), octomap(full(tree(cells())), is_binary=False),
    octomap(full(tree(cells()), b'rgb'), is_binary=False, kind='ColorOcTree')],
    ids=['binary', 'full', 'colour'])
def test_an_octomap_is_free_occupied_and_unknown_where_it_says(message):
    T = transform_from_rpy((0.2, 0.0, 0.1), (0.0, 0.0, 0.3))
    source = octomap_source(message, 'map', T, stamp_ns=5, sigma=0.01)
    keys = np.array(list(cells()))
    centers = (keys - 32768 + 0.5) * RESOLUTION @ T[:3, :3].T + T[:3, 3]
    np.testing.assert_array_equal(source.at(centers), list(cells().values()))
    assert (source.states != 0).sum() == len(cells())
    assert (source.stamp_ns, source.sigma, source.resolution) == (5, 0.01, RESOLUTION)


def test_of_a_large_octomap_what_is_near_the_robot_is_kept():
    near, far = (32768, 32768, 32768), (32768 + 4000, 32768, 32768)
    message = octomap(binary(tree({near: OCCUPIED, far: OCCUPIED})))
    assert octomap_source(message, 'map', np.eye(4)).states.shape == (1, 1, 1)
    with pytest.raises(ObservationError, match="knows nothing within 3.0 m of the robot's root"):
        octomap_source(octomap(binary(tree({far: OCCUPIED}))), 'map', np.eye(4))


@pytest.mark.parametrize('message, words', [
    (octomap(binary(tree(cells()))[:-2]), 'damaged at byte'),
    (octomap(binary(tree(cells())) + b'xx'), 'damaged at byte'),
    (octomap(binary(tree(cells())), is_binary=False), 'damaged at byte'),
    (octomap(b'\xff' * 200), 'damaged at byte'),
    (octomap(struct.pack('<f', float('nan')) + b'\0', is_binary=False), 'damaged at byte'),
    (octomap(b''), 'knows nothing'),
    (octomap(b'\0\0', kind='CountingOcTree'), "'CountingOcTree'; known: OcTree"),
    (octomap(b'\0\0', resolution=0.0), 'resolution of 0.0'),
    (octomap(b'\0\0', resolution=float('nan')), 'resolution of nan')])
def test_an_octomap_that_is_malformed_is_refused(message, words):
    with pytest.raises(ObservationError, match=words):
        octomap_source(message, 'map', np.eye(4))


# ------------------------------------------------------------------------ nvblox

def test_blocks_of_voxels_are_kept_until_they_are_sent_again():
    blocks = VoxelBlocks()
    blocks.take(layer({(0, 0, 0): [(0.01, 0.01, 0.01), (0.03, 0.01, 0.01)],
                       (1, 0, 0): [(0.5, 0.0, 0.0)]}))
    assert len(blocks.now.centers) == 3 and blocks.now.resolution == 0.02
    blocks.take(layer({(0, 0, 0): []}))
    np.testing.assert_allclose(blocks.now.centers, [(0.5, 0.0, 0.0)])
    with pytest.raises(ObservationError, match='not finite'):
        blocks.take(layer({(2, 0, 0): [(float('nan'), 0.0, 0.0)]}))
    with pytest.raises(ObservationError, match='voxels are 0.0 m'):
        blocks.take(layer({}, size=0.0))
    assert len(blocks.now.centers) == 1 and not blocks.now.is_whole
    blocks.take(layer({}, clear=True))
    assert not len(blocks.now.centers) and blocks.now.is_whole


@pytest.mark.parametrize('bad', [{'size': 0.0}, {'blocks': None}])
def test_a_change_of_a_layer_that_is_lost_leaves_the_layer_unknown_until_it_is_whole(bad):
    blocks = VoxelBlocks()
    blocks.take(layer({(0, 0, 0): [(0.01, 0.01, 0.01)]}, clear=True))
    assert blocks.now.is_whole
    message = layer({(1, 0, 0): [(0.5, 0.0, 0.0)]}, **({'size': 0.0} if 'size' in bad else {}))
    if 'blocks' in bad:
        message.blocks = None
    with pytest.raises((ObservationError, TypeError)):
        blocks.take(message)
    assert not blocks.now.is_whole
    blocks.take(layer({(1, 0, 0): [(0.5, 0.0, 0.0)]}, clear=True))
    assert blocks.now.is_whole and len(blocks.now.centers) == 1
    blocks.take(layer({(0, 0, 0): []}))
    assert blocks.now.is_whole
    blocks.clear()
    assert not blocks.now.is_whole


# ------------------------------------------------------------------------ MoveIt

def placed(objects):
    """Return name -> place of every solid, where the frame world is 1 m above the base."""
    return {solid.name: tuple(solid.T_base_solid[:3, 3].round(6))
            for solid in objects.now.solids(
                lambda frame: transform_from_rpy((0, 0, 1), (0, 0, 0)))[0]}


def test_objects_of_a_planning_scene_are_added_moved_and_removed():
    objects, half = CollisionObjects(), float(np.sqrt(0.5))
    objects.take_scene(scene(thing(at=pose(0.5)), thing('cup', kind=3, dimensions=(0.1, 0.04)),
                             is_diff=False))
    assert objects.now.is_whole and placed(objects) == {'shelf': (0.5, 0, 1), 'cup': (0, 0, 1)}
    # a quarter about z: x of the shape goes to y of the object
    objects.take(thing('cup', at=pose(0.0, 0.0, 0.2, (0.0, 0.0, half, half)), inner=pose(0.1)))
    assert placed(objects)['cup'] == (0, 0.1, 1.2)
    objects.take(thing('cup', b'\x03', at=pose(2.0), kind=0))
    assert placed(objects)['cup'] == (2.1, 0, 1)
    objects.take(thing('cup', b'\x02', at=pose(2.0)))
    assert len(objects.now.solids(lambda frame: np.eye(4))[0]) == 3
    objects.take_scene(scene(thing('cup', b'\x01')))
    assert placed(objects) == {'shelf': (0.5, 0, 1)}
    objects.take_scene(scene(thing('wall'), is_diff=False))
    assert set(placed(objects)) == {'wall'}
    objects.take(thing('', b'\x01'))
    assert not objects.now.objects


def test_an_object_in_an_unknown_frame_hides_no_other():
    def pose_of(frame):
        if frame == 'lost':
            raise CameraError('lost is unknown')
        return np.eye(4)

    objects = CollisionObjects()
    objects.take_scene(scene(thing('cup', frame='lost'), thing('wall'), thing('odd', kind=9)))
    solids, problems = objects.now.solids(pose_of)
    assert [solid.name for solid in solids] == ['wall']
    assert problems['cup'] == "the place of object 'cup' is not known: lost is unknown"
    assert set(problems) == {'cup', 'odd'}


def mesh_of(*faces):
    """Return what has the fields of a Mesh."""
    corners = [Point(x=x, y=y, z=z) for x, y, z in ((0., 0., 0.), (1., 0., 0.), (0., 1., 0.),
                                                    (0., 0., 1.))]
    return Made(vertices=corners, triangles=[Made(vertex_indices=face) for face in faces])


def test_a_mesh_has_its_triangles():
    objects = CollisionObjects()
    objects.take(thing(kind=0, meshes=[mesh_of([0, 1, 2])]))
    (solid,), _ = objects.now.solids(lambda frame: np.eye(4))
    assert solid.kind == 'mesh' and solid.vertices.shape == (4, 3)
    np.testing.assert_array_equal(solid.faces, [(0, 1, 2)])


@pytest.mark.parametrize('wrong, words', [
    (thing(kind=9), 'a primitive of type 9; known: 1 box'),
    (thing(dimensions=(0.1, -0.2, 0.3)), 'above 0, got'),
    (thing(at=pose(float('nan'))), 'a pose is not finite'),
    (thing(operation=b'\x07'), 'got 7'),
    (thing(operation=b'\x03', name='ghost'), 'was never added'),
    (thing(planes=[1]), 'planes have no end'),
    (thing(kind=0), 'it has no shape'),
    (thing(name='', operation=b'\x00'), 'it has no id'),
    (thing(operation=b''), 'index out of range'),
    (thing(kind=0, meshes=[mesh_of([0, 1, 2 ** 31])]), 'cannot be understood'),
    (Made(id='bare', operation=0, header=Header()), 'pose')], ids=str)
def test_an_object_that_cannot_be_understood_is_named_until_it_is_sent_again(wrong, words):
    objects = CollisionObjects()
    objects.take(thing('wall'))
    objects.take(wrong)
    assert words in objects.now.problems[wrong.id] and 'wall' in placed(objects)
    assert wrong.id not in placed(objects) or wrong.id == 'wall'
    if wrong.id:
        objects.take(thing(wrong.id))
        assert not objects.now.problems and wrong.id in placed(objects)


def test_what_is_read_while_a_scene_is_taken_in_is_whole():
    """Messages come in another thread than requests, and each scene replaces the one before."""
    objects, layers = CollisionObjects(), VoxelBlocks()
    names = [f'box_{index}' for index in range(30)]
    whole = scene(*map(thing, names), thing('odd', kind=9), is_diff=False)
    objects.take_scene(whole)
    full = layer({(index, 0, 0): [(0.1, 0.0, 0.0)] for index in range(30)}, clear=True)
    layers.take(full)
    done = threading.Event()

    def send():
        for _ in range(60):
            objects.take_scene(whole)
            layers.take(full)
        done.set()

    sender = threading.Thread(target=send)
    sender.start()
    while not done.is_set():
        now = objects.now
        assert now.is_whole and list(now.problems) == ['odd']
        assert [solid.name for solid in now.solids(lambda frame: np.eye(4))[0]] == names
        assert len(layers.now.centers) == 30
    sender.join()


def test_an_object_that_cannot_be_understood_keeps_no_other_from_being_taken_in():
    objects = CollisionObjects()
    said = objects.take_scene(scene(
        thing('shelf', kind=0, meshes=[mesh_of([0, 1, 2 ** 70])]), thing('wall'), is_diff=False))
    assert said == objects.now.problems['shelf'] and set(placed(objects)) == {'wall'}


def test_problems_of_objects_are_bounded_and_said_once():
    objects = CollisionObjects()
    for index in range(50):
        assert objects.take(thing(f'odd_{index}', kind=9)).count('cannot be understood') == 1
    assert not objects.take(thing('wall'))     # what is wrong with others has been said
    assert len(objects.now.problems) == 20
    problems = objects.now.solids(lambda frame: np.eye(4))[1]
    assert len(problems) == 21 and 'more objects than the 20' in problems['and more']
    for index in range(50):
        objects.take(thing(f'odd_{index}'))
    assert set(objects.now.solids(lambda frame: np.eye(4))[1]) == {'and more'}
    objects.take(thing('', b'\x01'))
    assert not objects.now.solids(lambda frame: np.eye(4))[1]
