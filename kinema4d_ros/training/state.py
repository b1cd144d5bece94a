# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run: the released files, and what it takes to go on as if nothing had been."""
from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import TrainingError
from kinema4d_ros.world_model.kinema4d.weights import WeightFiles

STATE, OPTIMISER = 'training.json', 'optimizer.pt'
WEIGHTS = ('added_weights', 'pytorch_lora_weights')
_NAME = re.compile(r'step-(\d{6,})')


class Checkpoints:
    """
    The folders `step-000400` of a run, each complete or not there.

    Each is a folder of weights for the engine and the official loader, with two files more:
    `training.json`, which says how far it is and of which run, and the state of the optimiser.
    """

    def __init__(self, folder: Path, keep: int):
        """
        Look after a folder; it need not exist.

        :param keep: how many of the latest stay.
        """
        self.folder, self._keep = folder, keep

    def steps(self) -> list[int]:
        """Return the steps of the complete checkpoints, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(found.group(1)) for path in self.folder.iterdir()
                      if (found := _NAME.fullmatch(path.name)) and (path / STATE).is_file())

    def path(self, step: int) -> Path:
        """Return the folder of a step."""
        return self.folder / f'step-{step:06d}'

    def latest(self) -> Path | None:
        """Return the last complete checkpoint, None where there is none."""
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def write(self, step: int, identity: Mapping[str, Any],
              write_parts: Callable[[Path], None]) -> Path:
        """
        Write a checkpoint, and remove those that are no longer kept.

        :param write_parts: writes weights and optimiser to the folder that it is given.
        :raises TrainingError: the disk is full, or cannot be written to; the checkpoint before
            stays.
        """
        final = self.path(step)
        partial = self.folder / f'.{final.name}.partial'
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            write_parts(partial)
            (partial / STATE).write_text(
                json.dumps({'step': step, 'identity': dict(identity)}, indent=2) + '\n')
            if final.exists():
                shutil.rmtree(final)
            os.replace(partial, final)
        except Exception as error:
            shutil.rmtree(partial, ignore_errors=True)
            if not is_of_disk(error):
                raise
            newest = self.latest()
            raise TrainingError(
                f'the checkpoint of step {step} cannot be written to {self.folder} ({error}); '
                + (f'{newest.name} is the last that is complete' if newest else
                   'there is none yet') + '. Make room, and start the same command again with '
                '--resume') from error
        for old in self.steps()[:-self._keep]:
            shutil.rmtree(self.path(old), ignore_errors=True)
        return final

    def read_state(self, path: Path, identity: Mapping[str, Any]) -> int:
        """
        Return the step of a checkpoint.

        :raises TrainingError: a file is missing or damaged, or it is of a run with other settings.
        """
        if absent := [name for name in (STATE, OPTIMISER) if not (path / name).exists()]:
            raise TrainingError(f'{path} lacks {", ".join(absent)}, so that training cannot go on '
                                'from it; name it as --weights to begin a new run with its weights')
        try:
            state = json.loads((path / STATE).read_text())
            step, saved = int(state['step']), dict(state['identity'])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f'{path / STATE} is damaged: {error!r}') from error
        wanted = json.loads(json.dumps(dict(identity)))
        if other := {key: (saved.get(key), wanted.get(key)) for key in {*saved, *wanted}
                     if saved.get(key) != wanted.get(key)}:
            told = ', '.join(f'{key} was {was!r}, is {now!r}'
                             for key, (was, now) in sorted(other.items()))
            raise TrainingError(
                f'{path} is of a run with other settings ({told}): going on would be neither run. '
                'Take the same settings, or begin a new one with it as --weights')
        for stem in WEIGHTS:
            WeightFiles.find(path, stem)
        return step


def read_optimiser(path: Path) -> dict[str, Any]:
    """
    Read the state of an optimiser; nothing but tensors and numbers is accepted.

    :raises TrainingError: the file is truncated or foreign.
    """
    import torch
    try:
        state: dict[str, Any] = torch.load(path / OPTIMISER, map_location='cpu', weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f'{path / OPTIMISER} is truncated or damaged ({str(error).splitlines()[0]}); remove '
            f'{path} to go on from the checkpoint before it') from error
    return state


def is_of_disk(error: Exception) -> bool:
    """Return whether an error says that a disk is full or cannot be written to."""
    told = str(error)
    return isinstance(error, OSError) or any(word in told for word in (
        'No space left', 'unexpected pos', 'failed writing', 'I/O error', 'os error'))
