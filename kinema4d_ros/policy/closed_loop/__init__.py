# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whole tasks: a policy acts in a predicted or simulated world until the task is over."""
from kinema4d_ros.policy.closed_loop.record import RolloutRecord, RunEnd
from kinema4d_ros.policy.closed_loop.run import run_task, RunLimits, TaskRun
from kinema4d_ros.policy.closed_loop.world import PredictedWorld

__all__ = ['PredictedWorld', 'RolloutRecord', 'RunEnd', 'RunLimits', 'TaskRun',
           'run_task']
