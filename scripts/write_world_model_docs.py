#!/usr/bin/env python3
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write the table of docs/world_models.md from the cards of the models; a test compares the two."""
from __future__ import annotations

import sys
from pathlib import Path

from kinema4d_ros.world_model import model_class
from kinema4d_ros.world_model.registry import our_models

DOCUMENT = Path(__file__).resolve().parents[1] / 'docs' / 'world_models.md'
BEGIN = '<!-- made by scripts/write_world_model_docs.py -->'
END = '<!-- end of the table -->'
FOLLOWS = {True: 'yes, by construction', False: '**no**',
           None: 'to be [measured](#do-they-follow-actions)'}
#: heading -> field of the card
COLUMNS = {'Reads': 'inputs', 'Shows': 'outputs', 'Points in metres': 'metres', 'Cameras': 'views',
           'Licence of the code': 'code_licence', 'Licence of the weights': 'weights_licence',
           'Memory': 'memory', 'Time': 'time', 'Run here': 'run_here'}


def table() -> str:
    """Return the table: a row for each model that comes with this package."""
    head = ['Model', 'Follows actions', *COLUMNS]
    rows = [head, ['---'] * len(head)]
    for name in our_models():
        model = model_class(name)
        assert model.card is not None, f'{name} has no card'
        rows.append([f'`{name}`', FOLLOWS[model.follows_actions],
                     *(str(getattr(model.card, field)) for field in COLUMNS.values())])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def document() -> str:
    """Return the text of the document with the table as it is to be."""
    text = DOCUMENT.read_text(encoding='utf-8')
    before, _, rest = text.partition(BEGIN)
    return f'{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}'


if __name__ == '__main__':
    DOCUMENT.write_text(document(), encoding='utf-8')
    print(f'wrote {DOCUMENT}', file=sys.stderr)
