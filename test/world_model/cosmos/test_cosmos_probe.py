# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d probe-model` on cosmos with random weights: it does not follow."""
import json

from lacking import needs

from kinema4d_ros.cli.main import main
from kinema4d_ros.resources import share_dir
from kinema4d_ros.world_model.following import FollowingScores

pytestmark = needs('torch')
EPISODE = share_dir() / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'


def test_random_weights_do_not_follow(options, model, tmp_path, capsys):
    settings = [word for name, value in options.items() for word in ('--set', f'{name}={value}')]
    assert main(['probe-model', 'cosmos', str(EPISODE), *settings, '--frames', '5', '--seeds', '1',
                 '--out', str(tmp_path), '--json']) == 1
    told = json.loads(capsys.readouterr().out)
    assert 'does not follow' in told['verdict']
    assert told['score']['low'] < 0.5 and not told['follows']
    assert model.follows_actions is None       # so that what was measured is what counts
    score = FollowingScores.load(tmp_path / 'scores.json').of(model)
    assert score is not None and score.score == told['score']['score']
