# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Robo4D layout: written as the official trainer reads it, and read back to the bit."""
from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from lacking import needs

from kinema4d_ros.datasets.robo4d import ClipSizes, FILES, Robo4D, TRAINED
from kinema4d_ros.datasets.robo4d_writer import (ClipLatents, ClipPixels, read_mp4, Robo4DWriter,
                                                 seed_of)
from kinema4d_ros.errors import DatasetError

pytestmark = needs('torch')
SIZES = ClipSizes(5, 16, 24, (16, 2, 2, 3), (3, 8))


def clip(name='a', seed=0):
    """Return pixels and latents of a clip."""
    import torch
    random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    mask = random.random((5, 16, 24)) < 0.3
    video = np.full((5, 16, 24, 3), 120, np.uint8) + np.arange(5, dtype=np.uint8)[
        :, None, None, None]
    points = random.uniform(-1, 1, (5, 16, 24, 3)).astype(np.float32)
    some = [torch.randn(16, 2, 2, 3, generator=generator).half() for _ in range(4)]
    return (ClipPixels(name, video, np.where(mask[..., None], video, np.uint8(0)), points,
                       np.where(mask[..., None], points, np.float32(-1)), mask, {'scale_m': 2.0}),
            ClipLatents(*some, torch.randn(3, 8, generator=generator)))


@pytest.fixture
def root(tmp_path):
    """Return a root of three clips, one held out."""
    writer = Robo4DWriter(tmp_path)
    for seed, name in enumerate('abc'):
        writer.add(*clip(name, seed))
    assert set(writer.write_lists(('c',))) == {'a', 'b'}
    return tmp_path


def test_what_is_written_is_read_back(root):
    import torch
    data = Robo4D(root, SIZES)
    assert sorted(data.names) == ['a', 'b']
    pixels, latents = clip('b', 1)
    found = data.read('b')
    assert np.array_equal(found.first_frame, pixels.video[0])
    assert np.array_equal(found.mask, pixels.mask)
    for name in ('video', 'robot_video', 'pointmap', 'robot_pointmap'):
        value = getattr(found, name)
        assert value.dtype is torch.float32 and torch.equal(value, getattr(latents, name).float())
    assert torch.equal(found.image_tokens, latents.image_tokens)
    assert Robo4D(root, SIZES, video_list='val_sel.txt').names == ('c',)


def test_files_are_what_the_official_trainer_opens(root):
    """Names, types and keys; read by nothing of ours."""
    import torch
    from safetensors import safe_open
    with safe_open(root / 'video_latents/a.safetensors', 'pt') as file:
        shapes = {key: (tuple(file.get_tensor(key).shape), file.get_tensor(key).dtype)
                  for key in file.keys()}
    assert shapes == {'encoded_video': ((16, 2, 2, 3), torch.float16),
                      'image_embedding': ((3, 8), torch.float32)}
    with safe_open(root / 'mask_video_latents/a.safetensors', 'pt') as file:
        assert list(file.keys()) == ['encoded_video']
    for folder in ('pointmap_latents', 'mask_pointmap_latents'):
        bare = torch.load(root / folder / 'a.pt', weights_only=True)
        assert isinstance(bare, torch.Tensor) and bare.dtype is torch.float16
        assert bare.untyped_storage().nbytes() == bare.nbytes
    mask = np.load(root / 'arm_masks_npy/a.npy')
    assert mask.dtype == np.uint8 and mask.shape == (5, 16, 24, 1)
    assert set(np.unique(mask)) == {0, 1}
    picture = cv2.cvtColor(cv2.imread(str(root / 'first_frames/a.png')), cv2.COLOR_BGR2RGB)
    assert np.array_equal(picture, clip()[0].video[0])
    videos = (root / 'train_shuffled.txt').read_text().splitlines()
    images = (root / 'train_img_shuffled.txt').read_text().splitlines()
    assert sorted(videos) == ['videos/a.mp4', 'videos/b.mp4']
    assert [line.replace('videos', 'first_frames').replace('mp4', 'png') for line in videos] \
        == images
    for folder in ('videos', 'mask_videos', 'pointmap', 'mask_pointmap'):
        reader = cv2.VideoCapture(str(root / folder / 'a.mp4'))
        assert reader.get(cv2.CAP_PROP_FPS) == 24.0
        assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 5
        reader.release()
    assert np.abs(read_mp4(root / 'videos/a.mp4').astype(int) - clip()[0].video).max() <= 6


@pytest.mark.parametrize('kind', sorted(TRAINED))
def test_a_missing_file_is_named(root, kind):
    folder, suffix = FILES[kind]
    (root / folder / f'a{suffix}').unlink()
    data = Robo4D(root, SIZES)
    assert data.why_broken('a') == f"clip 'a' lacks {folder}/a{suffix}"
    assert data.why_broken('b') is None
    states = dict(data.good_clips())
    assert isinstance(states['a'], str) and states['b'].name == 'b'      # and it goes on


@pytest.mark.parametrize('kind', [kind for kind in sorted(TRAINED) if kind != 'video'])
def test_a_truncated_file_is_named(root, kind):
    path = root / FILES[kind][0] / f'a{FILES[kind][1]}'
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(DatasetError, match=f"clip 'a': {FILES[kind][0]}/a"):
        Robo4D(root, SIZES).read('a')


def test_wrong_shapes_and_values_are_named(root):
    import torch
    with pytest.raises(DatasetError, match=r'shape \(16, 13, 60, 90\), holds \(16, 2, 2, 3\)'):
        Robo4D(root, ClipSizes(5, 16, 24)).read('a')
    torch.save(torch.full((16, 2, 2, 3), torch.nan), root / 'pointmap_latents/a.pt')
    with pytest.raises(DatasetError, match=r'pointmap_latents/a.pt: holds values that are not fin'):
        Robo4D(root, SIZES).read('a')
    np.save(root / 'arm_masks_npy/b.npy', np.full((5, 16, 24, 1), 255, np.uint8))
    with pytest.raises(DatasetError, match='0 and 1 only'):
        Robo4D(root, SIZES).read('b')


def test_a_latent_file_cannot_run_code(root):
    class Evil:
        def __reduce__(self):
            return print, ('run',)

    (root / 'pointmap_latents/a.pt').write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DatasetError, match='pointmap_latents/a.pt'):
        Robo4D(root, SIZES).read('a')


@pytest.mark.parametrize('file, text, told', [
    ('train_shuffled.txt', '', 'and has none'),
    ('train_shuffled.txt', 'a.mp4\n', "got 'a.mp4'"),
    ('train_shuffled.txt', 'videos/../../a.mp4\n', 'must have a line'),
    ('train_shuffled.txt', 'videos//etc/a.mp4\n', "got 'videos//etc/a.mp4'"),
    ('train_shuffled.txt', 'videos/b/a.mp4\n', 'must have a line'),
    ('train_shuffled.txt', 'videos/.mp4\n', 'must have a line'),
    ('train_img_shuffled.txt', 'first_frames/a.png\n', 'differ from line')])
def test_lists_that_do_not_fit_are_refused(root, file, text, told):
    (root / file).write_text(text)
    with pytest.raises(DatasetError, match=told):
        Robo4D(root, SIZES)


@pytest.mark.parametrize('name', ['', '/etc/a', '../a', 'b/a', 'a\n', 'a b'])
def test_no_name_leads_out_of_the_folder(root, name):
    with pytest.raises(DatasetError, match='no name for a clip'):
        Robo4D(root, SIZES).path('video', name)


def test_a_folder_without_lists_says_what_it_needs(tmp_path):
    with pytest.raises(DatasetError, match='train_shuffled.txt cannot be read .*train_img_shuffle'):
        Robo4D(tmp_path)


@pytest.mark.parametrize('name', ['', 'a/b', 'my_videos', 'x.mp4'])
def test_names_that_official_scripts_take_apart_are_refused(tmp_path, name):
    with pytest.raises(DatasetError, match='no name for a clip'):
        Robo4DWriter(tmp_path).add(*clip(name))


def test_a_clip_that_is_not_whole_is_in_no_list(root):
    (root / 'video_latents/a.safetensors').unlink()
    writer = Robo4DWriter(root)
    assert not writer.has('a') and writer.has('b')
    assert set(writer.write_lists()) == {'b', 'c'}
    assert seed_of('a') == seed_of('a') != seed_of('b')
