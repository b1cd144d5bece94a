# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training at tiny size: it learns, goes on to the bit, and stops with a reason."""
from __future__ import annotations

import os
import signal
import warnings

import pytest
import torch
from robo4d_clips import CLIPS, SIZES

from kinema4d_ros.errors import TrainingError, WorldModelError
from kinema4d_ros.training.log import read_log


def weights_of(folder):
    """Return all tensors of the two released files."""
    from safetensors.torch import load_file
    return (load_file(folder / 'added_weights.safetensors')
            | load_file(folder / 'pytorch_lora_weights.safetensors'))


def test_the_loss_falls_and_the_engine_takes_the_checkpoint(clips, make_trainer, start):
    """On 8 clips; measured with the same noise before and after."""
    from kinema4d_ros.world_model import load_world_model
    trainer = make_trainer(clips, steps=24, batch=4, learning_rate=3e-2, warm_up=3, accumulation=2,
                           validate_every=24, validation_steps=2)
    before = trainer.validate()
    frozen = {name: value.clone() for name, value in trainer.model.named_parameters()
              if not value.requires_grad}
    last = trainer.run()
    lines = read_log(trainer.paths.out / 'log.jsonl')
    assert [line['step'] for line in lines] == list(range(24))
    first, end = (sum(line['loss'] for line in part) / 5 for part in (lines[:5], lines[-5:]))
    assert end < 0.8 * first
    assert lines[-1]['validation_loss'] < before['validation_loss']
    assert {'psnr', 'ssim', 'pointmap_error', 'robot_error', 'follows',
            'validation_loss_shuffled'} <= set(lines[-1])
    assert set(lines[0]['clips']) <= set(CLIPS) and len(lines[0]['clips']) == 8
    assert all(torch.equal(value, frozen[name]) for name, value
               in trainer.model.named_parameters() if name in frozen)
    began, ended = weights_of(start[1]), weights_of(last)
    assert ended.keys() == began.keys()
    assert all(value.dtype is torch.float32 for value in ended.values())
    assert not [name for name in ended if torch.equal(began[name], ended[name])]
    model = load_world_model('kinema4d', base=str(start[0]), weights=str(last))
    assert model.engine.sampling.steps == 2          # kinema4d.json came along
    learnt = trainer.accelerator.unwrap_model(trainer.model)
    weight = learnt.blocks[0].attn1.to_q
    merged = weight.base_layer.weight + weight.get_delta_weight('default')
    assert torch.allclose(model.engine.transformer.blocks[0].attn1.to_q.weight, merged, atol=1e-6)
    model.close()


def test_a_resumed_run_equals_the_uninterrupted_one(clips, make_trainer):
    whole = make_trainer(clips, 'whole', steps=6).run()
    first = make_trainer(clips, 'parts', steps=6, save_every=3)

    def interrupt(step, values):
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)       # Ctrl-C, while it trains

    with pytest.raises(KeyboardInterrupt):
        first.run(interrupt)
    assert first.checkpoints.steps() == [3] or first.checkpoints.steps() == [3, 4]
    second = make_trainer(clips, 'parts', steps=6, resume=True)
    assert second.step in (3, 4)
    parts = second.run()
    one, other = weights_of(whole), weights_of(parts)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    logs = [[(line['step'], line['loss'], line['clips']) for line in read_log(
        path.parents[1] / 'log.jsonl')] for path in (whole, parts)]
    assert logs[0] == logs[1] and len(logs[0]) == 6


def test_bfloat16_is_close_to_float32_and_learns_in_float32(clips, make_trainer):
    exact = make_trainer(clips, 'exact', steps=2)
    exact.run()
    rough = make_trainer(clips, 'rough', steps=2, mixed_precision='bf16')
    weight = rough.model.blocks[0].attn1.to_q
    assert weight.base_layer.weight.dtype is torch.bfloat16
    assert weight.lora_A['default'].weight.dtype is torch.float32
    last = rough.run()
    losses = [[line['loss'] for line in read_log(run.paths.out / 'log.jsonl')]
              for run in (exact, rough)]
    assert losses[0] != losses[1] and torch.allclose(*map(torch.tensor, losses), rtol=0.02)
    assert all(value.dtype is torch.float32 for value in weights_of(last).values())


def test_other_settings_are_not_gone_on_with(clips, make_trainer):
    make_trainer(clips, steps=1).run()
    with pytest.raises(TrainingError, match='has a run already .step-000001.; give --resume'):
        make_trainer(clips, steps=2)
    with pytest.raises(TrainingError, match='other settings .batch was 2, is 3'):
        make_trainer(clips, steps=2, batch=3, resume=True)
    assert make_trainer(clips, steps=2, save_every=7, resume=True).step == 1


def test_other_clips_are_not_gone_on_with(clips, make_trainer):
    """As many, in another order: the rest of the epoch would be another one."""
    make_trainer(clips, steps=1).run()
    for file in ('train_shuffled.txt', 'train_img_shuffled.txt'):
        lines = (clips / file).read_text().splitlines()
        (clips / file).write_text('\n'.join(lines[::-1]) + '\n')
    with pytest.raises(TrainingError, match='other settings .list was'):
        make_trainer(clips, steps=2, resume=True)


def test_first_frames_of_one_name_are_told_apart(clips, make_trainer):
    trainer = make_trainer(clips, own_conditions=True)
    before = trainer.samples.of_name('clip_0').condition_mean
    frames = clips / 'first_frames'
    (frames / 'clip_0.png').write_bytes((frames / 'clip_1.png').read_bytes())
    after = trainer.samples.of_name('clip_0').condition_mean
    assert not torch.equal(before, after)
    assert torch.equal(after, trainer.samples.of_name('clip_1').condition_mean)


def test_truncated_checkpoints_are_named(clips, make_trainer):
    last = make_trainer(clips, steps=1).run()
    for file, error, told in (
            ('optimizer.pt', TrainingError, 'optimizer.pt is truncated or damaged .*before it'),
            ('pytorch_lora_weights.safetensors', WorldModelError, 'truncated'),
            ('training.json', TrainingError, 'training.json is damaged')):
        path = last / file
        whole = path.read_bytes()
        path.write_bytes(whole[:len(whole) // 2])
        with pytest.raises(error, match=told):
            make_trainer(clips, steps=2, resume=True)
        path.write_bytes(whole)
    (last / 'optimizer.pt').unlink()
    with pytest.raises(TrainingError, match='lacks optimizer.pt'):
        make_trainer(clips, steps=2, resume=True)


def test_a_loss_that_is_not_finite_stops_before_the_weights_take_it(clips, make_trainer):
    """The clip's values are finite in the file; they overflow on the way."""
    from safetensors.torch import save_file
    for name in CLIPS:
        huge = {'encoded_video': torch.full(SIZES.latent, 3e38), 'image_embedding':
                torch.zeros(SIZES.tokens)}
        save_file(huge, clips / 'video_latents' / f'{name}.safetensors')
    trainer = make_trainer(clips)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    with pytest.raises(TrainingError, match=r"stopped at step 0: the loss of clip 'clip_\d'.* is "
                                            'not finite. The last checkpoint is none'):
        trainer.run()
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.named_parameters())
    assert trainer.checkpoints.steps() == []


def test_a_broken_clip_is_named_and_another_takes_its_place(clips, make_trainer):
    (clips / 'pointmap_latents' / 'clip_3.pt').unlink()
    trainer = make_trainer(clips, steps=4)
    with pytest.warns(UserWarning, match="left out of training: clip 'clip_3' lacks pointmap_lat"):
        trainer.run()
    assert trainer.samples.broken.keys() == {'clip_3'}
    lines = read_log(trainer.paths.out / 'log.jsonl')
    assert lines[-1]['broken_clips'] == 1
    assert 'clip_3' not in {name for line in lines for name in line['clips']}


def test_a_folder_of_broken_clips_is_an_error_and_no_loop(clips, make_trainer):
    for path in (clips / 'arm_masks_npy').iterdir():
        path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with pytest.raises(TrainingError, match='none of the 8 clips in .* can be read, the first'):
            make_trainer(clips).run()


def test_a_full_disk_leaves_the_checkpoint_before(clips, make_trainer, monkeypatch):
    import errno

    from kinema4d_ros.training import trainer as module
    trainer = make_trainer(clips, steps=2, save_every=1)
    write, calls = module.write_released, []

    def full(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(*arguments)

    monkeypatch.setattr(module, 'write_released', full)
    with pytest.raises(TrainingError, match='step 2 cannot be written .*No space left.*step-000001 '
                                            'is the last that is complete. Make room'):
        trainer.run()
    assert trainer.checkpoints.steps() == [1]
    assert [path.name for path in trainer.checkpoints.folder.iterdir()] == ['step-000001']


def test_too_little_memory_says_what_to_change(clips, make_trainer, monkeypatch):
    from kinema4d_ros.training import trainer as module
    from kinema4d_ros.world_model.kinema4d.stack import ModelOutOfMemory
    trainer = make_trainer(clips)

    def exhausted(*arguments):
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(module, 'loss_of', exhausted)
    with pytest.raises(ModelOutOfMemory, match='out of memory while training: .*batch 1 with more'):
        trainer.run()


@pytest.mark.parametrize('kind, stage, name', [('FSDP', 0, 'FSDP'), ('DEEPSPEED', 3, 'ZeRO-3'),
                                               ('DEEPSPEED', 2, ''), ('MULTI_GPU', 0, '')])
def test_where_weights_are_spread_one_process_measures_nothing(kind, stage, name):
    from kinema4d_ros.training.sharding import why_not_measured
    why = why_not_measured(kind, stage)
    assert (why is None) if not name else f'whole model with {name}' in why


def test_deepspeed_needs_a_gpu():
    from kinema4d_ros.training.sharding import why_not_spread
    assert 'launch it on GPUs' in why_not_spread('DEEPSPEED', 'cpu')
    for kind, device in ('DEEPSPEED', 'cuda'), ('FSDP', 'cuda'), ('MULTI_CPU', 'cpu'):
        assert why_not_spread(kind, device) is None


def test_validation_that_would_hang_is_refused_at_once(clips, make_trainer, monkeypatch):
    from kinema4d_ros.training import trainer as module
    measure = module.why_not_measured
    monkeypatch.setattr(module, 'why_not_measured', lambda kind, stage: measure('FSDP'))
    with pytest.raises(TrainingError, match='with FSDP, .*--validate-every 0'):
        make_trainer(clips, validate_every=2)
    trainer = make_trainer(clips, steps=1)
    trainer.run()                                       # without validation it trains
    with pytest.raises(TrainingError, match='with FSDP'):
        trainer.validate()
    (clips / 'val_sel.txt').write_text('')              # none held out: nothing to measure
    assert make_trainer(clips, 'none', steps=1, validate_every=1).run()


def test_old_checkpoints_go(clips, make_trainer):
    trainer = make_trainer(clips, steps=4, save_every=1, keep=2)
    trainer.run()
    assert trainer.checkpoints.steps() == [3, 4]


def test_what_is_encoded_once_stays(clips, make_trainer, tmp_path):
    first = make_trainer(clips, steps=4, own_conditions=True)
    first.run()
    kept = list((tmp_path / 'run' / 'conditions').iterdir())
    assert len(kept) == 8 and first.samples.codec.encodes == 8
    kept[0].write_bytes(b'damaged')
    again = make_trainer(clips, steps=8, own_conditions=True, resume=True)
    with pytest.warns(UserWarning, match='is damaged; it is made anew'):
        again.run()
    assert again.samples.codec.encodes == 1
