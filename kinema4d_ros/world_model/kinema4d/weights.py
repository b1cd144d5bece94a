# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weight files: what is in them without loading them, and one tensor at a time from them."""
from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model.kinema4d.config import listed, read_json

if TYPE_CHECKING:
    import torch

_BYTES = {'F64': 8, 'F32': 4, 'F16': 2, 'BF16': 2, 'F8_E4M3': 1, 'F8_E5M2': 1, 'I64': 8, 'I32': 4,
          'I16': 2, 'I8': 1, 'U8': 1, 'BOOL': 1}
_TORCH_SUFFIXES = ('.pt', '.pth', '.bin')
_SAMPLE = 1 << 20      # bytes


class WeightFiles:
    """
    The tensors of one or more files, by name.

    Reads only headers when opened. safetensors holds nothing but tensors; torch files are read
    with `weights_only`, so that a checkpoint can never run code.
    """

    def __init__(self, paths: list[Path]):
        """
        Make a reader of these files; their headers are read.

        :raises WorldModelError: for a truncated or foreign file, or a key in two files.
        """
        self.paths = tuple(paths)
        self._file_of: dict[str, Path] = {}
        self._loaded: dict[Path, Mapping[str, torch.Tensor]] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        self.bytes = 0
        self.metadata: dict[str, str] = {}
        for path in paths:
            header, metadata, size = self._header(path)
            self.bytes += size
            self.metadata.update(metadata)
            if twice := sorted(set(header) & set(shapes)):
                raise WorldModelError(
                    f'{path.name} repeats keys of another file: {listed(twice)}')
            shapes.update(header)
            self._file_of.update(dict.fromkeys(header, path))
        self.shapes: Mapping[str, tuple[int, ...]] = MappingProxyType(shapes)

    @classmethod
    def find(cls, directory: Path, stem: str) -> WeightFiles:
        """
        Open `stem` in a directory: safetensors or torch, one file or an index of several.

        :raises WorldModelError: naming what was looked for and what is there.
        """
        for suffix in ('.safetensors', *_TORCH_SUFFIXES):
            single = directory / f'{stem}{suffix}'
            if single.is_file():
                return cls([single])
            index = directory / f'{stem}{suffix}.index.json'
            if index.is_file():
                names = sorted(set(read_json(index).get('weight_map', {}).values()))
                if absent := [name for name in names if not (directory / name).is_file()]:
                    raise WorldModelError(
                        f'{directory} lacks {listed(absent)}, which {index.name} names; the '
                        'download is incomplete')
                return cls([directory / name for name in names])
        there = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else None
        raise WorldModelError(
            f'no {stem}.safetensors in {directory}'
            + ('; the directory does not exist' if there is None else f'; found {listed(there)}'))

    def read(self, name: str, device: str = 'cpu') -> torch.Tensor:
        """Load one tensor to a device, in the dtype of the file."""
        path = self._file_of[name]
        if path.suffix in _TORCH_SUFFIXES:
            return self._loaded[path][name].to(device)
        from safetensors import safe_open
        with safe_open(path, 'pt', device=device) as file:
            return file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, file by file."""
        return iter(self._file_of)

    def _header(self, path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str], int]:
        """Return shapes, metadata and payload size [bytes] of one file."""
        if path.suffix in _TORCH_SUFFIXES:
            return self._torch_header(path)
        size = path.stat().st_size
        with path.open('rb') as file:
            start = file.read(8)
            length = struct.unpack('<Q', start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(size, 1 << 28):
                raise WorldModelError(f'{path} is not a safetensors file, or is truncated')
            try:
                header = json.loads(file.read(length))
                metadata = header.pop('__metadata__', {})
                entries = {key: (tuple(value['shape']), value['data_offsets'][1],
                                 _BYTES.get(value['dtype']))
                           for key, value in header.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise WorldModelError(
                    f'{path} is not a safetensors file, or is truncated: {error}') from error
        end = max((stop for _, stop, _ in entries.values()), default=0)
        if size != 8 + length + end:
            raise WorldModelError(
                f'{path} is truncated or damaged: it has {size} bytes, its header announces '
                f'{8 + length + end}; download it again')
        return {key: shape for key, (shape, _, _) in entries.items()}, metadata, end

    def _torch_header(self, path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str], int]:
        """Load a torch file of tensors (memory-mapped) and return its shapes."""
        import torch
        try:
            state = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
            shapes = {key: tuple(value.shape) for key, value in state.items()}
        except (RuntimeError, OSError, EOFError, ValueError, AttributeError,
                pickle.UnpicklingError) as error:
            raise WorldModelError(
                f'{path} is not a torch file of tensors, or is truncated: '
                f'{str(error).splitlines()[0]}') from error
        self._loaded[path] = state
        return shapes, {}, sum(value.nbytes for value in state.values())


def hash_file(add: Callable[[bytes], None], path: Path, *, sample: bool = False) -> None:
    """
    Add the content of a file to a hash.

    :param add: the hash's `update`.
    :param sample: the first and the last MiB only; tens of gigabytes take minutes to read.
    """
    with path.open('rb') as file:
        if not sample:
            while part := file.read(_SAMPLE):
                add(part)
            return
        add(file.read(_SAMPLE))
        file.seek(-min(_SAMPLE, path.stat().st_size), 2)
        add(file.read())


def account(what: str, found: Mapping[str, tuple[int, ...]],
            expected: Mapping[str, tuple[int, ...]]) -> None:
    """
    Check that exactly the expected keys with the expected shapes are there.

    :raises WorldModelError: listing missing keys, keys left over, and wrong shapes.
    """
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    wrong = [f'{key} is {found[key]}, expected {expected[key]}' for key in sorted(found)
             if key in expected and tuple(found[key]) != tuple(expected[key])]
    parts = [f'{len(names)} {label}: {listed(names)}' for label, names in (
        ('missing', missing), ('left over', extra), ('of the wrong shape', wrong)) if names]
    if parts:
        raise WorldModelError(f'{what} does not match the model: {"; ".join(parts)}')
