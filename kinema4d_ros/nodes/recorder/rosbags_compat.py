# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a bag that is still written needs of rosbags and rosbags does not offer; nobody else asks.

Written for ROSBAGS_VERSION. A test fails on any other: look whether both functions still fit, then
change the version here.
"""
from __future__ import annotations

from typing import Any

from rosbags.rosbag2 import Writer

ROSBAGS_VERSION = '0.11'


def written_bytes(writer: Writer) -> int:
    """Return the size of an open MCAP file so far, without what waits for its next chunk."""
    return int(_storage(writer).bio.tell())


def flush(writer: Writer) -> None:
    """Bring what is written to an open MCAP file, as a whole chunk that survives a kill."""
    storage = _storage(writer)
    if storage.chunk.msgs:
        storage.close_chunk()
    storage.bio.flush()


def _storage(writer: Writer) -> Any:
    return writer.storage
