# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded episodes, judged and compared with how they ended."""
import pytest

from kinema4d_ros.episodes import Episode
from kinema4d_ros.ledger.episodes import EpisodeComparer
from kinema4d_ros.resources import share_dir


@pytest.fixture(scope='session')
def episodes():
    """Return what opens a bundled episode by its name, once."""
    opened = {}

    def find(name):
        if name not in opened:
            opened[name] = Episode.open(share_dir() / 'data' / 'episodes' / f'{name}.mcap')
        return opened[name]

    return find


@pytest.fixture(scope='session')
def comparer():
    """Return what compares episodes; robots are loaded once."""
    made = EpisodeComparer()
    yield made
    made.close()
