# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded episodes: one MCAP file of standard ROS 2 messages each, read and written here."""
from kinema4d_ros.episodes.cameras import EpisodeCamera, EpisodeFrame, EpisodeFrames
from kinema4d_ros.episodes.episode import Episode
from kinema4d_ros.episodes.metadata import EpisodeMetadata, ObjectBox
from kinema4d_ros.episodes.rendered import RenderedFrames, RenderedRobot
from kinema4d_ros.episodes.storage import find_episode
from kinema4d_ros.episodes.topics import CameraTopics, Topic
from kinema4d_ros.episodes.truth import EpisodeTruth, TrueClearance
from kinema4d_ros.episodes.writer import EpisodeWriter

__all__ = ['CameraTopics', 'Episode', 'EpisodeCamera', 'EpisodeFrame', 'EpisodeFrames',
           'EpisodeMetadata', 'EpisodeTruth', 'EpisodeWriter', 'ObjectBox', 'RenderedFrames',
           'RenderedRobot', 'Topic', 'TrueClearance', 'find_episode']
