# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth models of the library transformers from a folder, with tiny random weights."""
import json

import numpy as np
import pytest
import torch
from small_recordings import install_backend

from kinema4d_ros.curation.depth_backend import available_backends, load_backend
from kinema4d_ros.curation.transformers_depth import TransformersDepth
from kinema4d_ros.errors import ConfigurationError

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 72, 3), dtype=np.uint8)


def tiny_model(folder, seed=0, **config):
    """Write a Depth Anything of a few thousand weights, as from_pretrained reads it."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    torch.manual_seed(seed)
    backbone = {'model_type': 'dinov2', 'image_size': 56, 'patch_size': 14, 'hidden_size': 16,
                'num_hidden_layers': 4, 'num_attention_heads': 2, 'out_indices': [1, 2, 3, 4],
                'reshape_hidden_states': False, 'apply_layernorm': True}
    model = DepthAnythingForDepthEstimation(DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[4, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=4, initializer_range=0.5, **config))
    model.save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps({
        'image_processor_type': 'DPTImageProcessor', 'do_resize': True, 'resample': 3,
        'size': {'height': 56, 'width': 56}, 'keep_aspect_ratio': True, 'do_rescale': True,
        'ensure_multiple_of': 14, 'rescale_factor': 1 / 255, 'do_normalize': True,
        'image_mean': [0.485, 0.456, 0.406], 'image_std': [0.229, 0.224, 0.225]}))
    return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp('depth') / 'model')


def test_a_model_answers_in_the_size_of_the_picture(folder):
    model = TransformersDepth(folder)
    assert model.quantity == 'inverse_depth'      # as its configuration says: relative
    answer = model(PICTURE)
    assert answer.shape == (48, 72) and answer.dtype == np.float32
    assert np.isfinite(answer).all() and np.ptp(answer) > 0
    assert np.array_equal(answer, model(PICTURE))
    assert not np.array_equal(answer, model(PICTURE[::-1].copy()))


def test_what_it_answers_is_as_configured_or_as_said(folder, tmp_path):
    assert TransformersDepth(folder, 'depth').quantity == 'depth'
    metric = tiny_model(tmp_path / 'metric', depth_estimation_type='metric', max_depth=20)
    assert TransformersDepth(metric).quantity == 'depth'


@pytest.mark.parametrize(('kind', 'quantity'), [('DPT', 'inverse_depth'), ('GLPN', 'depth')])
def test_other_models_as_their_library_writes_them(kind, quantity, tmp_path):
    """Weights, configuration and what prepares the pictures: relative and metric."""
    import transformers

    config = {'DPT': {
        'hidden_size': 16, 'num_hidden_layers': 4, 'num_attention_heads': 2, 'image_size': 32,
        'intermediate_size': 16, 'patch_size': 8, 'is_hybrid': False, 'fusion_hidden_size': 8,
        'backbone_out_indices': [0, 1, 2, 3], 'neck_hidden_sizes': [4, 8, 8, 8]}, 'GLPN': {
        'depths': [1, 1, 1, 1], 'hidden_sizes': [4, 8, 8, 8], 'decoder_hidden_size': 8,
        'num_attention_heads': [1, 1, 2, 2]}}[kind]
    prepared = {'DPT': {'size': {'height': 32, 'width': 32}}, 'GLPN': {}}[kind]
    torch.manual_seed(0)
    getattr(transformers, f'{kind}ForDepthEstimation')(getattr(transformers, f'{kind}Config')(
        initializer_range=0.5, **config)).save_pretrained(tmp_path)
    getattr(transformers, f'{kind}ImageProcessorPil')(**prepared).save_pretrained(tmp_path)
    model = TransformersDepth(tmp_path)
    answer = model(PICTURE)
    assert model.quantity == quantity and answer.shape == (48, 72)
    assert np.isfinite(answer).all() and np.ptp(answer) > 0


def test_other_weights_have_another_fingerprint(folder, tmp_path):
    other = tiny_model(tmp_path / 'other', seed=1)
    same = TransformersDepth(folder).fingerprint
    assert same == TransformersDepth(folder).fingerprint
    assert same != TransformersDepth(other).fingerprint


def test_code_beside_the_weights_is_not_run(folder, tmp_path):
    """And what is no safetensors is not read."""
    for name in ('config.json', 'preprocessor_config.json', 'model.safetensors'):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = json.loads((tmp_path / 'config.json').read_text())
    config |= {'model_type': 'made_up', 'auto_map': {
        'AutoConfig': 'code.C', 'AutoModelForDepthEstimation': 'code.M'}}
    (tmp_path / 'config.json').write_text(json.dumps(config))
    (tmp_path / 'code.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")\nC = M = None\n')
    with pytest.raises(ConfigurationError, match='cannot be loaded'):
        TransformersDepth(tmp_path)
    assert not (tmp_path / 'ran').exists()
    (tmp_path / 'model.safetensors').rename(tmp_path / 'pytorch_model.bin')
    with pytest.raises(ConfigurationError, match=r'lacks \*\.safetensors'):
        TransformersDepth(tmp_path)


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors'])
def test_damaged_files_are_told(folder, tmp_path, name):
    for path in folder.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[:len(content) // 2] if path.name == name
                                           else content)
    with pytest.raises(ConfigurationError, match='cannot be loaded'):
        TransformersDepth(tmp_path)


def test_a_folder_that_is_no_model_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match='holds no depth model: it lacks config.json'):
        load_backend('transformers', str(tmp_path))
    with pytest.raises(ConfigurationError, match='nowhere holds no depth model'):
        load_backend('transformers', str(tmp_path / 'nowhere'))


def test_backends_of_others_are_found_by_name(tmp_path, monkeypatch):
    install_backend(tmp_path, monkeypatch)
    assert available_backends() == ('knowing', 'transformers')
    np.savez(tmp_path / 'truth.npz', pictures=PICTURE[None], depths=np.ones((1, 48, 72)), noise=0)
    assert load_backend('knowing', str(tmp_path))(PICTURE).shape == (48, 72)
    with pytest.raises(ConfigurationError, match="no depth backend 'x'; there are: knowing, tr"):
        load_backend('x', str(tmp_path))
    with pytest.raises(ConfigurationError, match="not 'disparity'"):
        load_backend('knowing', str(tmp_path), 'disparity')
