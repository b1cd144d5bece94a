# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop: forward, backward, step; saved, watched, stopped, and gone on with to the bit."""
from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from kinema4d_ros.datasets.robo4d import Robo4D, VALIDATION_LIST
from kinema4d_ros.errors import TrainingError
from kinema4d_ros.training.encoding import sizes_of
from kinema4d_ros.training.estimate import ADVICE
from kinema4d_ros.training.log import TrainingLog
from kinema4d_ros.training.network import learning, load_for_training, read_released, write_released
from kinema4d_ros.training.objective import draw, loss_of
from kinema4d_ros.training.samples import ConditionCache, Samples
from kinema4d_ros.training.settings import TrainingPaths, TrainingSettings
from kinema4d_ros.training.sharding import (make_accelerator, optimiser_state,
                                            put_optimiser_state, whole, why_not_measured)
from kinema4d_ros.training.state import Checkpoints, OPTIMISER, read_optimiser
from kinema4d_ros.training.validation import Validation
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint
from kinema4d_ros.world_model.kinema4d.stack import memory_guard

StepReport = Callable[[int, dict[str, Any]], None]
"""``told(step, values)``: called by the leading process after each optimiser step."""


class Trainer:
    """
    One process of a training run.

    Several start it alike, by `accelerate launch` or `torchrun`. Order of the clips and all chance
    follow from seed and step, so the state of a run is its weights, its optimiser and its step.
    """

    def __init__(self, paths: TrainingPaths, settings: TrainingSettings, *, device: str = 'auto',
                 resume: bool = False, tensorboard: bool = False):
        """
        Load everything.

        :param device: auto or cpu; which GPU a process has is the launcher's business.
        :param resume: go on from the last checkpoint below `paths.out`, where there is one.
        :raises TrainingError: settings, clips or checkpoint do not fit, `paths.out` has a run
            already that is not to be resumed, or validation is asked for where it cannot be.
        """
        settings.check()
        self.settings, self.paths = settings, paths
        self.accelerator = make_accelerator(device, settings.mixed_precision,
                                            settings.accumulation)
        self.checkpoint = Checkpoint(paths.base, paths.weights)
        self.checkpoints = Checkpoints(paths.out / 'checkpoints', settings.keep)
        there = self.checkpoints.latest()
        if there is not None and not resume:
            raise TrainingError(f'{paths.out} has a run already ({there.name}); give --resume to '
                                'go on with it, or another --out')
        # A launcher's process on a CPU has the device cpu:0, which safetensors does not know.
        on_cpu = self.accelerator.device.type == 'cpu'
        where = 'cpu' if on_cpu else str(self.accelerator.device)
        config, self._where = self.checkpoint.config, where
        conditions = ConditionCache(paths.conditions or paths.out / 'conditions',
                                    self.checkpoint, where)
        clips = Robo4D(paths.clips, sizes_of(self.checkpoint))
        if settings.validate_every and held_out_clips(clips) and (why := self.why_not_validated()):
            raise TrainingError(f'{why}; train with --validate-every 0, and measure checkpoints '
                                'with kinema4d engine')
        self.samples = Samples(clips, config, conditions, settings.seed)
        self.dtype = torch.bfloat16 if settings.mixed_precision == 'bf16' else torch.float32
        model = load_for_training(self.checkpoint, where, self.dtype)
        if settings.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        self.step = 0
        if there is not None:
            self.step = self.checkpoints.read_state(there, self._identity())
            read_released(there, model)
        optimiser = torch.optim.AdamW(
            list(learning(model).values()), lr=settings.learning_rate, betas=settings.betas,
            eps=1e-8, weight_decay=settings.weight_decay)
        plugin = getattr(self.accelerator.state, 'deepspeed_plugin', None)
        if plugin is not None:      # it would take it from a data loader, which there is none of
            plugin.deepspeed_config['train_micro_batch_size_per_gpu'] = settings.batch
            plugin.deepspeed_config['gradient_clipping'] = settings.clip_norm
        with memory_guard('preparing for training', ADVICE):
            self.model, self.optimiser = self.accelerator.prepare(model, optimiser)
        if there is not None:
            self._load_optimiser(there)
        self._asked = self._stop = False
        self.validation = self._validation(clips)
        self.log = (TrainingLog(paths.out, from_step=self.step, tensorboard=tensorboard)
                    if self.accelerator.is_main_process else None)

    @property
    def _kind(self) -> str:
        """How accelerate spreads the work: NO, MULTI_GPU, MULTI_CPU, DEEPSPEED, FSDP."""
        return str(self.accelerator.distributed_type.value)

    @property
    def processes(self) -> int:
        """How many there are."""
        return int(self.accelerator.num_processes)

    def run(self, told: StepReport = lambda step, values: None) -> Path:
        """
        Train to the last step; return the last checkpoint.

        Ctrl-C ends the step that runs, saves and raises KeyboardInterrupt; a second one ends it
        at once.

        :raises TrainingError: the loss is not finite, or a checkpoint cannot be written.
        """
        saved = self.step
        with self._interruptible(), memory_guard('training', ADVICE):
            while self.step < self.settings.steps and not self._stop:
                values = self._one_step()
                self.step += 1
                every = self.settings.validate_every
                if every and self.step % every == 0:
                    values |= self.validate()
                if self.log is not None:
                    self.log.add(self.step - 1, values)
                    told(self.step, values)
                if self.step % self.settings.save_every == 0:
                    self.save()
                    saved = self.step
            if saved != self.step:
                self.save()
        if self.log is not None:
            self.log.close()
        if self._stop and self.step < self.settings.steps:
            raise KeyboardInterrupt
        last = self.checkpoints.latest()
        assert last is not None
        return last

    def why_not_validated(self) -> str | None:
        """Return why held-out clips cannot be measured, None where they can."""
        plugin = getattr(self.accelerator.state, 'deepspeed_plugin', None)
        return why_not_measured(self._kind, 0 if plugin is None else int(plugin.zero_stage))

    def validate(self) -> dict[str, Any]:
        """
        Return what is measured on held-out clips; {} without any.

        The leading process measures all of them, the others wait for it and get {}.

        :raises TrainingError: no process has the whole model.
        """
        if self.validation is not None and (why := self.why_not_validated()) is not None:
            raise TrainingError(why)
        if self.validation is None or not self.accelerator.is_main_process:
            self.accelerator.wait_for_everyone()
            return {}
        model = self.accelerator.unwrap_model(self.model)
        model.eval()
        try:
            found = self.validation.measure(model, self.dtype, self._autocast)
        finally:
            model.train()
        self.accelerator.wait_for_everyone()
        return found

    def save(self) -> Path:
        """Write a checkpoint: all processes gather, the leading one writes what all share."""
        model = self.accelerator.unwrap_model(self.model)
        state = {name: whole(value, self._kind) for name, value in learning(model).items()}
        sharded, of_optimiser = self.paths.out / 'sharded', None
        if self._kind == 'DEEPSPEED':       # each process writes its part of the optimiser
            self.accelerator.save_state(str(sharded), exclude_frozen_parameters=True)
            self.accelerator.wait_for_everyone()
        else:
            of_optimiser = optimiser_state(self._kind, self.optimiser, self.model)
        if self.accelerator.is_main_process:
            def parts(folder: Path) -> None:
                write_released(folder, state, self.paths.weights)
                if of_optimiser is None:
                    sharded.rename(folder / OPTIMISER)
                else:
                    torch.save(of_optimiser, folder / OPTIMISER)

            self.checkpoints.write(self.step, self._identity(), parts)
        self.accelerator.wait_for_everyone()
        return self.checkpoints.path(self.step)

    def _one_step(self) -> dict[str, Any]:
        """Do one optimiser step; return loss, rate, norm of the gradient, seconds and clips."""
        started, settings = time.perf_counter(), self.settings
        rate = settings.rate(self.step, self.processes)
        for group in self.optimiser.param_groups:
            group['lr'] = rate
        total, names, norm = torch.zeros(()), [], torch.zeros(())
        for part in range(settings.accumulation):
            numbers = self._numbers(part)
            chosen = [self.samples.get(number) for number in numbers]
            names += [sample.name for sample in chosen]
            inputs = draw(chosen, numbers, self.checkpoint.config, settings)
            with self.accelerator.accumulate(self.model):
                with self._autocast():
                    each = loss_of(self.model, inputs.to(self._where), self.dtype)
                self._check(each, chosen)
                self.accelerator.backward(each.mean())
                total = total + each.detach().mean().cpu() / settings.accumulation
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(
                        list(learning(self.model).values()), settings.clip_norm)
                self.optimiser.step()
                self.optimiser.zero_grad()
        summed = self._summed([float(total), float(self._asked)])
        self._stop = summed[1] > 0       # all of them, at the same step
        return {'loss': summed[0] / self.processes, 'learning_rate': rate,
                'gradient_norm': float(norm) if norm is not None else None,
                'seconds': time.perf_counter() - started, 'clips': names,
                'broken_clips': len(self.samples.broken)}

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        """Compute in bfloat16 what is safe in it."""
        return torch.autocast(self.accelerator.device.type, torch.bfloat16,
                              enabled=self.settings.mixed_precision == 'bf16')

    def _numbers(self, part: int) -> list[int]:
        """Return the sample numbers of one forward pass of this process."""
        size = self.settings.batch
        forward = (self.step * self.settings.accumulation + part) * self.processes
        first = (forward + self.accelerator.process_index) * size
        return list(range(first, first + size))

    def _check(self, each: torch.Tensor, chosen: list[Any]) -> None:
        """Stop all processes where the loss of one is not finite, before the weights take it."""
        bad = [sample.name for sample, value in zip(chosen, each.detach().tolist())
               if not math.isfinite(value)]
        if self._summed([float(bool(bad))])[0]:
            last = self.checkpoints.latest()
            where = (f'the loss of clip {", ".join(map(repr, bad))} is not finite' if bad else
                     'the loss of a clip of another process is not finite')
            raise TrainingError(
                f'stopped at step {self.step}: {where}. The last checkpoint is '
                f'{last.name if last else "none"}; look at the clip, or go on from there with a '
                'smaller --learning-rate as a new run')

    def _summed(self, values: list[float]) -> list[float]:
        """Return numbers summed over all processes."""
        if self.processes == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        found: list[float] = self.accelerator.reduce(tensor, 'sum').tolist()
        return found

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to be gone on with."""
        return {**self.settings.identity(), 'processes': self.processes,
                'clips': len(self.samples), 'list': self.samples.fingerprint,
                'start': self.checkpoint.fingerprint}

    def _load_optimiser(self, folder: Path) -> None:
        """Put the optimiser where it was."""
        if (folder / OPTIMISER).is_dir():
            self.accelerator.load_state(str(folder / OPTIMISER), load_module_strict=False)
            return
        try:
            put_optimiser_state(self._kind, self.optimiser, self.model, read_optimiser(folder))
        except (ValueError, KeyError) as error:
            raise TrainingError(f'{folder / OPTIMISER} is not of this model: {error}') from error

    def _validation(self, clips: Robo4D) -> Validation | None:
        """Return the measurements on the held-out clips, None where there are none."""
        if not held_out_clips(clips):
            return None
        held_out = Robo4D(clips.root, clips.sizes, video_list=VALIDATION_LIST)
        return Validation(held_out.names[:self.settings.validation_clips], self.samples,
                          self.checkpoint, self.settings, self._where)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the step that runs first."""
        def stop(number: int, frame: object) -> None:
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True       # `_stop` once all processes know

        try:
            before = {number: signal.signal(number, stop)
                      for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:       # not in the main thread: whoever runs it has signals of its own
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def held_out_clips(clips: Robo4D) -> bool:
    """Return whether a folder names clips for validation."""
    path = clips.root / VALIDATION_LIST
    return path.is_file() and bool(path.read_text().strip())
