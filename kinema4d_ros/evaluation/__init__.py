# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted futures against true ones: metrics, scores per episode, pictures; no ROS."""
from kinema4d_ros.evaluation import pictures
from kinema4d_ros.evaluation.scores import (EpisodeScore, evaluate_episode, goal_met, score_frames,
                                            table)

__all__ = ['EpisodeScore', 'evaluate_episode', 'goal_met', 'pictures', 'score_frames', 'table']
