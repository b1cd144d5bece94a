# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""4D episodes of recordings: the exact robot, the scene in metres, and how good they are."""
from kinema4d_ros.curation.curate import curate, CurationResult
from kinema4d_ros.curation.depth_backend import DepthBackend
from kinema4d_ros.curation.depth_fit import RobotDepthFit
from kinema4d_ros.curation.one_episode import CurationItem, one_episode
from kinema4d_ros.curation.quality import EpisodeQuality
from kinema4d_ros.curation.record import EpisodeRecord
from kinema4d_ros.curation.settings import CurationSettings

__all__ = [
           'CurationItem',
           'CurationResult',
           'CurationSettings',
           'DepthBackend',
           'EpisodeQuality',
           'EpisodeRecord',
           'RobotDepthFit',
           'curate',
           'one_episode',
]
