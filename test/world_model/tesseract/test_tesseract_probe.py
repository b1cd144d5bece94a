# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d probe-model` on tesseract with random weights: it does not follow."""
import json

from lacking import needs

from kinema4d_ros.cli.main import main
from kinema4d_ros.resources import share_dir
from kinema4d_ros.world_model.following import FollowingScores

pytestmark = needs('torch')
EPISODE = share_dir() / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'


def test_what_says_that_it_does_not_follow_scores_as_it_says(options, model, tmp_path, capsys):
    settings = [word for name, value in options.items() for word in ('--set', f'{name}={value}')]
    assert main(['probe-model', 'tesseract', str(EPISODE), *settings, '--frames', '5', '--seeds',
                 '1', '--out', str(tmp_path), '--json']) == 1
    told = json.loads(capsys.readouterr().out)
    assert 'does not follow' in told['verdict'] and told['score']['score'] < 0.2
    assert model.follows_actions is False      # whatever anybody measures
    assert FollowingScores.load(tmp_path / 'scores.json').of(model) is not None
