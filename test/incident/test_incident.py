# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets: whole round trips, verdicts that come again, and files that nobody trusts."""
import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
from clearances import clearances
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lacking import needs

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import IncidentError, MeshError, RobotDescriptionError, WorldModelError
from kinema4d_ros.foresight import GraspSettings
from kinema4d_ros.incident import file as incident_file
from kinema4d_ros.incident import (differences, IncidentPacket, IncidentRules, read_packet, replay,
                                   write_packet)
from kinema4d_ros.incident.meshes import mesh_hashes
from kinema4d_ros.precheck import Goal, PrecheckSettings, Tier0Settings, Tier1Settings, TouchRule
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import Robot
from kinema4d_ros.robot.tracking import JointTracking, TrackingModel
from kinema4d_ros.simulator import ShadowSimulator
from kinema4d_ros.types import (Background, Finding, FindingCode, JointLimit, JointTrajectory,
                                Observation, PinholeCamera, Severity, Status, Verdict)
from kinema4d_ros.world_model import load_world_model

pytestmark = needs('PyKDL')
EPISODES = share_dir() / 'data' / 'episodes'
CAMERA = PinholeCamera(6, 4, 5.0, 5.0, 2.5, 1.5)
SETTINGS = PrecheckSettings(
    tier0=Tier0Settings(limits={'a': JointLimit(velocity=1.0)}, workspace=(0, 0, 0, 1, 1, 1)),
    tier1=Tier1Settings(touch={'finger': TouchRule(within=(0, 0, 0, 1, 1, 1))}, unseen='unsure'),
    allowed_contacts=(('a', 'b'),), grasping=GraspSettings(largest_object=0.1),
    tracking=TrackingModel({'a': JointTracking(0.9, 0.1, 0.2, 0.01)}, 'monday'))
floats = st.floats(width=64)
names = st.text(min_size=1, max_size=8)


def small(**changed) -> IncidentPacket:
    """Return a packet of a few pixels."""
    values = {
        'observation': Observation.from_rgbd(
            np.zeros((4, 6, 3), np.uint8), None, CAMERA, np.eye(4), {'a': 0.5}, stamp_ns=5),
        'robot_description': '<robot name="x"><link name="base"/></robot>',
        'trajectory': JointTrajectory(('a',), [0.0, 1.0], [[0.0], [1.0]]),
        'rules': IncidentRules(), 'verdict': Verdict(Status.FAIL, 'no')}
    return IncidentPacket(**{**values, **changed})


def test_a_packet_of_before_there_were_ages_is_read(tmp_path):
    background = Background(np.zeros((4, 6, 3), np.uint8), np.ones((4, 6), np.float32),
                            np.ones((4, 6), bool), np.full((4, 6), 7, np.int64))
    path = tmp_path / 'new.kinc'
    write_packet(path, small(observation=small().observation.with_view(background=background)))
    assert (read_packet(path).observation.view.background.stamp_ns == 7).all()
    with zipfile.ZipFile(path) as new, zipfile.ZipFile(tmp_path / 'old.kinc', 'w') as old:
        for name in new.namelist():
            if name != 'background_stamp_ns.npy':
                old.writestr(name, new.read(name))
    read = read_packet(tmp_path / 'old.kinc').observation.view.background
    assert read.stamp_ns is None and read.known.all()


@st.composite
def packets(draw) -> IncidentPacket:
    """Draw packets with whatever a verdict may rest on, NaN and odd names included."""
    def pixels():
        return draw(arrays.arrays(np.uint8, (4, 6, 3)))

    def depth():
        return draw(arrays.arrays(np.float32, (4, 6)))

    joints = tuple(draw(st.lists(names, min_size=1, max_size=3, unique=True)))
    count = draw(st.integers(0, 3))
    table = arrays.arrays(np.float64, (count, len(joints)), elements=floats)
    observation = Observation.from_rgbd(
        pixels(), draw(st.none() | st.just(depth())), CAMERA,
        draw(arrays.arrays(np.float64, (4, 4), elements=floats)),
        draw(st.dictionaries(names, floats, max_size=3)), stamp_ns=draw(st.integers(0, 2**62)),
        background=draw(st.none() | st.just(Background(
            pixels(), depth(), depth() > 0,
            draw(st.none() | arrays.arrays(np.int64, (4, 6)))))))
    trajectory = JointTrajectory(joints, draw(arrays.arrays(np.float64, count)), draw(table),
                                 draw(st.none() | table), draw(st.none() | table))
    finding = Finding(draw(st.sampled_from(FindingCode)), draw(st.sampled_from(Severity)),
                      draw(st.text()), point_base=draw(st.none() | st.tuples(*[floats] * 3)),
                      value=draw(st.none() | floats))
    verdict = Verdict(draw(st.sampled_from(Status)), draw(st.text()), (finding,),
                      latencies={'a': 0.5}, seed=3, clearances=clearances(
                          [0.0], [0.1], [0.0], ['a'], [(0, 0, 1)], [(0, 1, 0)]))
    rules = IncidentRules(
        settings=SETTINGS, seed=draw(st.integers(0, 2**63)), camera_link='hand',
        live_joints={'a': 0.5}, live_velocities={'a': 0.25},
        goal=draw(st.none() | st.just(Goal.of({'lifted': {'height': 0.1}}))),
        model_settings={'a': 1, 'b': 'x'}, T_link_camera=tuple(map(tuple, np.eye(4).tolist())))
    frames = tuple(pixels() for _ in range(draw(st.integers(0, 2))))
    return small(observation=observation, trajectory=trajectory, verdict=verdict, rules=rules,
                 robot_description=draw(st.text()), frames=frames, meshes={'a': 'b'},
                 frame_times=tuple(map(float, range(len(frames)))))


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(packet=packets())
def test_round_trip(tmp_path, packet):
    path = tmp_path / 'x.zip'
    write_packet(path, packet)
    back = read_packet(path)
    assert repr(back.verdict) == repr(packet.verdict)       # as text, in which NaN is NaN
    assert back.rules == packet.rules and back.meshes == packet.meshes
    assert back.robot_description == packet.robot_description
    assert len(back.frames) == len(packet.frames) and back.frame_times == packet.frame_times
    for mine, theirs in ((back.observation, packet.observation),
                         (back.trajectory, packet.trajectory)):
        for field in dataclasses.fields(theirs):
            _same(getattr(mine, field.name), getattr(theirs, field.name))
    assert list(tmp_path.iterdir()) == [path]


def _same(mine, theirs):
    if isinstance(theirs, np.ndarray):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    elif isinstance(theirs, Background):
        for field in dataclasses.fields(theirs):
            _same(getattr(mine, field.name), getattr(theirs, field.name))
    else:
        assert repr(mine) == repr(theirs)


# --------------------------------------------------------------------------- replay

@pytest.fixture(scope='module')
def judged():
    """Return what a push into the table is judged to be, as a packet."""
    episode = Episode.open(EPISODES / 'libero_spatial_0_0_into_table.mcap')
    robot = Robot.from_urdf(episode.robot_description)
    simulator = ShadowSimulator(robot, load_world_model('frozen'))
    observation = episode.observation()
    verdict = simulator.precheck(observation, episode.trajectory)
    return IncidentPacket(observation, episode.robot_description, episode.trajectory,
                          IncidentRules(), verdict, meshes=mesh_hashes(robot))


def test_the_verdict_comes_again(judged, tmp_path):
    assert judged.verdict.status == Status.FAIL
    write_packet(tmp_path / 'x.zip', judged)
    again = replay(read_packet(tmp_path / 'x.zip'))
    assert again.is_reproduced, again.differences
    assert again.verdict.trajectory_hash == judged.verdict.trajectory_hash
    assert again.verdict.min_clearance == pytest.approx(judged.verdict.min_clearance, abs=1e-6)
    assert again.notes == ()


def test_other_rules_are_distinguished(judged):
    lenient = dataclasses.replace(judged, rules=dataclasses.replace(judged.rules, tiers=(0,)))
    again = replay(lenient)
    assert any(line.startswith('status: FAIL then, UNSURE now') for line in again.differences)
    assert any('CONTACT' in line and 'did not come again' in line for line in again.differences)
    assert any('min_clearance: ' in line and 'not measured now' in line
               for line in again.differences)


def test_numbers_within_their_tolerance(judged):
    near = dataclasses.replace(judged.verdict, min_clearance=judged.verdict.min_clearance + 1e-3)
    far = dataclasses.replace(judged.verdict, min_clearance=judged.verdict.min_clearance + 1e-2)
    assert differences(judged.verdict, near) == ()
    alone = dataclasses.replace(judged.verdict, min_clearance=np.inf)      # nothing is near
    assert differences(alone, alone) == () != differences(alone, near)
    assert 'min_clearance' in differences(judged.verdict, far)[0]
    assert 'trajectory_hash differs' in differences(
        judged.verdict, dataclasses.replace(judged.verdict, trajectory_hash='x'))[0]


def test_the_start_is_compared_with_the_live_joints(judged):
    joints = {**judged.observation.joint_positions}
    joints['panda_joint1'] += 0.1
    rules = dataclasses.replace(judged.rules, live_joints=joints)
    again = replay(dataclasses.replace(judged, rules=rules))
    assert any('FAIL START_STATE' in line and 'is new' in line for line in again.differences)


def test_a_motion_is_judged_again_from_joints_as_fast_as_then(judged):
    motion = judged.trajectory
    late = dataclasses.replace(judged, trajectory=dataclasses.replace(
        motion, times=motion.times + 1.0, velocities=np.zeros_like(motion.positions)),
        rules=dataclasses.replace(
            judged.rules, tiers=(0,), required=(0,),
            live_joints=dict(judged.observation.joint_positions),
            live_velocities={'panda_joint1': 30.0}))
    start = replay(late).verdict.start
    assert start.velocities == {'panda_joint1': 30.0}
    assert any(f.code == FindingCode.VELOCITY_LIMIT and f.link == 'panda_joint1'
               for f in replay(late).verdict.findings)


def test_another_mesh_and_a_missing_one(judged):
    uri = next(iter(judged.meshes))
    other = dataclasses.replace(judged, meshes={**judged.meshes, uri: 'x', 'gone.stl': 'y'},
                                rules=dataclasses.replace(judged.rules, tiers=(0,)))
    assert replay(other).notes == (f'mesh {uri} is another file than then',
                                   'mesh gone.stl is missing here')
    missing = dataclasses.replace(judged, robot_description=judged.robot_description.replace(
        'package://kinema4d_ros/', 'package://elsewhere/'))
    with pytest.raises(MeshError, match='package://elsewhere/.*not found, searched'):
        replay(missing)


def test_other_weights_and_a_model_of_elsewhere(judged):
    rules = dataclasses.replace(judged.rules, tiers=(0, 2), required=(0,), frames=2,
                                world_model='frozen', checkpoint_hash='abc')
    notes = replay(dataclasses.replace(judged, rules=rules)).notes
    assert 'the weights are others: none here, abc then' in notes
    rules = dataclasses.replace(rules, world_model='os:system')
    with pytest.raises(WorldModelError, match='not imported on the word of a file'):
        replay(dataclasses.replace(judged, rules=rules))


def test_a_description_that_expands(judged):
    bomb = '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><robot name="&b;"/>'
    with pytest.raises(RobotDescriptionError):
        replay(dataclasses.replace(judged, robot_description=bomb))


# --------------------------------------------------------------------------- damage

@pytest.fixture
def parts(tmp_path):
    """Return the parts of a good packet, and a function that reads changed ones."""
    path = tmp_path / 'good.zip'
    write_packet(path, small(frames=(np.zeros((4, 6, 3), np.uint8),), frame_times=(0.0,)))
    with zipfile.ZipFile(path) as archive:
        good = {name: archive.read(name) for name in archive.namelist()}

    def read_changed(change: dict, without=()):
        bad = tmp_path / 'bad.zip'
        with zipfile.ZipFile(bad, 'w', zipfile.ZIP_DEFLATED) as archive:
            for name, data in {**good, **change}.items():
                if name not in without:
                    archive.writestr(name, data)
        return read_packet(bad)
    return good, read_changed


def saved(array, **options) -> bytes:
    """Return an array as .npy."""
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.none() | st.integers(0, 7))
def test_truncated_or_flipped_anywhere(tmp_path, share, bit):
    path = tmp_path / 'x.zip'
    if not path.exists():
        write_packet(path, small())
    data = bytearray(path.read_bytes())
    at = int(share * len(data))
    if bit is None:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    broken = tmp_path / 'broken.zip'
    broken.write_bytes(bytes(data))
    try:
        packet = read_packet(broken)
    except IncidentError as error:
        assert 'broken.zip' in str(error) and 'copied whole' in str(error)
    else:      # a bit that means nothing: dates, permissions
        assert bit is not None and packet.verdict == small().verdict


@pytest.mark.parametrize(('change', 'words'), [
    ({'../evil': b''}, r"'../evil', which is no part"),
    ({'/etc/passwd': b''}, 'which is no part of a packet'),
    ({'prediction/0001.jpg/../x': b''}, 'which is no part'),
    ({'incident.json': b'{'}, 'incident.json is not JSON'),
    ({'incident.json': b'[' * 100_000}, 'incident.json is not JSON'),
    ({'incident.json': b'[]'}, 'format None, this reader knows 2'),
    ({'incident.json': b'{"format": 9}'}, 'format 9'),
    ({'incident.json': b'{"format": 2}'}, "lacks 'joint_positions'"),
    ({'incident.json': b'{"format": 1}'}, 'format 1, this reader knows 2; kinema4d_ros 0.1'),
    ({'verdict.json': b'{"status": "GOOD", "summary": ""}'}, "json.status is 'GOOD', valid"),
    ({'verdict.json': b'{"status": "PASS"}'}, 'summary'),
    ({'rules.json': b'{"tiers": [0.5]}'}, r'rules.json.tiers\[0\] must be int'),
    ({'rules.json': b'{"code": "x"}'}, 'unknown field code.*another version'),
    ({'rules.json': b'{"settings": {"tier0": {"velocity_scale": -1}}}'}, 'velocity_scale'),
    ({'image.png': b'no'}, 'cannot identify'),
    ({'prediction/0000.jpg': b'no'}, 'cannot identify'),
    ({'prediction/0001.jpg': b'x'}, 'cannot identify'),
    ({'T_base_camera.npy': saved(np.eye(3))}, r'must be float64 of shape \(4, 4\)'),
    ({'T_base_camera.npy': saved(np.eye(4, dtype=np.float32))}, 'must be float64'),
    ({'T_base_camera.npy': saved(np.eye(4))[:-8]}, 'T_base_camera.npy must be'),
    ({'T_base_camera.npy': b'\x93NUMPY\x01\x00\xff\xff'}, 'T_base_camera.npy is damaged'),
    ({'depth.npy': saved(np.array([{}]), allow_pickle=True)}, 'depth.npy must be float32'),
    ({'trajectory_positions.npy': saved(np.zeros((3, 1)))}, 'positions must have shape'),
    ({'background.png': b''}, 'cannot identify|lacks background_depth'),
])
def test_what_is_no_packet(parts, change, words):
    with pytest.raises(IncidentError, match=words):
        parts[1](change)


def test_parts_that_miss(parts):
    good, read_changed = parts
    for name in good:
        if name not in ('prediction/0000.jpg',):
            with pytest.raises(IncidentError, match=f'lacks {name}'):
                read_changed({}, without=(name,))
    with pytest.raises(IncidentError, match='0 predicted frames for 1 times'):
        read_changed({}, without=('prediction/0000.jpg',))


def test_bombs(parts, tmp_path, monkeypatch):
    good, read_changed = parts
    monkeypatch.setitem(incident_file._LIMITS, 'verdict.json', 1000)
    with pytest.raises(IncidentError, match='verdict.json unpacks to more than 1000 bytes'):
        read_changed({'verdict.json': bytes(100_000)})
    with monkeypatch.context() as patch:
        patch.setattr(incident_file, '_MAX_UNPACKED', 1000)
        with pytest.raises(IncidentError, match='unpacks to more than'):
            read_changed({})
    with monkeypatch.context() as patch:
        patch.setattr(incident_file, 'MAX_FILE', 100)
        with pytest.raises(IncidentError, match='is larger than'):
            read_changed({})
        with pytest.raises(IncidentError, match='would be larger'):
            write_packet(tmp_path / 'big.zip', small())
    head = json.loads(good['incident.json'])
    head['camera'] |= {'width': 100_000, 'height': 100_000}
    with pytest.raises(IncidentError, match='the camera has 100000 x 100000 pixels'):
        read_changed({'incident.json': json.dumps(head)})
    monkeypatch.setattr(incident_file, 'MAX_FRAMES', 0)
    with pytest.raises(IncidentError, match='more than 0 predicted frames'):
        read_changed({})


def test_a_part_twice(parts, tmp_path):
    good, _ = parts
    with zipfile.ZipFile(tmp_path / 'twice.zip', 'w') as archive:
        for name, data in good.items():
            archive.writestr(name, data)
        with pytest.warns(UserWarning, match='Duplicate'):
            archive.writestr('image.png', good['image.png'])
    with pytest.raises(IncidentError, match='a part twice'):
        read_packet(tmp_path / 'twice.zip')


def test_writing_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / 'x.zip'
    path.write_bytes(b'old')
    with pytest.raises(AttributeError):
        write_packet(path, small(robot_description=None))
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]
    with pytest.raises(IncidentError, match='cannot be written'):
        write_packet(path / 'below' / 'y.zip', small())


def test_missing_file(tmp_path):
    with pytest.raises(IncidentError, match='no.zip: No such file'):
        read_packet(tmp_path / 'no.zip')
