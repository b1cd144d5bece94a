# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One web page about predicted episodes: verdicts, pictures, distances, metrics; no ROS."""
from kinema4d_ros.evaluation.report.content import EpisodeReport, Figures, EpisodePictures
from kinema4d_ros.evaluation.report.page import write_report

__all__ = ['EpisodePictures', 'EpisodeReport', 'Figures', 'write_report']
