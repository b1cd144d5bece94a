# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""docs/parameters.md says what the code declares."""
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_parameter_docs_are_up_to_date():
    written = runpy.run_path(str(ROOT / 'scripts' / 'write_parameter_docs.py'))
    assert (ROOT / 'docs' / 'parameters.md').read_text() == written['document'](), \
        'run scripts/write_parameter_docs.py'
