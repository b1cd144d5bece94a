# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real arm before a camera that is known: what its own robot says of the recording."""
from made_sets import PANDA
from shared_data import shared_data

from kinema4d_ros.curation import CurationItem, CurationSettings, one_episode
from kinema4d_ros.datasets import import_set, ImportSettings, open_source


def test_a_real_panda_is_drawn_where_the_camera_saw_it(tmp_path):
    """It has no depth, so no clip is made of it without a model that estimates some."""
    folder = shared_data('panda_dataset_tristinxie')
    import_set(open_source(folder), tmp_path, ImportSettings('panda_hand', PANDA))
    record = one_episode(CurationItem(
        'panda', str(tmp_path / 'panda_dataset_tristinxie.mcap'), str(tmp_path / 'out'),
        CurationSettings()))
    quality = record.quality
    assert quality.frames == 275 and 29 < quality.rate < 31
    assert quality.robot_seen == 1.0 and 0.1 < quality.robot_share < 0.25
    assert quality.picture_shift <= 2.0 and quality.picture_fit > 0.4
    assert record.refused.startswith('no depth was recorded') and record.success is None
    assert (tmp_path / 'out' / record.thumbnail).is_file()
