# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What training writes about itself: a line of JSON a step, and TensorBoard where asked for."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import TrainingError


class TrainingLog:
    """`log.jsonl` of a run, which a run that goes on continues from its step on."""

    def __init__(self, folder: Path, *, from_step: int = 0, tensorboard: bool = False):
        """
        Open the log.

        :param from_step: lines of this step and later ones, which a run left that was cut off, go.
        :param tensorboard: write events for TensorBoard too.
        :raises TrainingError: TensorBoard is asked for and not installed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / 'log.jsonl'
        kept = [line for line in read_log(self.path) if line['step'] < from_step]
        self.path.write_text(''.join(json.dumps(line) + '\n' for line in kept))
        self._board: Any = None
        if tensorboard:
            try:
                from tensorboardX import SummaryWriter
            except ImportError as error:
                raise TrainingError(
                    f'--tensorboard needs a package that is not installed ({error}); pip install '
                    'tensorboardX, or do without: log.jsonl has the same numbers') from error
            self._board = SummaryWriter(str(folder / 'tensorboard'), purge_step=from_step,
                                        filename_suffix=f'.{from_step}')    # two in one second

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Write the values of a step; numbers go to TensorBoard too."""
        with self.path.open('a') as file:
            file.write(json.dumps({'step': step, **values}) + '\n')
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log that are complete."""
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text().splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue            # a run that was cut off may leave half a line
        if isinstance(value, dict) and 'step' in value:
            lines.append(value)
    return lines
