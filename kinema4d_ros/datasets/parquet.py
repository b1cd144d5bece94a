# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables in Parquet files, of which the rows of one episode are read, a row group at a time."""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kinema4d_ros.datasets.paths import lfs_hint, MOST_BYTES, MOST_ROWS
from kinema4d_ros.errors import DatasetError

_EPISODE = 'episode_index'
_DEEPEST = 4                # structs within structs that are looked into
MOST_VALUES = 1 << 26       # of one row group: half a GB as float64


@dataclass(frozen=True)
class EpisodeTable:
    """The rows of one episode."""

    count: int
    numbers: Mapping[str, np.ndarray]       # (N, k) float64
    #: camera -> contents and path of each image, where images are in the table, both None for none
    images: Mapping[str, list[tuple[bytes | None, str | None]]] = field(default_factory=dict)


def table_rows(path: Path, without: str = '') -> Iterator[Mapping[str, Any]]:
    """
    Yield the rows of a table as dicts.

    :param without: columns whose names begin so are not read; '' reads all.
    :raises DatasetError: the file is damaged, or too large.
    """
    file = _open(path)
    columns = [name for name in _columns(file) if not without or not name.startswith(without)]
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if rows > MOST_ROWS:
            raise DatasetError(f'{path}: {rows} rows in one row group, more than {MOST_ROWS}')
        yield from _group(path, file, group, columns).to_pylist()


def episode_rows(paths: Sequence[Path], episode: int,
                 encoded: Collection[str] = ()) -> EpisodeTable:
    """
    Return the rows of an episode, from the row groups that may hold some.

    Columns that are structs become one for each of their parts, with a dot between the names.

    :param paths: files to look in; all rows of a file without a column `episode_index` are its.
    :param encoded: columns that are images, whether as bytes or as the path of a file.
    :raises DatasetError: a file is damaged, too large, or not as LeRobot writes it.
    """
    import pyarrow.compute as pc

    parts = []
    for path in paths:
        file = _open(path)
        columns = _columns(file)
        for group in range(file.num_row_groups):
            if _is_elsewhere(file, group, episode):
                continue
            table = _group(path, file, group, columns)
            if _EPISODE in table.column_names:
                table = table.filter(pc.equal(table[_EPISODE], episode))
            if table.num_rows:
                parts.append(table)
    count = sum(part.num_rows for part in parts)
    if count > MOST_ROWS:
        raise DatasetError(f'episode {episode} has {count} rows, more than {MOST_ROWS}')
    numbers: dict[str, list[np.ndarray]] = {}
    images: dict[str, list[tuple[bytes | None, str | None]]] = {}
    for part in map(_flat, parts):
        for name in part.column_names:
            column = part[name].combine_chunks()
            if name in encoded or _is_image(column.type):
                images.setdefault(name, []).extend(map(_image, column.to_pylist()))
            else:
                values = _numbers(column)
                if values is not None:
                    numbers.setdefault(name, []).append(values)
    joined = {}
    for name, arrays in numbers.items():
        if len({array.shape[1] for array in arrays}) == 1 and sum(map(len, arrays)) == count:
            joined[name] = np.concatenate(arrays)
    return EpisodeTable(count, joined, images)


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f'{path} is damaged or no Parquet file ({error}); fetch it '
                           f'again{lfs_hint(path)}') from error


def _columns(file: Any) -> list[str]:
    return [field.name for field in file.schema_arrow]


def _group(path: Path, file: Any, group: int, columns: list[str]) -> Any:
    import pyarrow as pa

    meta = file.metadata.row_group(group)
    if meta.total_byte_size > MOST_BYTES:
        raise DatasetError(f'{path}: {meta.total_byte_size} bytes in one row group, more than the '
                           f'{MOST_BYTES} that are unpacked')
    # The size is that of the encoded pages: a number that repeats takes no room there.
    parts = [meta.column(number) for number in range(meta.num_columns)]
    values = max(meta.num_rows * len(columns), sum(
        part.num_values for part in parts
        if any(f'{part.path_in_schema}.'.startswith(f'{name}.') for name in columns)))
    if values > MOST_VALUES:
        raise DatasetError(f'{path}: {values} numbers in one row group, more than the '
                           f'{MOST_VALUES} that are unpacked')
    try:
        return file.read_row_group(group, columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f'{path} is damaged ({error}); fetch it again') from error


def _is_elsewhere(file: Any, group: int, episode: int) -> bool:
    """Whether the statistics of a row group say that it has no row of the episode."""
    meta = file.metadata.row_group(group)
    for number in range(meta.num_columns):
        column = meta.column(number)
        if column.path_in_schema == _EPISODE:
            known = column.statistics
            return bool(known is not None and known.has_min_max
                        and not known.min <= episode <= known.max)
    return False


def _is_image(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_struct(kind) and 'bytes' in {item.name for item in kind}


def _image(item: Any) -> tuple[bytes | None, str | None]:
    """Return contents and path of an image: a struct of both, or one of the two."""
    if isinstance(item, Mapping):
        return item.get('bytes'), item.get('path')
    return (item if isinstance(item, bytes) else None), item if isinstance(item, str) else None


def _flat(table: Any) -> Any:
    """Return a table whose structs, other than images, are columns of their own."""
    import pyarrow as pa

    for _ in range(_DEEPEST):
        nested = [field.name for field in table.schema
                  if pa.types.is_struct(field.type) and not _is_image(field.type)]
        if not nested:
            break
        for name in nested:
            place, column = table.schema.get_field_index(name), table[name].combine_chunks()
            table = table.remove_column(place)
            for part, values in zip(column.type, column.flatten()):
                if (full := f'{name}.{part.name}') not in table.column_names:
                    table = table.append_column(full, values)
    return table


def _numbers(column: Any) -> np.ndarray | None:
    """Return a column of numbers, or of lists of as many numbers, as (N, k) float64."""
    import pyarrow as pa

    kind, width = column.type, 1
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or \
        pa.types.is_fixed_size_list(kind)
    values = column
    while pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or \
            pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
            or pa.types.is_boolean(values.type)):
        return None
    flat = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    if nested:
        if not len(column) or column.null_count or len(flat) % len(column):
            return None
        width = len(flat) // len(column)
        lengths = pa.compute.list_value_length(column).to_numpy(zero_copy_only=False)
        if len(set(lengths.tolist())) != 1:      # ragged
            return None
    return flat.reshape(len(column), width)
