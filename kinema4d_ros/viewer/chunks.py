# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last chunks in the 3D scene: the way of the tool, in the colour of what became of them."""
from __future__ import annotations

import collections
import enum
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.types import Status
from kinema4d_ros.viewer.markup import NEUTRAL, STATUS_COLORS

if TYPE_CHECKING:
    import viser


class ChunkState(enum.StrEnum):
    """What became of a chunk."""

    ASKED = 'asked'          # nothing was decided yet
    PASSED = 'passed'        # a gate forwarded it, or where no gate speaks, it has PASS
    REFUSED = 'refused'      # a gate refused or stopped it, or where none speaks, it has no PASS


#: layer -> whose chunks it shows
CHUNK_LAYERS = {f'chunks {state}': state for state in ChunkState}
COLORS = {ChunkState.ASKED: NEUTRAL, ChunkState.PASSED: STATUS_COLORS[Status.PASS],
          ChunkState.REFUSED: STATUS_COLORS[Status.FAIL]}
_KEPT = 8           # of each state
_MOST = 64          # chunks of which something is known, and not their path


@dataclass(eq=False)
class _Chunk:
    path: np.ndarray | None = None       # (T, 3) [m] base frame
    state: ChunkState = ChunkState.ASKED
    by_gate: bool = False
    node: Any = None


class ChunkTrails:
    """Lines of the last chunks, the newest eight of each state; the caller holds a lock."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Begin without a chunk."""
        self._server = server
        self._chunks: collections.OrderedDict[str, _Chunk] = collections.OrderedDict()
        self._visible = dict.fromkeys(CHUNK_LAYERS, True)
        self._number = 0

    def add_path(self, chunk_id: str, path: np.ndarray) -> None:
        """Take where a chunk takes the tool, (T, 3) [m] in the base frame."""
        chunk = self._chunk(chunk_id)
        chunk.path = np.asarray(path, np.float32)
        self._draw(chunk)

    def judge(self, chunk_id: str, status: Status) -> None:
        """Take a verdict, which counts until a gate decides."""
        chunk = self._chunk(chunk_id)
        if not chunk.by_gate:
            chunk.state = ChunkState.PASSED if status is Status.PASS else ChunkState.REFUSED
            self._draw(chunk)

    def decide(self, chunk_id: str, state: ChunkState) -> None:
        """Take what a gate decided."""
        chunk = self._chunk(chunk_id)
        chunk.by_gate, chunk.state = True, state
        self._draw(chunk)

    def count(self, state: ChunkState) -> int:
        """Return how many chunks of a state are drawn."""
        return sum(chunk.node is not None and chunk.state is state
                   for chunk in self._chunks.values())

    def set_visible(self, layer: str, on: bool) -> None:
        """Switch one of CHUNK_LAYERS."""
        self._visible[layer] = on
        for chunk in self._chunks.values():
            if chunk.node is not None and chunk.state is CHUNK_LAYERS[layer]:
                chunk.node.visible = on

    def clear(self) -> None:
        """Forget all, as with another robot."""
        for chunk in self._chunks.values():
            _remove(chunk)
        self._chunks.clear()

    def _chunk(self, chunk_id: str) -> _Chunk:
        chunk = self._chunks.setdefault(chunk_id, _Chunk())
        self._chunks.move_to_end(chunk_id)
        while len(self._chunks) > _MOST:
            _remove(self._chunks.popitem(last=False)[1])
        return chunk

    def _draw(self, chunk: _Chunk) -> None:
        """Draw a chunk in its colour, and no more of those that are too many of its kind."""
        _remove(chunk)
        if chunk.path is None or len(chunk.path) < 2:
            return
        same = [one for one in self._chunks.values()
                if one.state is chunk.state and one.node is not None]
        for old in same[:max(0, len(same) - _KEPT + 1)]:
            _remove(old)
        self._number += 1
        chunk.node = self._server.scene.add_line_segments(
            f'/chunks/{self._number}', np.stack([chunk.path[:-1], chunk.path[1:]], axis=1),
            COLORS[chunk.state], thickness=3.0, thickness_units='screen',
            visible=self._visible[f'chunks {chunk.state}'])


def _remove(chunk: _Chunk) -> None:
    if chunk.node is not None:
        chunk.node.remove()
        chunk.node = None
