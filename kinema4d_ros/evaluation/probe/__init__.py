# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a world model shows the actions that it is asked about: `probe_model`."""
from kinema4d_ros.evaluation.probe.actions import ACTIONS, action_variants
from kinema4d_ros.evaluation.probe.episode import EpisodeProbe, probe_episode
from kinema4d_ros.evaluation.probe.report import probe_model, ProbeReport, summarize_probes

__all__ = ['ACTIONS', 'EpisodeProbe', 'ProbeReport', 'action_variants', 'probe_episode',
           'probe_model', 'summarize_probes']
