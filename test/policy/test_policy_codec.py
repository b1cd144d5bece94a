# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The dialect of msgpack: what others write is read, and nothing else comes out of it."""
import random
import sys
import tracemalloc
from types import SimpleNamespace

import msgpack
import numpy as np
import pytest
from faulty_policy import array

from scipy.spatial.transform import Rotation

from kinema4d_ros import ActionFormat, PolicyObservation, Robot, share_dir
from kinema4d_ros.errors import ConfigurationError, PolicyError
from kinema4d_ros.policy import GripperColumn, PolicyPreset
from kinema4d_ros.policy.wire import (Limits, ObservationKeys, pack, PictureKey, preset_keys,
                                      StateKey, Translator, unpack)
from kinema4d_ros.policy.wire.codec import DTYPES
from kinema4d_ros.policy.wire.pictures import resized_with_pad
from kinema4d_ros.robot import ForwardKinematics

SMALL = Limits(most_bytes=1 << 20, most_objects=1000)
STATE = StateKey(('s',), ('a', 'b'), zero=(0.0, 0.04), unit=(np.pi / 180, -0.04))


@pytest.mark.parametrize('name', sorted(DTYPES))
def test_each_type_of_number_comes_back(name):
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(name)
    again = unpack(msgpack.packb(array(values)))       # as openpi-client writes it
    assert again.dtype == values.dtype.newbyteorder('=') and again.shape == (2, 3)
    np.testing.assert_array_equal(again, values)
    if name[0] != '>':
        np.testing.assert_array_equal(unpack(pack(values[:, ::2])), values[:, ::2])


def test_what_is_packed_is_what_openpi_client_writes():
    packed = pack({'actions': np.arange(6, dtype=np.float32).reshape(2, 3), 'n': np.float32(2.5)})
    assert msgpack.unpackb(packed) == {
        'actions': {b'__ndarray__': True, b'data': np.arange(6, dtype='<f4').tobytes(),
                    b'dtype': '<f4', b'shape': [2, 3]},
        'n': {b'__npgeneric__': True, b'data': 2.5, b'dtype': '<f4'}}
    assert unpack(packed)['n'] == 2.5
    assert unpack(pack(np.empty((0, 7)))).shape == (0, 7)


@pytest.mark.parametrize('value', [np.array([object()]), np.array(['text']), np.array([1j]),
                                   np.zeros(2, 'f4,f4'), object(), {1.5: {2}}])
def test_what_has_no_form_is_not_packed(value):
    with pytest.raises(PolicyError, match='cannot be packed'):
        pack({'x': value})


@pytest.mark.parametrize('wrong', [
    {'dtype': '|O'}, {'dtype': 'O'}, {'dtype': '<U4'}, {'dtype': '|V8'}, {'dtype': '<c8'},
    {'dtype': 'f4,f4'}, {'dtype': b'<f4'}, {'dtype': 7}, {'dtype': None}, {'shape': 6},
    {'shape': [2.0, 3]}, {'shape': [True, 6]}, {'shape': [-2, -3]}, {'shape': [2, 4]},
    {'shape': [1] * 7 + [6]}, {'data': 'text'}, {'data': None}, {'data': bytes(23)}])
def test_an_array_that_lies_is_refused(wrong):
    with pytest.raises(PolicyError, match='cannot be read'):
        unpack(msgpack.packb(array(np.zeros((2, 3), '<f4'), **wrong)))


def test_a_number_that_does_not_fit_its_type_is_refused():
    for data, dtype in ((300, '|u1'), (-1, '<u4'), ('7', '<f8'), (None, '<f8'), (1, '|O')):
        with pytest.raises(PolicyError):
            unpack(msgpack.packb({b'__npgeneric__': True, b'data': data, b'dtype': dtype}))


def test_pickle_is_never_read(tmp_path):
    """The widespread msgpack_numpy reads arrays of objects by pickle; here they are refused."""
    import pickle
    victim = tmp_path / 'victim'

    class Attack:
        def __reduce__(self):
            return victim.touch, ()

    for key in ('data', 'dtype', 'shape'):
        with pytest.raises(PolicyError):
            unpack(msgpack.packb(array(np.zeros(1), **{'dtype': '|O', key: pickle.dumps(
                Attack())})))
    assert not victim.exists()


@pytest.mark.parametrize(('data', 'words'), [
    (b'\xdf\xff\xff\xff\xff', 'map of 4294967295'), (b'\xdd\x7f\xff\xff\xff', 'list'),
    (b'\x91' * 100, 'deep'), (b'\x92' * 9, 'deep'), (b'\xc6\xff\xff\xff\xff', 'in the middle'),
    (b'\xdb\x00\xff\xff\xff' + b'a' * 9, 'text'), (b'\xc7\x01\x01\x00', 'no policy'),
    (b'\xc1', 'no policy'), (b'', 'in the middle'), (b'\x00\x00', 'follow'),
    (msgpack.packb([[0] * 400] * 3), 'more than 1000 objects'), (bytes(2 << 20), 'bytes')],
    ids=range(12))
def test_what_is_too_much_is_refused_before_it_is_made(data, words):
    with pytest.raises(PolicyError, match=words):
        unpack(data, SMALL)


def mutants(seed: int, count: int):
    """Yield messages that are damaged, spliced, or never were one."""
    chance = random.Random(seed)
    whole = [msgpack.packb({'actions': array(np.zeros((3, 2), '<f4')), 'server_timing': {'a': 1}}),
             msgpack.packb({'observation/image': array(np.zeros((4, 4, 3), 'u1')), 'prompt': 'go',
                            'list': [[1, 2.5], [None, True]], 'n': {
                                b'__npgeneric__': True, b'data': 1.0, b'dtype': '<f8'}})]
    for number in range(count):
        data = bytearray(chance.choice(whole))
        match number % 5:
            case 0:
                data = bytearray(chance.randbytes(chance.randrange(200)))
            case 1:
                for _ in range(chance.randrange(1, 8)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
            case 2:
                del data[chance.randrange(len(data)):]
            case 3:
                place = chance.randrange(len(data))
                data[place:place] = chance.randbytes(chance.randrange(1, 9))
            case _:
                other = chance.choice(whole)
                data = data[:chance.randrange(len(data))] + other[chance.randrange(len(other)):]
        yield bytes(data)


def test_of_10000_damaged_messages_nothing_but_a_policy_error_comes_out():
    keys = ObservationKeys((PictureKey(('observation/image',), 'exterior', (8, 8)),),
                           (StateKey(('list',), ('a', 'b')),))
    translator, read, refused, chunks = Translator(keys), 0, 0, 0
    tracemalloc.start()
    for data in mutants(17, 10_000):
        try:
            message = unpack(data, SMALL)
            read += 1
            chunk = translator.numbers(message)
            assert chunk.ndim == 2 and np.isfinite(chunk).all()
            chunks += 1
            translator.observation(message)
        except PolicyError:
            refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 5000 and read > 300 and chunks > 50, (refused, read, chunks)
    assert peak < 4 << 20, peak


def test_the_oracle_reads_what_we_read():
    """Whatever passes means to msgpack itself what it means to us."""
    for data in mutants(3, 2000):
        try:
            ours = unpack(data, SMALL)
        except PolicyError:
            continue
        theirs = msgpack.unpackb(data, strict_map_key=True)
        if not isinstance(ours, dict):
            continue
        for key, value in ours.items():
            if isinstance(value, np.ndarray):
                assert theirs[key][b'data'] == value.tobytes()


# ---------------------------------------------------------------------- keys

def test_units_of_joints_go_to_the_wire_and_back():
    translator = Translator(ObservationKeys(states=(STATE,)))
    request = translator.request(PolicyObservation('go', {}, {'a': np.pi / 2, 'b': 0.04}))
    np.testing.assert_allclose(request['s'], [90.0, 0.0], atol=1e-5)
    assert request['s'].dtype == np.float32 and request['prompt'] == 'go'
    joints = translator.joints(request)
    assert joints == pytest.approx({'a': np.pi / 2, 'b': 0.04})
    with pytest.raises(PolicyError, match='wants the joints b'):
        translator.request(PolicyObservation('go', {}, {'a': 0.0}))
    with pytest.raises(PolicyError, match='2 numbers, got 3'):
        translator.joints({'s': [1.0, 2.0, 3.0]})
    with pytest.raises(PolicyError, match='not finite'):
        translator.joints({'s': [1.0, float('nan')]})


def test_nested_keys_and_channels_first():
    keys = ObservationKeys((PictureKey(('images', 'cam_high'), 'top', (6, 8), True),
                            PictureKey(('images', 'wrist'), 'wrist', optional=True)),
                           (StateKey(('state',), ('a',)),))
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    translator = Translator(keys)
    request = unpack(pack(translator.request(PolicyObservation('', {'top': image}, {'a': 1.0}))))
    assert request['images']['cam_high'].shape == (3, 6, 8)
    again = translator.observation(request)
    np.testing.assert_array_equal(again.images['top'], image)
    assert list(again.images) == ['top']
    with pytest.raises(PolicyError, match="view 'top'; the observation has: side"):
        translator.request(PolicyObservation('', {'side': image}, {'a': 1.0}))


@pytest.mark.parametrize('name', ['libero', 'droid'])
def test_presets_become_keys(name):
    robot = Robot.from_file(share_dir() / 'urdf' / 'panda' / 'panda.urdf')
    preset = PolicyPreset.load(name)
    form = preset.action_format(robot)
    keys = preset_keys(preset, robot, form)
    translator = Translator(keys, robot)
    posed = dict.fromkeys(robot.joint_names, 0.1) | {'panda_finger_joint1': 0.03,
                                                     'panda_finger_joint2': 0.03}
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15] = 255
    request = translator.request(PolicyObservation('go', {'exterior': image, 'wrist': image},
                                                   posed))
    assert keys.executed == preset.executed
    if name == 'droid':
        np.testing.assert_allclose(request['observation/joint_position'], [0.1] * 7, rtol=1e-6)
        np.testing.assert_allclose(request['observation/gripper_position'], [0.25], rtol=1e-6)
        assert translator.joints(request) == pytest.approx(
            {name: posed[name] for name in robot.joint_names if name != 'panda_finger_joint2'},
            abs=1e-6)
    else:
        state = request['observation/state']
        link = robot.link_names.index(form.tip_link)
        pose = ForwardKinematics(robot)(robot.configuration(posed)[None])[0, link]
        np.testing.assert_allclose(state[:3], pose[:3, 3], atol=1e-6)
        np.testing.assert_allclose(Rotation.from_rotvec(state[3:6]).as_matrix(), pose[:3, :3],
                                   atol=1e-5)
        np.testing.assert_allclose(state[6:], [0.03, -0.03], atol=1e-7)
        assert request['observation/image'][112, -5].all()      # mirrored
        assert not request['observation/image'][112, 5].any()


def test_state_of_two_arms_is_in_the_order_of_the_columns():
    form = ActionFormat(50.0, ('a', 'b'), grippers=(
        GripperColumn(1, 1.0, 0.0, {'f': (0.05, 0.02)}), GripperColumn(3, 1.0, 0.0,
                                                                     {'g': (0.05, 0.02)})))
    robot = SimpleNamespace(joint_names=('a', 'b', 'f', 'g'), link_names=())
    keys = preset_keys(PolicyPreset.load('aloha'), robot, form)
    translator = Translator(keys)
    image = np.zeros((8, 8, 3), np.uint8)
    request = translator.request(PolicyObservation(
        'go', dict.fromkeys(('cam_high', 'cam_left_wrist', 'cam_right_wrist'), image),
        {'a': 0.5, 'b': 0.25, 'f': 0.05, 'g': 0.02}))
    np.testing.assert_allclose(request['state'], [0.5, 1.0, 0.25, 0.0], atol=1e-6)
    assert request['images']['cam_high'].shape == (3, 224, 224)


def test_keys_that_contradict_themselves():
    for make in (lambda: StateKey(('s',)), lambda: StateKey(('s',), ('a',), unit=(0.0,)),
                 lambda: StateKey(('s',), ('a',), zero=(0.0, 1.0)),
                 lambda: StateKey(('s',), tip_link='tip', tip_turn='axis'),
                 lambda: ObservationKeys(executed=-1),
                 lambda: Translator(ObservationKeys(states=(StateKey(('s',), tip_link='t'),))),
                 lambda: ObservationKeys(states=(StateKey(('prompt',), ('a',)),))):
        with pytest.raises(ConfigurationError):
            make()


@pytest.mark.parametrize('shape', [(480, 640), (100, 30), (224, 224), (1, 500), (7, 5)])
def test_a_resized_picture_keeps_its_proportions(shape):
    framed = resized_with_pad(np.full((*shape, 3), 200, np.uint8), 224, 224)
    assert framed.shape == (224, 224, 3)
    lit = framed.any(axis=2)
    high, wide = lit.any(1).sum(), lit.any(0).sum()
    assert max(high, wide) == 224
    assert high == max(int(shape[0] * 224 / max(shape)), 1)
    assert lit.sum() == high * wide and (framed[lit] == 200).all()


def test_no_codec_without_msgpack(monkeypatch):
    monkeypatch.setitem(sys.modules, 'msgpack', None)
    with pytest.raises(ConfigurationError, match=r'extra \[policy\]'):
        pack({})


