# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two processes on gloo give what one gives: they share a sequence, and a batch."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
_SHARED = """
import os, sys
from pathlib import Path
import torch
from torch import distributed
torch.set_num_threads(1)
torch.accelerator.device_count = lambda: 1      # diffusers asks for it before it looks at the CPU
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.training.settings import TrainingPaths, TrainingSettings
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from kinema4d_ros.training.trainer import Trainer, whole
from kinema4d_ros.world_model.kinema4d.acceleration import accelerate, Acceleration, probe
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.conditioning import ImageCondition
from kinema4d_ros.world_model.kinema4d.config import Guidance
from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline, SamplingSettings
base, weights, clips, out, conditions, rank = sys.argv[1:]
checkpoint = Checkpoint(base, weights)
model, single = (checkpoint.load_transformer('cpu', torch.float32) for _ in range(2))
alone = probe(model, 'cpu', torch.float32)
distributed.init_process_group('gloo', init_method=f'file://{out}/store', world_size=2,
                               rank=int(rank))

seen = accelerate(model, Acceleration(context_parallel=2), 'cpu', torch.float32)
assert seen == ['context_parallel=2: active on 2 of 2 self-attentions',
                'attention_backend=native: active on 6 of 6 attention calls'], seen
assert torch.allclose(probe(model, 'cpu', torch.float32), alone, atol=1e-5)
generator = torch.Generator().manual_seed(5)
size = checkpoint.config.geometry
image = ImageCondition(torch.randn(1, 20, *size.joint_latent, generator=generator),
                       torch.randn(1, checkpoint.config.image_tokens, 32, generator=generator))
arms = torch.randn(2, 20, *size.joint_latent[:2], size.latent_width, generator=generator)

def sample(network):        # two candidates, two steps
    pipeline = Pipeline(network, checkpoint.make_scheduler(), 'cpu', torch.float32)
    return pipeline.sample(image, arms, SamplingSettings(2, Guidance.SINGLE_PASS, 5.0),
                           [torch.Generator().manual_seed(seed) for seed in (0, 1)])

assert torch.allclose(sample(model), sample(single), atol=1e-4)
try:
    accelerate(single, Acceleration(context_parallel=2, parallel_kind='ring'), 'cpu', torch.float32)
except WorldModelError as error:        # the kernel of the CPU has no log-sum-exp
    assert 'attention_backend=native (with the other options) cannot be used here' in str(error)
else:
    raise AssertionError('ring attention ran on a kernel that cannot')

mesh = init_device_mesh('cpu', (2,))
layer = torch.nn.Linear(3, 4, bias=False)       # as FSDP 2 spreads it: two rows a process
distributed.broadcast(layer.weight.data, 0)
given = layer.weight.detach().clone()
fully_shard(layer, mesh=mesh)
assert layer.weight.to_local().shape == (2, 3)
assert torch.equal(whole(layer.weight, 'FSDP'), given)

trainer = Trainer(
    TrainingPaths(Path(base), Path(weights), Path(clips), Path(out), Path(conditions)),
    TrainingSettings(steps=3, batch=1, mixed_precision='no', learning_rate=1e-3, validate_every=3,
                     validation_steps=0, save_every=100), device='cpu')
assert trainer.processes == 2
trainer.run()
distributed.barrier()
os._exit(0)             # gloo's own threads may abort a process that ends in the ordinary way
"""


def test_two_processes_give_what_one_gives(start, session_clips, conditions, make_trainer,
                                           tmp_path):
    from safetensors.torch import load_file

    from kinema4d_ros.training.log import read_log
    one = make_trainer(session_clips, steps=3, batch=2, validate_every=3, validation_steps=0)
    alone = one.run()
    script, out = tmp_path / 'two.py', tmp_path / 'two'
    script.write_text(_SHARED)
    out.mkdir()
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1',
                   'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '29511'}
    both = [subprocess.Popen(
        [sys.executable, str(script), *map(str, (*start, session_clips, out, conditions)), rank],
        cwd=ROOT, env={**environment, 'RANK': rank, 'LOCAL_RANK': rank}, stderr=subprocess.PIPE,
        text=True) for rank in '01']
    told = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told[0][-2000:] + told[1][-2000:]
    for name in ('added_weights', 'pytorch_lora_weights'):
        ours, theirs = (load_file(folder / f'{name}.safetensors') for folder in (
            alone, out / 'checkpoints' / 'step-000003'))
        assert all(torch.allclose(ours[key], theirs[key], atol=1e-5) for key in ours)
    losses = [[line['loss'] for line in read_log(folder / 'log.jsonl')]
              for folder in (one.paths.out, out)]
    assert torch.allclose(*map(torch.tensor, losses), atol=1e-5)
    assert 'validation_loss' in read_log(out / 'log.jsonl')[-1]
