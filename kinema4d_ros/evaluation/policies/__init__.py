# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies in a predicted world against the true one: statistics as the field reports them."""
from kinema4d_ros.evaluation.policies.outcomes import (agreement, baseline_by_policy, brier,
                                                       calibration, near_misses, predicted_rate,
                                                       success_bias, trivial_baseline, true_rate)
from kinema4d_ros.evaluation.policies.page import write_page
from kinema4d_ros.evaluation.policies.paired import compare, mcnemar_exact, pass_hat_k
from kinema4d_ros.evaluation.policies.ranking import bootstrap, Estimate, mmrv, pearson, ranking
from kinema4d_ros.evaluation.policies.runs import pair, PairedRun, PairedRuns
from kinema4d_ros.evaluation.policies.summary import as_json, judged, markdown, summarize

__all__ = ['Estimate', 'PairedRun', 'PairedRuns', 'agreement', 'as_json', 'baseline_by_policy',
           'bootstrap', 'brier', 'calibration', 'compare', 'judged', 'markdown', 'mcnemar_exact',
           'mmrv', 'near_misses', 'pair', 'pass_hat_k', 'pearson', 'predicted_rate', 'ranking',
           'success_bias', 'summarize', 'trivial_baseline', 'true_rate', 'write_page']
