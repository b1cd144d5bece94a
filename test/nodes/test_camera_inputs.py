# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras, handed to the callbacks of a real node: each at its stamp, or left out."""
import dataclasses

import numpy as np
import pytest
from camera_desk import CAMERAS, HAND, MS, ROBOT, SPEED
from graph import CAMERA_FRAME, HEIGHT, WIDTH

from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.camera_parameters import extrinsics_of
from kinema4d_ros.nodes.shadow_sim.input_problem import InputProblem
from kinema4d_ros.nodes.shadow_sim.output_topics import TOPICS, topics
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.viewer import TABLE as VIEWER_TABLE
from kinema4d_ros.robot import ForwardKinematics
from kinema4d_ros.types import FindingCode


def test_each_camera_is_seen_at_its_own_stamp_and_from_where_it_was_then(desk):
    desk = desk(**{'wrist.calibration_sigma': 0.002})
    desk.run(450)
    look = desk.look()
    front, wrist = look.observation.views
    assert [view.name for view in look.observation.views] == CAMERAS
    assert (desk.begin + 400 * MS, desk.begin + 430 * MS) == (front.stamp_ns, wrist.stamp_ns)
    assert look.observation.stamp_ns == wrist.stamp_ns and look.oldest_ns == front.stamp_ns
    # 430 ms is between two joint states, of 420 and 440 ms
    assert wrist.joint_positions['shoulder_pan_joint'] == pytest.approx(SPEED * 0.43)
    T_base_link = ForwardKinematics(ROBOT)(ROBOT.configuration(desk.joints(wrist.stamp_ns))[None])
    np.testing.assert_allclose(wrist.T_base_camera,
                               T_base_link[0, ROBOT.link_names.index(HAND)], atol=1e-9)
    assert (front.mount_link, wrist.mount_link) == ('', HAND)
    assert (front.calibration_sigma, wrist.calibration_sigma) == (None, 0.002)
    assert look.observation.joint_positions == wrist.joint_positions
    assert not look.observation.left_out


def test_a_camera_that_stops_is_left_out_with_its_last_look_until_that_is_forgotten(desk):
    desk = desk(**{'wrist.max_input_age': 0.5, 'tier1.memory_age': 3.0})
    desk.run(450)
    stamp = desk.look().observation.views[1].stamp_ns
    desk.run(800, ['front'])
    look = desk.look()
    assert [view.name for view in look.observation.views] == CAMERAS
    assert look.observation.views[1].stamp_ns == stamp      # it is as old as it is
    why = look.observation.left_out['wrist']
    assert why.startswith('is late: the newest camera image on /wrist/image_raw is 0.82 s old')
    assert look.oldest_ns == look.observation.views[0].stamp_ns > stamp
    desk.run(3000, ['front'])
    look = desk.look()
    assert [view.name for view in look.observation.views] == ['front']
    assert list(look.observation.left_out) == ['wrist']
    desk.run(200)
    assert not desk.look().observation.left_out      # it is back by itself


def test_nothing_that_was_seen_by_the_description_of_before_is_recalled(desk):
    desk = desk(**{'wrist.max_input_age': 0.5, 'tier1.memory_age': 30.0})
    desk.run(450)
    desk.look()
    desk.run(800, ['front'])
    assert [view.name for view in desk.look().observation.views] == CAMERAS
    desk.describe()
    look = desk.look().observation
    assert [view.name for view in look.views] == ['front'] and 'wrist' in look.left_out


def test_nothing_that_was_seen_from_where_the_base_was_is_recalled(desk):
    desk = desk(**{'wrist.max_input_age': 0.5, 'tier1.memory_age': 30.0})
    desk.drive(0.0)
    desk.run(450)
    desk.look()
    desk.run(800, ['front'])
    desk.drive(0.005)     # noise of odometry
    assert [view.name for view in desk.look().observation.views] == CAMERAS
    desk.drive(0.2)
    with pytest.raises(InputProblem):
        desk.look()
    desk.run(100, ['front'])
    look = desk.look().observation
    assert [view.name for view in look.views] == ['front'] and 'wrist' in look.left_out


@pytest.mark.parametrize('name', CAMERAS)
def test_an_image_of_before_the_base_drove_is_no_look_at_where_it_is(desk, name):
    desk = desk(cameras=[name])
    desk.drive(0.0)
    desk.run(450, [name])
    desk.look()
    desk.drive(0.2)
    with pytest.raises(InputProblem, match=f'since the newest image on /{name}/image_raw was made '
                       "the robot's base has driven, by TF") as caught:
        desk.look()
    assert caught.value.code == FindingCode.STALE_INPUT
    desk.run(100, [name])
    assert not desk.inputs.has_driven_since(desk.look().oldest_ns)


def test_nor_is_one_whose_depth_is_of_before(desk):
    desk = desk(cameras=['front'])
    desk.drive(0.0)
    desk.run(450, ['front'])
    desk.look()
    desk.put('front/depth/image_raw', array_to_image(np.full(
        (HEIGHT, WIDTH), 1.5, np.float32), desk.header(desk.now, CAMERA_FRAME), '32FC1'))
    desk.drive(0.2)
    for after in 10, 20:       # the base is found to have driven, then the image comes
        desk.now += 10 * MS
        if after == 20:
            desk.feel(desk.now)
            desk.show('front', desk.now, depth=None)
        with pytest.raises(InputProblem, match='has driven'):
            desk.look()
    desk.run(100, ['front'])
    assert desk.look().observation.views[0].depth is not None


def test_a_base_that_is_found_to_drive_during_the_look_is_not_where_the_images_are_of(
        desk, monkeypatch):
    desk = desk()
    desk.drive(0.0)
    desk.run(450)
    until = desk.inputs._trail.until

    def found(*arguments):
        desk.drive(0.2)
        desk.inputs._trail.note_base(ROBOT, desk.now)
        return until(*arguments)

    monkeypatch.setattr(desk.inputs._trail, 'until', found)
    with pytest.raises(InputProblem, match='has driven'):
        desk.look()


def test_an_image_that_was_on_its_way_when_the_base_drove_is_not_recalled_either(desk):
    desk = desk(**{'wrist.max_input_age': 0.5, 'tier1.memory_age': 30.0})
    desk.drive(0.0)
    desk.run(450)
    desk.look()
    assert not desk.inputs.has_driven_since(desk.begin)
    desk.drive(0.2)
    with pytest.raises(InputProblem, match='has driven'):
        desk.look()     # the wrist's image is of 20 ms before
    desk.run(800, ['front'])
    look = desk.look()
    assert [view.name for view in look.observation.views] == ['front']
    assert not desk.inputs.has_driven_since(look.oldest_ns)


def test_a_camera_whose_depth_stops_is_left_out_with_its_last_look(desk):
    desk = desk(**{'tier1.memory_age': 3.0})
    desk.run(450)
    desk.look()
    desk.run(1000, flat=['wrist'])
    for _ in range(2):       # what is left out does not become what it saw last
        look = desk.look()
        wrist = look.observation.views[1]
        assert wrist.depth is not None and desk.now - wrist.stamp_ns > 900 * MS
        why = look.observation.left_out['wrist']
        assert why.startswith('is late: the newest depth image on /wrist/depth/image_raw is 1.00 s '
                              'from the image, limit 0.05 s')
        assert 'set wrist.depth_transport to none' in why
    with pytest.raises(InputProblem, match='camera wrist is late: the newest depth'):
        desk.look(**{'wrist.required': True})
    desk.run(200)
    assert not desk.look().observation.left_out


def test_a_camera_whose_depth_never_came_says_so_unless_it_has_none(desk):
    flat, camera = desk(), desk(**{'wrist.depth_transport': 'none', 'wrist.required': True})
    for each in flat, camera:
        each.run(450, flat=['wrist'])
    why = flat.look().observation.left_out['wrist']
    assert why.startswith('cannot be used: nothing usable has been received on '
                          '/wrist/depth/image_raw')
    look = camera.look().observation
    assert not look.left_out and look.views[1].depth is None


def test_a_camera_alone_is_judged_without_its_depth(desk):
    desk = desk(cameras=['front'])
    desk.run(450, ['front'], flat=['front'])
    look = desk.look().observation
    assert look.views[0].depth is None
    assert '/front/depth/image_raw, which has 0 publisher' in look.left_out['front depth']


def test_nothing_goes_without_a_camera_that_is_required(desk):
    desk = desk(**{'wrist.required': True, 'tier1.memory_age': 30.0})
    desk.run(1500, ['front'])
    with pytest.raises(InputProblem, match='camera wrist cannot be used: nothing usable has been '
                       'received on /wrist/image_raw') as caught:
        desk.look()
    assert caught.value.code == FindingCode.MISSING_INPUT
    desk.run(200)
    desk.look()


def test_without_any_camera_the_first_is_told_of(desk):
    desk = desk()
    desk.run(200)
    desk.run(1500, [])
    with pytest.raises(InputProblem, match='camera front is late') as caught:
        desk.look()
    assert caught.value.code == FindingCode.STALE_INPUT


def test_a_camera_that_was_there_a_moment_ago_is_waited_for(desk):
    desk = desk()
    desk.run(450, ['front'])
    with pytest.raises(InputProblem, match='camera wrist'):      # it began just now
        desk.inputs.observe(desk.finder, desk.now, desk.values, patience=30.0)
    assert desk.look().observation.left_out


def test_a_camera_that_is_contradicted_is_left_out_at_once_and_not_remembered(desk):
    desk = desk()
    desk.run(450)
    desk.look()
    for step in range(1, 30):
        desk.now += 20 * MS
        desk.feel(desk.now)
        desk.show('front', desk.now)
        desk.show('wrist', desk.now, sender=step % 2, frame=(HAND, CAMERA_FRAME)[step % 2])
    look = desk.look()
    assert [view.name for view in look.observation.views] == ['front']
    assert 'is contradicted: two publishers send different' in look.observation.left_out['wrist']


@pytest.mark.parametrize('values, words', [
    ({'cameras': []}, 'one at least'),
    ({'cameras': ['a', 'a']}, 'name each camera once'),
    ({'cameras': ['left/eye']}, "'left/eye', which is no name"),
    ({'cameras': ['tier1']}, "'tier1', which other parameters"),
    ({'cameras': CAMERAS, 'extrinsics': [0.0] * 7}, 'set front.extrinsics and wrist.extrinsics'),
    ({'cameras': CAMERAS, 'camera_frame': 'eye'}, 'set front.camera_frame and wrist.camera_frame'),
    ({'front.required': True}, "of a camera 'front', and cameras are camera: add it"),
    ({'cameras': CAMERAS, 'front.extrinsics': [0.0] * 6}, 'has 6 values, it must have 7'),
    ({'cameras': CAMERAS, 'front.depth_transport': 'zip'}, 'raw, compressedDepth, none')])
def test_cameras_that_cannot_be_understood_are_refused_with_the_cure(values, words):
    with pytest.raises(ConfigurationError, match=words):
        TABLE.validate(values)


def test_the_viewer_reads_the_cameras_of_the_same_file():
    text = """/**:
  ros__parameters:
    cameras: [front, wrist]
    front: {extrinsics: [1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]}
    wrist: {required: true, calibration_sigma: 0.002}
    tier1: {calibration_sigma: 0.004}
"""
    for table, name in (TABLE, 'shadow_sim'), (VIEWER_TABLE, 'viewer'):
        values = table.check_yaml(text, name)
        assert extrinsics_of(values) == {'front': (1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0), 'wrist': ()}


def test_each_of_several_cameras_has_topics_of_what_it_would_see():
    assert topics(['camera']) == topics(['eye']) == TOPICS
    more = set(topics(CAMERAS)) - set(TOPICS)
    assert {'predicted/wrist/image', 'predicted/front/points', 'predicted/wrist/camera_info',
            'predicted/wrist/frame', 'robot/wrist/mask'} <= more
    assert not [topic for topic in more if 'joint_states' in topic]


@pytest.mark.parametrize('moves, drives, turned_off', [
    (False, False, False), (True, False, False), (False, True, False), (False, False, True)])
def test_holes_that_flicker_are_filled_while_the_robot_stands(desk, moves, drives, turned_off):
    desk = desk(depth_images=2 if turned_off else 5)
    desk.speed = SPEED if moves else 0.0
    desk.drive(0.0)
    with pytest.raises(InputProblem):      # nothing has come, but where the base is
        desk.look()
    rng = np.random.default_rng(4)
    for number in range(6):
        if drives and number == 5:
            desk.drive(0.3)
            with pytest.raises(InputProblem, match='has driven'):
                desk.look()
        desk.now += 34 * MS
        desk.feel(desk.now)
        depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        depth[rng.random(depth.shape) < 0.2] = np.nan      # an edge, or what is rather dark
        depth[:8, :8] = np.nan                              # something black
        desk.show('front', desk.now, depth=depth)
        desk.show('wrist', desk.now)
    view = next(each for each in desk.look().observation.views if each.name == 'front')
    assert np.isnan(view.depth[:8, :8]).all()
    left = np.isnan(view.depth[8:]).mean()
    assert left > 0.15 if moves or drives or turned_off else left < 0.05
    assert np.nanmax(view.depth) == 1.5


def test_a_calibration_that_changes_counts_with_the_next_look(desk):
    desk = desk()
    desk.run(450)
    before = desk.look().observation.views[0].camera
    desk.camera = dataclasses.replace(desk.camera, fx=100.0, fy=100.0)
    desk.run(200)
    after = desk.look().observation.views[0].camera
    assert (before.fx, after.fx, after.width) == (90.0, 100.0, before.width)


def test_each_depth_image_that_cannot_be_read_counts_as_refused_once(desk):
    desk = desk()
    desk.speed = 0.0
    holes = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    for depth in holes[1:], holes[2:], holes:      # two of another size
        desk.now += 34 * MS
        desk.feel(desk.now)
        desk.show('front', desk.now, depth=depth)
        desk.show('wrist', desk.now)
    for _ in range(3):
        assert not desk.look().observation.left_out
    status, = (each for each in desk.inputs.status() if each.topic == 'front/depth/image_raw')
    assert (status.received, status.refused) == (3, 2)


def test_a_depth_image_that_is_sent_twice_counts_once(desk):
    desk = desk()
    desk.speed = 0.0
    for hole in False, True:
        desk.now += 34 * MS
        desk.feel(desk.now)
        depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        depth[:4] = np.nan if hole else 1.5      # something black has come
        for _ in range(1 if hole else 2):
            desk.show('front', desk.now, depth=depth)
        desk.show('wrist', desk.now)
    view = next(each for each in desk.look().observation.views if each.name == 'front')
    assert np.isnan(view.depth[:4]).all()
