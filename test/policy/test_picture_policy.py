# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies that see pictures: the network, NumPy against PyTorch, its training, its address."""
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy import PolicyObservation, PolicyPreset
from kinema4d_ros.policy.closed_loop.makers import make_policy, RunContext
from kinema4d_ros.policy.cloning import JOINTS
from kinema4d_ros.policy.hand_features import ACTIONS, CHUNK, LAYOUT
from kinema4d_ros.policy.picture_cloning import Demonstrations, save_pictures, train_pictures
from kinema4d_ros.policy.picture_policy import CONVOLUTIONS, PicturePolicy, seen_picture, SIDE, VIEW
from kinema4d_ros.policy.state_policies import sees_pictures
from kinema4d_ros.policy.wire import PolicyClient, preset_keys, serve_policy
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import Robot

PRESET = Path(__file__).parents[2] / 'scripts' / 'picture_policy.yaml'
TASK = 'put the square away'
READY = dict(zip(JOINTS, (0.0, -0.16, 0.0, -2.45, 0.0, 2.23, 0.79, 0.04, 0.04)))


@pytest.fixture(scope='module')
def robot():
    return Robot.from_file(share_dir() / 'urdf' / 'panda' / 'panda.urdf')


def demonstration(seed):
    """Return one whose grasp is where a white square is in the picture."""
    random = np.random.default_rng(seed)
    row, column = random.integers(10, SIDE - 20, 2)
    picture = np.full((SIDE, SIDE, 3), 60, np.uint8)
    picture[row:row + 12, column:column + 12] = 255
    layout = np.r_[row / 200, column / 200, 0.1, 0.5, 0.3, 0.2, 0.4, 0.0, 0.0]
    way = np.tile(np.r_[0.4, 0.0, 0.3, 0.0, 0.04], (6, 1))
    way[:, :2] += np.linspace(0, 1, 6)[:, None] * (layout[:2] - way[0, :2])
    joints = np.tile([READY[name] for name in JOINTS], (3, 1))
    return {'pictures': np.tile(picture, (3, 1, 1, 1)), 'joints': joints,
            'fingers': np.tile([True, False], (3, 1)), 'ahead': np.array([0, 2, 4]),
            'aside': np.zeros((3, 3)), 'way': way, 'layout': layout, 'success': np.array(True),
            'instruction': np.array(TASK)}


@pytest.fixture(scope='module')
def trained(robot, tmp_path_factory):
    """Return the file of a network that was trained a little, and how far off it was."""
    folder = tmp_path_factory.mktemp('demonstrations')
    for seed in range(12):
        np.savez(folder / f'{seed}.npz', **demonstration(seed))
    failed = demonstration(99) | {'success': np.array(False)}
    np.savez(folder / 'failed.npz', **failed)
    shown = Demonstrations.read(sorted(folder.glob('*.npz')), robot)
    assert len(shown.pictures) == 12 * 3
    stages = list(train_pictures(shown, [1, 12]))
    save_pictures(folder / 'seeing_12.npz', stages[-1][1])
    return folder / 'seeing_12.npz', stages


def observed(image=None, instruction=TASK):
    return PolicyObservation(instruction, {} if image is None else {VIEW: image}, READY)


def test_numpy_computes_what_pytorch_does(robot, trained):
    torch = pytest.importorskip('torch')
    arrays = {name: torch.tensor(array) for name, array in trained[1][-1][1].items()
              if name != 'instructions'}
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    x = torch.tensor(picture.transpose(2, 0, 1)[None].astype(np.float32)) / 255 - 0.5
    for number, (kernel, stride, _) in enumerate(CONVOLUTIONS):
        x = torch.relu(torch.nn.functional.conv2d(
            x, arrays[f'convolution_{number}_weight'], arrays[f'convolution_{number}_bias'],
            stride, kernel // 2))
    shares = torch.softmax(x[0].flatten(1), -1).reshape(x[0].shape)
    along = torch.linspace(-1, 1, x.shape[-1])
    told = torch.cat([(shares * along).sum((1, 2)), (shares * along[:, None]).sum((1, 2)),
                      torch.ones(1)])
    hidden = torch.relu(arrays['where_0_weight'] @ told + arrays['where_0_bias'])
    expected = (arrays['where_1_weight'] @ hidden + arrays['where_1_bias']) \
        * arrays['layout_scale'] + arrays['layout_mean']
    got = PicturePolicy.load(trained[0], robot).layout(picture, 0)
    assert got.shape == (LAYOUT,)
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)


def test_training_finds_where_the_thing_is(trained):
    (first, _, before), (last, _, after) = trained[1]
    assert (first, last) == (1, 12)
    assert after < before


def test_a_chunk_begins_where_the_hand_is_and_ends_by_itself(robot, trained):
    policy = PicturePolicy.load(trained[0], robot)
    policy.reset(TASK, 0)
    chunk = policy.act(observed(np.zeros((240, 360, 3), np.uint8)))
    assert chunk.shape == (CHUNK, 8) and set(chunk[:, 7]) <= {0.0, 1.0}
    np.testing.assert_allclose(np.linalg.norm(chunk[:, 3:7], axis=1), 1.0)
    motion = policy.action_format.split(chunk)[0]
    assert motion.shape == (CHUNK, 7)


@pytest.mark.parametrize('observation, words', [
    (observed(np.zeros((240, 360, 3), np.uint8), 'dance'), f"does not know .* 'dance'.*{TASK}"),
    (observed(), 'looks at the view .*none'),
    (observed(np.zeros((240, 360), np.uint8)), r'\(H, W, 3\) uint8'),
], ids=['another task', 'no picture', 'grey'])
def test_what_it_cannot_see_is_refused(robot, trained, observation, words):
    with pytest.raises(PolicyError, match=words):
        PicturePolicy.load(trained[0], robot).act(observation)


@pytest.mark.parametrize('change', [
    {'where_1_bias': None}, {'convolution_0_weight': np.zeros((16, 3, 3, 3))},
    {'act_2_weight': np.zeros((7, 128)), 'act_2_bias': np.zeros(7)}
], ids=['lacks', 'kernel', 'few'])
def test_another_network_is_refused(robot, trained, change):
    arrays = {**trained[1][-1][1], **change}
    with pytest.raises(PolicyError, match='not one of a picture policy'):
        PicturePolicy({name: array for name, array in arrays.items() if array is not None}, robot)


@pytest.mark.parametrize('content', ['text', 'empty', 'half', 'one array'])
def test_files_that_are_none_are_refused(robot, tmp_path, content):
    file = tmp_path / 'file.npz'
    if content == 'one array':
        with file.open('wb') as stream:
            np.save(stream, np.zeros(3))
    else:
        np.savez(file, **demonstration(0))
        whole = file.read_bytes()
        file.write_bytes({'text': b'no', 'empty': b'', 'half': whole[:len(whole) // 2]}[content])
    assert not sees_pictures(str(file))
    with pytest.raises(PolicyError, match='holds no trained policy.*demonstrations'):
        PicturePolicy.load(file, robot)
    with pytest.raises(PolicyError, match='file.npz cannot be read'):
        Demonstrations.read([file], robot)


def test_demonstrations_that_show_nothing_are_refused(robot, tmp_path):
    np.savez(tmp_path / 'lacks.npz', success=np.array(True))
    with pytest.raises(PolicyError, match="is no demonstration.*'instruction'"):
        Demonstrations.read([tmp_path / 'lacks.npz'], robot)
    np.savez(tmp_path / 'failed.npz', **demonstration(0) | {'success': np.array(False)})
    with pytest.raises(PolicyError, match='none of 1 demonstrations succeeded'):
        Demonstrations.read([tmp_path / 'failed.npz'], robot)


def test_the_wanted_steps_lead_back_to_the_way(robot, tmp_path):
    """A hand that is aside is led back to where the expert's way goes, without a jump."""
    path = tmp_path / 'one.npz'
    np.savez(path, **demonstration(3))
    shown = Demonstrations.read([path], robot)
    assert shown.answers.shape == (3, CHUNK, ACTIONS + 3)
    way = demonstration(3)['way']
    np.testing.assert_allclose(shown.answers[0, :5, :5], way[1:])
    np.testing.assert_allclose(shown.answers[1, 3:, :5], way[-1:].repeat(7, 0))
    assert dataclasses.is_dataclass(shown)


def test_served_as_openpi_does(robot, trained):
    """Over loopback, by its preset: the same chunk as asked in Python."""
    preset = PolicyPreset.load(PRESET)
    form = preset.action_format(robot)
    keys = preset_keys(preset, robot, form)
    assert form == PicturePolicy.action_format
    image = np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)
    policy = PicturePolicy.load(trained[0], robot)
    policy.reset(TASK, 0)
    expected = policy.act(observed(image))
    with serve_policy(PicturePolicy.load(trained[0], robot), keys, robot=robot, port=0) as server, \
            PolicyClient(server.address, form, keys, robot=robot) as client:
        client.reset(TASK, 0)
        np.testing.assert_allclose(client.act(observed(image)), expected, atol=1e-5)


def test_by_its_address(robot, trained):
    episode = Episode.open('libero_object_0_0_success')
    context = RunContext(Robot.from_urdf(episode.robot_description), episode)
    policy = make_policy('python:kinema4d_ros.policy.state_policies:seeing'
                         f'?file={trained[0]}', context)
    assert policy.instructions == (TASK,)


def test_a_picture_is_cut_to_the_table():
    image = np.zeros((224, 224, 3), np.uint8)
    image[104, 120] = 255
    seen = seen_picture(image)
    assert seen.shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(np.argwhere(seen[..., 0] == seen[..., 0].max())[0], [48, 48])
