# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of one recording, and what it was made of."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kinema4d_ros.curation.depth_fit import RobotDepthFit
from kinema4d_ros.curation.quality import EpisodeQuality


@dataclass(frozen=True)
class EpisodeRecord:
    """What became of a recording."""

    name: str
    source: str                       # path of the file
    #: what it depends on: `jobs.lineage_of`, with the hash of the depth model
    lineage: Mapping[str, str] = field(default_factory=dict)
    refused: str = ''                 # why no clip was made; '' where some were
    clips: tuple[str, ...] = ()       # names, of files in episodes/
    success: bool | None = None
    task: str = ''
    robot: str = ''
    kind: str = ''                    # what its recording set out to do
    camera: str = ''
    depth: str = ''                   # 'measured', 'estimated', or '' for none
    quality: EpisodeQuality | None = None
    fit: RobotDepthFit | None = None
    thumbnail: str = ''               # path below the folder

    @property
    def label(self) -> str:
        """How it ended: 'success', 'failure' or 'unknown'."""
        return {True: 'success', False: 'failure', None: 'unknown'}[self.success]

    @property
    def depth_off(self) -> float | None:
        """How far depth is off at the robot [m], estimated or measured; None where not known."""
        if self.fit is not None:
            return self.fit.residual
        return None if self.quality is None else self.quality.depth_offset
