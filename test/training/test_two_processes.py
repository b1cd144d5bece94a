# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two processes on gloo give what one gives: they share a sequence, a batch, the weights."""
from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs' / 'train.md'
_SHARED = """
import os, sys
from pathlib import Path
import torch
from torch import distributed
torch.set_num_threads(1)
torch.accelerator.device_count = lambda: 1      # diffusers asks for it before it looks at the CPU
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.training.settings import TrainingPaths, TrainingSettings
from torch.distributed.fsdp import FSDPModule
from kinema4d_ros.training.trainer import Trainer
from kinema4d_ros.world_model.kinema4d.acceleration import accelerate, Acceleration, probe
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.conditioning import ImageCondition
from kinema4d_ros.world_model.kinema4d.config import Guidance
from kinema4d_ros.world_model.kinema4d.pipeline import Pipeline, SamplingSettings
base, weights, clips, out, conditions = sys.argv[1:]
other = os.fork()               # after the imports, which take longer than all that follows
rank = '0' if other else '1'
os.environ |= {'RANK': rank, 'LOCAL_RANK': rank}

def distributed_sum(values):
    tensor = torch.tensor(values)
    distributed.all_reduce(tensor)
    return tensor.tolist()

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

def trainer(steps, resume=False):
    return Trainer(
        TrainingPaths(Path(base), Path(weights), Path(clips), Path(out), Path(conditions)),
        TrainingSettings(steps=steps, batch=1, mixed_precision='no', learning_rate=1e-3,
                         validate_every=0, save_every=100), device='cpu', resume=resume)

first = trainer(2)              # as the launcher asks for FSDP 2, by the environment
assert first.processes == 2 and first.accelerator.distributed_type.value == 'FSDP'
assert all(isinstance(module, FSDPModule) for module in (first.model, *first.model.blocks))
for name, parameter in first.model.named_parameters():
    rows = [0, 0]
    rows[int(rank)] = len(parameter.to_local())
    assert sum(distributed_sum(rows)) == len(parameter) > 0, name     # each has its own rows
    assert max(distributed_sum(rows)) < len(parameter) or len(parameter) == 1, name
first.run()
trainer(3, resume=True).run()
distributed.barrier()
# gloo's own threads may abort a process that ends in the ordinary way
os._exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) if other else 0)
"""


#: what `accelerate launch` sets for FSDP 2 by its defaults
_FSDP = {'ACCELERATE_USE_FSDP': 'true', 'FSDP_VERSION': '2',
         'FSDP_AUTO_WRAP_POLICY': 'TRANSFORMER_BASED_WRAP',
         'FSDP_TRANSFORMER_CLS_TO_WRAP': 'WanTransformerBlock',
         'FSDP_CPU_RAM_EFFICIENT_LOADING': 'true'}


@pytest.fixture(scope='module')
def alone(start, session_clips, conditions, tmp_path_factory):
    """Return the folder of three steps of one process, with the batch of two."""
    from kinema4d_ros.training.settings import TrainingPaths, TrainingSettings
    from kinema4d_ros.training.trainer import Trainer
    out = tmp_path_factory.mktemp('alone')
    Trainer(TrainingPaths(*start, session_clips, out, conditions), TrainingSettings(
        steps=3, batch=2, mixed_precision='no', learning_rate=1e-3, validate_every=3,
        validation_steps=0, save_every=100), device='cpu').run()
    return out


def check_equal(alone, out):
    """Insist on the same weights and losses."""
    from safetensors.torch import load_file

    from kinema4d_ros.training.log import read_log
    for name in ('added_weights', 'pytorch_lora_weights'):
        ours, theirs = (load_file(folder / 'checkpoints/step-000003' / f'{name}.safetensors')
                        for folder in (alone, out))
        assert ours.keys() == theirs.keys()
        assert all(torch.allclose(ours[key], theirs[key], atol=1e-5) for key in ours)
    losses = [[line['loss'] for line in read_log(folder / 'log.jsonl')] for folder in (alone, out)]
    assert torch.allclose(*map(torch.tensor, losses), atol=1e-5)


def free_port():
    """Return a port of loopback that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_two_processes_share_a_sequence_and_with_fsdp_the_weights(start, session_clips, conditions,
                                                                  alone, tmp_path):
    """What FSDP 2 spread and saved is gone on with, and the engine takes it."""
    from kinema4d_ros.world_model import load_world_model
    script, out = tmp_path / 'two.py', tmp_path / 'two'
    script.write_text(_SHARED)
    out.mkdir()
    environment = {**os.environ, **_FSDP, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1',
                   'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port())}
    done = subprocess.run(
        [sys.executable, str(script), *map(str, (*start, session_clips, out, conditions))],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    check_equal(alone, out)
    load_world_model('kinema4d', base=str(start[0]), device='cpu',
                     weights=str(out / 'checkpoints/step-000003')).close()


def test_the_launcher_of_the_page_starts_two_processes(start, session_clips, conditions, alone,
                                                       tmp_path):
    """The very line of docs/train.md, with two processes; on a CPU each takes part by gloo."""
    from kinema4d_ros.training.log import read_log
    line, = re.findall(r'^(accelerate launch .*)$', PAGE.read_text(), re.M)
    words = shlex.split(line.replace('--num_processes 8', '--num_processes 2')
                        .replace('kinema4d train tuned/clips', f'kinema4d train {session_clips}'))
    values = {'--base': start[0], '--weights': start[1], '--out': tmp_path / 'out'}
    for name, value in values.items():
        words[words.index(name) + 1] = str(value)
    words[2:2] = ['--main_process_port', str(free_port())]
    words += ['--device', 'cpu', '--mixed-precision', 'no', '--steps', '3', '--batch', '1',
              '--learning-rate', '1e-3', '--validate-every', '3', '--validation-steps', '0',
              '--conditions', str(conditions)]
    scripts = Path(sys.executable).parent           # where accelerate is, and kinema4d in a venv
    command = tmp_path / 'kinema4d'                 # of this tree, whatever is installed
    command.write_text(f'#!{sys.executable}\nimport sys\nfrom kinema4d_ros.cli.main import main\n'
                       'sys.exit(main())\n')
    command.chmod(0o755)
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1',
             'PATH': os.pathsep.join((str(tmp_path), str(scripts), os.environ['PATH']))})
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'training on 8 clips, 2 processes, from step 0' in done.stdout
    check_equal(alone, tmp_path / 'out')
    assert read_log(tmp_path / 'out' / 'log.jsonl')[-1]['validation_loss'] == pytest.approx(
        read_log(alone / 'log.jsonl')[-1]['validation_loss'], abs=1e-4)
