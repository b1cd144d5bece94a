#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write docs/parameters.md from the parameter tables of the nodes; a test compares the two."""
from __future__ import annotations

import importlib
import sys
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / 'docs' / 'parameters.md'
#: node -> module that holds its TABLE
TABLES = {
    'shadow_sim': 'kinema4d_ros.nodes.shadow_sim.parameters',
    'trajectory_gate': 'kinema4d_ros.nodes.trajectory_gate.parameters',
    'set_point_gate': 'kinema4d_ros.nodes.set_point_gate.parameters',
    'policy_proxy': 'kinema4d_ros.nodes.chunks.policy_proxy',
    'action_chunk_proxy': 'kinema4d_ros.nodes.chunks.action_chunk_proxy',
    'episode_player': 'kinema4d_ros.nodes.episode_player',
    'recorder': 'kinema4d_ros.nodes.recorder.node',
    'viewer': 'kinema4d_ros.nodes.viewer',
}


def document() -> str:
    """Return the text of the document."""
    parts = ['# Parameters\n\nMade from the tables in the code by '
             '`scripts/write_parameter_docs.py`. *Live* parameters can be\nchanged while the node '
             'runs; a change holds from the next request on.\n']
    for node, module in TABLES.items():
        table = importlib.import_module(module).TABLE
        parts.append(f'\n## {node}\n\n{table.markdown().strip()}\n')
    return ''.join(parts)


if __name__ == '__main__':
    DOCUMENT.write_text(document())
    print(f'wrote {DOCUMENT}', file=sys.stderr)
