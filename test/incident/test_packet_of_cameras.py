# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets of several cameras and of scenes from elsewhere."""
import dataclasses
import json
import zipfile

import gantry
import numpy as np
import pytest
from cameras import arm, FRONT, observation, ROBOT, SIDE, UP, view
from lacking import needs
from scenes import BLUE, box, RED, World

from kinema4d_ros.errors import IncidentError
from kinema4d_ros.incident import IncidentPacket, IncidentRules, read_packet, replay, write_packet
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (Background, JointTrail, PointSource, Solid, SolidSource, Status,
                                Verdict, VoxelSource)

pytestmark = needs('PyKDL')
BOARD = World().add(BLUE, box((0.02, 0.5, 0.2), (0.1, 0.0, 0.0)))
HIDDEN = [(RED, [box((0.04, 0.03, 0.1), (0, 0.07, 0))])]     # behind the board, below the palm
DOWN = arm(UP, (0.0, 0.0, 0.02))
SOURCES = (
    PointSource('lidar', np.array([(0.3, 0.4, 0.5)]), 7, 0.02, 0.03, {'x': 0.5}),
    VoxelSource.from_centers('map', np.array([(0.4, 0.4, 0.1)]), np.array([(0.5, 0.4, 0.1)]), 0.1,
                             stamp_ns=8, sigma=0.01),
    SolidSource('moveit', (
        Solid('cylinder', (0.2, 0.05), np.diag([-1.0, -1.0, 1.0, 1.0]), name='post'),
        Solid('mesh', (), np.eye(4), np.eye(4)[:, :3], np.array([[0, 1, 2]], np.int32)))))


@pytest.fixture(scope='module')
def packet():
    """Return a packet of a motion that hits what only the second camera sees."""
    front, side = (view(BOARD, name, T, things=HIDDEN) for name, T in (
        ('front', FRONT), ('side', SIDE)))
    shape = front.depth.shape
    seen = observation(
        dataclasses.replace(front, background=Background(
            front.image, front.depth, np.zeros(shape, bool), np.full(shape, 5, np.int64))),
        dataclasses.replace(side, calibration_sigma=0.002, mount_link='bridge',
                            joint_positions={'x': 0.0}),
        others=SOURCES, left_out={'wrist': 'is late: 0.8 s old'})
    seen = dataclasses.replace(seen, trail=JointTrail(
        ('x', 'y'), np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([3, 4])))
    with ShadowSimulator(ROBOT, None, gripper=gantry.GRIPPER) as shadow:
        verdict = shadow.precheck(seen, DOWN)
    assert verdict.status is Status.FAIL
    return IncidentPacket(seen, gantry.URDF, DOWN, IncidentRules(), verdict)


def plain(value):
    """Return an object as what compares: arrays as lists, NaN as text."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name))
                for field in dataclasses.fields(value)} | {'kind of': type(value).__name__}
    if isinstance(value, np.ndarray):
        return str(value.dtype), repr(value.tolist())
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return dict(value) if hasattr(value, 'items') else value


def test_all_that_was_seen_and_known_comes_back(tmp_path, packet):
    write_packet(tmp_path / 'x.zip', packet)
    back = read_packet(tmp_path / 'x.zip').observation
    assert plain(back) == plain(packet.observation)
    assert not any(view.image.flags.writeable for view in back.views)


def changed(path, change, without=()):
    """Write a packet again with another incident.json, or without parts."""
    new = path.with_name('changed.zip')
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(new, 'w') as archive:
        for name in old.namelist():
            if name in without:
                continue
            data = old.read(name)
            if name == 'incident.json':
                head = json.loads(data)
                change(head)
                data = json.dumps(head)
            archive.writestr(name, data)
    return new


@pytest.mark.parametrize('change, words', [
    (lambda head: head['views'].append({'camera': head['camera'], 'stamp_ns': 1}),
     'lacks views/2/image.png'),
    (lambda head: head.update(views=[]), 'name 1 to 16 views'),
    (lambda head: head['views'][1].update(name='front'), 'names|name of its own'),
    (lambda head: head['views'][1]['camera'].update(width=7), 'the camera has 7'),
    (lambda head: head['views'][1].update(calibration_sigma='x'), 'calibration_sigma'),
    (lambda head: head['sources'][0].update(kind='lidar'), "is 'lidar'; known: points"),
    (lambda head: head['sources'][0].update(sigma=-1.0), 'sigma of the source'),
    (lambda head: head['sources'][1].update(T_base_grid=[[1]]), 'T_base_grid must have shape'),
    (lambda head: head['sources'].append(3), 'must be a mapping'),
    (lambda head: head.update(trail_joints=['x']), 'trail_positions.npy must be'),
    (lambda head: head.update(trail_joints='x y'), 'trail_joints must be a list'),
    (lambda head: head.update(sources={}), 'name 1 to 16 views')])
def test_a_packet_whose_cameras_do_not_belong_together_is_refused(tmp_path, packet, change, words):
    write_packet(tmp_path / 'x.zip', packet)
    with pytest.raises(IncidentError, match=words):
        read_packet(changed(tmp_path / 'x.zip', change))


def test_a_packet_that_lost_a_part_of_a_camera_is_refused(tmp_path, packet):
    write_packet(tmp_path / 'x.zip', packet)
    for part in ('views/1/T_base_camera.npy', 'sources/0/points.npy', 'sources/1/states.npy',
                 'trail_positions.npy', 'trail_stamps_ns.npy'):
        with pytest.raises(IncidentError, match=f'lacks {part}'):
            read_packet(changed(tmp_path / 'x.zip', lambda head: None, {part}))


def test_a_fail_by_what_the_second_camera_saw_comes_again(tmp_path, packet):
    write_packet(tmp_path / 'x.zip', packet)
    result = replay(read_packet(tmp_path / 'x.zip'))
    assert isinstance(result.verdict, Verdict) and result.verdict.status is Status.FAIL
    one = dataclasses.replace(packet, observation=packet.observation.of('front'))
    assert replay(one).verdict.status is Status.UNSURE      # it was the second one
