# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One web page about policies in predicted worlds; it needs nothing else."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

from markupsafe import Markup

import kinema4d_ros
from kinema4d_ros.evaluation.policies.population import left_out_text
from kinema4d_ros.evaluation.policies.runs import PairedRun
from kinema4d_ros.evaluation.policies.summary import ATTEMPTS, filled, judged
from kinema4d_ros.evaluation.report.page import templates

_FOLDER = Path(__file__).parents[1] / 'report' / 'templates'
MOST_PAIRS = 12      # of policies that are compared on the page, the largest differences first


def write_page(path: Path, figures: Mapping[str, Any],
               runs: Mapping[str, Sequence[PairedRun]], title: str = 'Policies, predicted and true'
               ) -> None:
    """
    Write the page.

    :param figures: by world, as `summarize` returns them.
    :param runs: by world, what they are made from; those that disagree are listed.
    """
    worlds = [{'name': name, 'figures': of, 'judged': judged(of),
               'filled': filled(of), 'left_out': left_out_text(of),
               'disagree': [run for run in runs[name] if run.is_decided and not run.agrees],
               'comparisons': sorted(of['comparisons'], key=lambda pair: -abs(
                   pair[1].difference))[:MOST_PAIRS]}
              for name, of in figures.items()]
    page = templates().get_template('policies.html').render(
        title=title, worlds=worlds, attempts=ATTEMPTS, version=kinema4d_ros.__version__,
        now=datetime.now(UTC),
        css=Markup((_FOLDER / 'page.css').read_text(encoding='utf-8')))
    path.write_text(page + '\n', encoding='utf-8')
