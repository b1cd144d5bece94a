# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of one recording, and what it was made of; a line of the log."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kinema4d_ros import __version__
from kinema4d_ros.curation.depth_fit import DepthFit
from kinema4d_ros.curation.quality import EpisodeQuality
from kinema4d_ros.curation.settings import CurationSettings, FORMAT

_DIGITS = 16      # of a hash that are kept


@dataclass(frozen=True)
class SourceState:
    """A file as it was; the hash is taken anew only where size or time are others."""

    sha256: str
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path, known: SourceState | None = None) -> SourceState:
        """
        Return the state of a file.

        :param known: of the same file earlier, whose hash is taken where nothing has changed.
        :raises OSError: it cannot be read.
        """
        state = path.stat()
        if known is not None and (known.size, known.changed_ns) == (
                state.st_size, state.st_mtime_ns):
            return known
        with path.open('rb') as file:
            digest = hashlib.file_digest(file, 'sha256').hexdigest()
        return cls(digest[:_DIGITS], state.st_size, state.st_mtime_ns)


@dataclass(frozen=True)
class Lineage:
    """What a 4D episode depends on; two of one lineage are the same."""

    source_sha256: str
    package: str           # version of this package
    layout: int            # version of what is written
    settings: str          # hash of the settings
    depth_model: str = ''  # hash of its weights; '' without one

    @classmethod
    def now(cls, source: SourceState, settings: CurationSettings, depth_model: str) -> Lineage:
        """Return the lineage of what would be made now."""
        return cls(source.sha256, __version__, FORMAT, settings.fingerprint, depth_model)


@dataclass(frozen=True)
class EpisodeRecord:
    """What became of a recording."""

    name: str
    source: str                       # path of the file
    state: SourceState
    lineage: Lineage
    refused: str = ''                 # why no clip was made; '' where some were
    clips: tuple[str, ...] = ()       # names, of files in episodes/
    success: bool | None = None
    task: str = ''
    robot: str = ''
    kind: str = ''                    # what its recording set out to do
    camera: str = ''
    depth: str = ''                   # 'measured', 'estimated', or '' for none
    quality: EpisodeQuality | None = None
    fit: DepthFit | None = None
    thumbnail: str = ''               # path below the folder
    seconds: float = 0.0              # of one core
    unwritable: str = ''              # the folder cannot be written to: nothing more can be made
