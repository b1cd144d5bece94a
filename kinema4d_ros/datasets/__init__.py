# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets of others, checked and made into episodes; nothing that they say is believed."""
from kinema4d_ros.datasets.check import ImportCheck
from kinema4d_ros.datasets.episode_file import EpisodeSettings, write_episode, WrittenEpisode
from kinema4d_ros.datasets.importer import import_set, ImportSettings, mesh_folders
from kinema4d_ros.datasets.motion import MotionSettings, read_motion, SourceMotion
from kinema4d_ros.datasets.preset import presets, RobotPreset
from kinema4d_ros.datasets.report import ImportedEpisode, ImportReport
from kinema4d_ros.datasets.source import DatasetSource, FrameStream, SourceCamera, SourceEpisode
from kinema4d_ros.datasets.sources import open_source
from kinema4d_ros.datasets.timing import frame_timing, FrameTiming
from kinema4d_ros.datasets.views import KnownCamera, load_extrinsics

__all__ = [
    'DatasetSource', 'EpisodeSettings', 'FrameStream', 'FrameTiming', 'ImportCheck',
    'ImportReport', 'ImportSettings', 'ImportedEpisode', 'KnownCamera', 'MotionSettings',
    'RobotPreset', 'SourceCamera', 'SourceEpisode', 'SourceMotion', 'WrittenEpisode',
    'frame_timing', 'import_set', 'load_extrinsics', 'mesh_folders', 'open_source',
    'presets', 'read_motion', 'write_episode',
]
