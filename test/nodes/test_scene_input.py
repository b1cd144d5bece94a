# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes from elsewhere in the node: their frames, their age, and what is wrong with them."""
import importlib.util
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from camera_desk import HAND, MS, ROBOT
from graph import URDF
from scene_messages import layer, scene, thing
from sensor_msgs.msg import PointCloud2

from kinema4d_ros.bridge.clouds import cloud_message
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.robot import ForwardKinematics
from kinema4d_ros.types import PointSource, VoxelSource

POINTS = np.array([(0.5, 0.0, 0.1), (0.6, 0.2, 0.3), (np.nan, 0.0, 0.0), (50.0, 0.0, 0.0)])
CLOUD, VOXELS = 'scene.lidar', 'scene.map'
BOTH = {f'{CLOUD}.kind': 'points', f'{CLOUD}.sigma': 0.03, f'{CLOUD}.spacing': 0.02,
        f'{VOXELS}.kind': 'voxels', f'{VOXELS}.resolution': 0.1, f'{VOXELS}.max_age': 30.0}
OPTIONAL = {f'{CLOUD}.required': False, f'{VOXELS}.required': False}


def put(desk, name, stamp, points=POINTS, frame='base_link'):
    """Hand over a cloud."""
    desk.put(f'scene/{name}', cloud_message(
        np.asarray(points, np.float32)[None], None, desk.header(stamp, frame)))


def test_points_and_voxels_are_sources_in_the_frame_of_the_robot(desk):
    desk = desk(**BOTH)
    desk.run(300)
    put(desk, 'lidar', desk.now - 90 * MS, frame=HAND)
    put(desk, 'map', desk.now, [(0.55, 0.05, 0.15), (0.65, 0.05, 0.15)])
    look = desk.look()
    cloud, voxels = look.observation.others
    stamp = desk.now - 90 * MS
    T_base_hand = ForwardKinematics(ROBOT)(ROBOT.configuration(desk.joints(stamp))[None])[
        0, ROBOT.link_names.index(HAND)]      # where the hand was when the cloud was made
    assert isinstance(cloud, PointSource) and (cloud.name, cloud.stamp_ns) == ('lidar', stamp)
    np.testing.assert_allclose(cloud.points, POINTS[:2] @ T_base_hand[:3, :3].T
                               + T_base_hand[:3, 3], atol=1e-6)
    assert (cloud.sigma, cloud.spacing) == (0.03, 0.02)
    assert cloud.joint_positions == pytest.approx(
        {name: desk.joints(stamp)[name] for name in ROBOT.joint_names})
    assert isinstance(voxels, VoxelSource)
    np.testing.assert_array_equal(voxels.at(np.array([(0.52, 0.01, 0.11), (0.72, 0.05, 0.15)])),
                                  [VoxelSource.OCCUPIED, VoxelSource.UNKNOWN])
    assert not look.observation.left_out
    assert desk.look().observation.others[0] is cloud      # converted once


def test_another_description_of_the_robot_has_sources_made_anew(desk):
    desk = desk(**BOTH, **OPTIONAL)
    desk.run(300)
    put(desk, 'lidar', desk.now, frame=HAND)
    before = desk.look().observation.others[0]
    desk.describe(URDF.replace('xyz="0 0 0.30"', 'xyz="0 0 0.50"'))
    after = desk.look().observation.others[0]
    assert abs(after.points - before.points).max() > 0.05


def test_a_source_that_is_silent_late_or_in_no_frame_is_left_out_and_comes_back(desk):
    desk = desk(**BOTH, **OPTIONAL)
    desk.run(200)
    left_out = desk.look().observation.left_out
    assert 'nothing usable has been received on /scene/lidar' in left_out['lidar']
    put(desk, 'lidar', desk.now)
    put(desk, 'map', desk.now, frame='warehouse')
    look = desk.look()
    assert [source.name for source in look.observation.others] == ['lidar']
    assert "'warehouse' is unknown" in look.observation.left_out['map']
    desk.run(1500)
    put(desk, 'map', desk.now - 1500 * MS, [(0.5, 0.0, 0.1)])    # which may be 30 s old
    look = desk.look()
    assert [source.name for source in look.observation.others] == ['map'], look.observation.left_out
    assert look.observation.left_out['lidar'].startswith(
        'is late: the newest scene on /scene/lidar is 1.50 s old')
    put(desk, 'lidar', desk.now)
    assert len(desk.look().observation.others) == 2


def test_a_cloud_that_is_malformed_is_left_out_and_counted(desk):
    desk = desk(**BOTH, **OPTIONAL)
    desk.run(200)
    empty = cloud_message(np.zeros((1, 1, 3), np.float32), None, desk.header(desk.now, 'base_link'))
    empty.width, empty.row_step, empty.data = 0, 0, b''
    desk.put('scene/map', empty)      # nothing is occupied: that is no fault
    for message, words in (
            (PointCloud2(header=desk.header(desk.now, 'base_link')), 'size 0x0 is refused'),
            (cloud_message(np.full((1, 3, 3), np.nan, np.float32), None,
                           desk.header(desk.now, 'base_link')), 'no point of the cloud is finite'),
            (PointCloud2(header=desk.header(desk.now, 'base_link'), height=2000, width=2000,
                         point_step=12, row_step=24000), 'thin it')):
        desk.put('scene/lidar', message)
        for _ in range(2):
            assert words in desk.look().observation.left_out['lidar']
    status = {each.topic: each for each in desk.inputs.status()}['scene/lidar']
    assert (status.received, status.refused) == (3, 3) and 'thin it' in status.problem
    assert [source.name for source in desk.look().observation.others] == ['map']


def test_nothing_goes_without_a_source_unless_the_user_says_so(desk):
    desk = desk(**BOTH, **{f'{VOXELS}.required': False})
    desk.run(200)
    with pytest.raises(InputProblem, match='scene source lidar cannot be used: nothing usable'):
        desk.look()
    put(desk, 'lidar', desk.now, frame='warehouse')
    with pytest.raises(InputProblem, match="source lidar cannot be used.*'warehouse' is unknown"):
        desk.look()
    put(desk, 'lidar', desk.now)
    assert set(desk.look().observation.left_out) == {'map'}


@pytest.fixture
def declared(desk, monkeypatch):
    """Make a desk with a planning scene, whose messages need not be installed."""
    monkeypatch.setitem(sys.modules, 'moveit_msgs.msg', SimpleNamespace(
        PlanningScene=PointCloud2, CollisionObject=PointCloud2))

    def make(**values):
        made = desk(**{'scene.moveit.kind': 'planning_scene', **values})
        made.run(200)
        return made

    return make


def test_nothing_goes_while_an_object_is_not_known_unless_the_user_says_so(declared):
    desk = declared()
    desk.inputs.sources[0].take(scene(thing('wall', frame='base_link'), is_diff=True))
    with pytest.raises(InputProblem, match='source moveit cannot be used: only differences'):
        desk.look()
    objects = [thing('wall', frame='base_link'), thing('cup', frame='nowhere'),
               thing('odd', frame='base_link', kind=9)]
    desk.inputs.sources[0].take(scene(*objects, is_diff=False))
    with pytest.raises(InputProblem, match="object 'odd' cannot.*place of object 'cup' is not kno"):
        desk.look()
    status = {each.topic: each.problem for each in desk.inputs.status()}['scene/moveit']
    assert status.startswith("object 'odd' cannot be understood")
    desk.inputs.sources[0].take(scene(objects[0], is_diff=False))
    assert [solid.name for solid in desk.look().observation.others[0].solids] == ['wall']


def test_of_a_source_that_is_not_required_the_objects_that_are_known_are_kept(declared):
    desk = declared(**{'scene.moveit.required': False})
    desk.inputs.sources[0].take(scene(
        thing('wall', frame='base_link'), thing('cup', frame='nowhere'),
        thing('odd', frame='base_link', kind=9), is_diff=False))
    observation = desk.look().observation
    assert [solid.name for solid in observation.others[0].solids] == ['wall']
    assert set(observation.left_out) == {'moveit: cup', 'moveit: odd'}


def test_a_map_in_a_frame_that_stays_needs_no_joints_of_its_time(desk):
    desk = desk(**BOTH, **{f'{CLOUD}.required': False})
    desk.run(100)
    put(desk, 'map', desk.now - 20_000 * MS, [(0.5, 0.0, 0.1)])     # before the node began
    source, = desk.look().observation.others
    assert source.joint_positions is None
    np.testing.assert_allclose(source.centers(VoxelSource.OCCUPIED), [(0.5, 0.0, 0.1)])
    put(desk, 'map', desk.now - 20_000 * MS, [(0.5, 0.0, 0.1)], frame=HAND)
    with pytest.raises(InputProblem, match='scene source map is late: no joint_states of'):
        desk.look()


@pytest.mark.parametrize('told, free', [
    ({}, VoxelSource.UNKNOWN), ({'scene.map.free': True}, VoxelSource.FREE)],
    ids=['unless told', 'told'])
def test_what_a_map_calls_free_counts_only_when_the_user_says_so(desk, monkeypatch, told, free):
    monkeypatch.setitem(sys.modules, 'octomap_msgs.msg', SimpleNamespace(Octomap=PointCloud2))
    desk = desk(**{'scene.map.kind': 'octomap', **told})
    desk.run(200)
    desk.put('scene/map', SimpleNamespace(     # the lowest octant is occupied, the highest free
        header=desk.header(desk.now, 'base_link'), binary=True, id='OcTree', resolution=0.1,
        data=np.frombuffer(struct.pack('<H', 2 | 1 << 14), np.int8)))
    source, = desk.look().observation.others
    np.testing.assert_array_equal(source.at(np.array([(-0.55,) * 3, (0.55,) * 3])),
                                  [VoxelSource.OCCUPIED, free])


def jump_back(desk):
    """Let the clock of all jump back by five seconds."""
    desk.inputs.clear()
    desk.now -= 5000 * MS
    desk.run(200)


@pytest.mark.parametrize('kind', ['planning_scene', 'collision_objects'])
def test_what_is_declared_holds_when_the_clock_jumps_back(declared, kind):
    desk = declared(**{'scene.moveit.kind': kind})
    wall = thing('wall', frame='base_link')
    desk.inputs.sources[0].take(
        scene(wall, is_diff=False) if kind == 'planning_scene' else wall)
    jump_back(desk)
    assert [solid.name for solid in desk.look().observation.others[0].solids] == ['wall']


def test_a_layer_of_which_only_changes_came_is_not_known(desk, monkeypatch):
    monkeypatch.setitem(sys.modules, 'nvblox_msgs.msg',
                        SimpleNamespace(VoxelBlockLayer=PointCloud2))
    desk = desk(**{'scene.map.kind': 'nvblox'})
    desk.run(200)

    def send(place, *, clear):
        message = layer({(0, 0, 0): [(place, 0.01, 0.01)]}, clear=clear)
        message.header = desk.header(desk.now, 'base_link')
        desk.inputs.sources[0].take(message)

    def occupied():
        source, = desk.look().observation.others
        return source.centers(VoxelSource.OCCUPIED).round(3).tolist()

    send(0.51, clear=False)
    with pytest.raises(InputProblem, match='source map cannot be used: only changes have come'):
        desk.look()
    send(0.51, clear=True)
    assert occupied() == [[0.51, 0.01, 0.01]]
    send(0.61, clear=False)
    assert occupied() == [[0.61, 0.01, 0.01]]
    jump_back(desk)
    send(0.71, clear=False)
    with pytest.raises(InputProblem, match='source map cannot be used: only changes have come'):
        desk.look()


def test_what_takes_a_package_that_is_not_there_says_so(desk):
    kinds = {'octomap': 'octomap_msgs', 'nvblox': 'nvblox_msgs', 'planning_scene': 'moveit_msgs'}
    lacking = {kind: package for kind, package in kinds.items()
               if importlib.util.find_spec(package) is None}
    if not lacking:
        pytest.skip('octomap_msgs, nvblox_msgs and moveit_msgs are installed')
    desk = desk(**{f'scene.my_{kind}.kind': kind for kind in lacking},
                **{f'scene.my_{kind}.required': False for kind in lacking})
    desk.run(200)
    left_out = desk.look().observation.left_out
    for kind, package in lacking.items():
        assert f'{package} is not installed' in left_out[f'my_{kind}']


@pytest.mark.parametrize('kind, package, message', [
    ('octomap', 'octomap_msgs', 'Octomap'), ('planning_scene', 'moveit_msgs', 'PlanningScene'),
    ('collision_objects', 'moveit_msgs', 'CollisionObject'),
    ('nvblox', 'nvblox_msgs', 'VoxelBlockLayer')])
def test_messages_of_packages_that_are_there_are_subscribed_to(desk, kind, package, message):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f'{package} is not installed')
    desk = desk(**{'scene.other.kind': kind, 'scene.other.required': False})
    subscription = desk.inputs._received.subscriptions['scene/other']
    assert subscription.msg_type.__name__ == message
    desk.run(200)
    assert 'other' in desk.look().observation.left_out


@pytest.mark.parametrize('values, words', [
    ({'scene.lidar.sigma': 0.1}, 'set scene.lidar.kind to one of points, voxels, octomap'),
    ({'scene.lidar.kind': 'scan'}, "'scene.lidar.kind' is 'scan', valid: points"),
    ({'scene.map.kind': 'voxels'}, "'scene.map.resolution' must be set"),
    ({'scene.map.kind': 'octomap', 'scene.map.resolution': 0.1}, 'octomap tells it itself'),
    ({'scene.map.kind': 'octomap', 'scene.map.spacing': 0.1}, 'is of the kind points'),
    ({'scene.map.kind': 'nvblox', 'scene.map.free': True}, 'nvblox says nothing of free space'),
    ({'scene.camera.kind': 'points'}, 'not that of a camera')])
def test_sources_that_cannot_be_understood_are_refused_with_the_cure(values, words):
    with pytest.raises(ConfigurationError, match=words):
        TABLE.validate(values)
