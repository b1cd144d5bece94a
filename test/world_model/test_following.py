# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The file of scores, and which models are never believed."""
import errno
import json
import pickle
from pathlib import Path

import pytest

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.types import silent
from kinema4d_ros.world_model import WorldModel
from kinema4d_ros.world_model.following import (FollowingScore, FollowingScores,
                                                settings_that_matter, why_never_believed,
                                                why_unprobed)
from kinema4d_ros.world_model.frozen import Frozen


class Generates(WorldModel):
    """Generates its frames."""

    name = 'generates'
    fingerprint = 'abc'
    settings = {'steps': (50, 'n'), 'device': ('auto', 'where'), 'weights': ('', 'path')}

    def predict(self, observation, robot, *, seed=0, report=silent):
        yield


class Ignores(Generates):
    """Takes no actions."""

    follows_actions = False


def score(low=0.8, **more):
    """Return a score of the model above."""
    values = {'world_model': 'generates', 'fingerprint': 'abc', 'score': low + 0.1, 'low': low,
              'high': low + 0.15, 'episodes': 3, 'frames': 60, 'settings': {'steps': 50}}
    return FollowingScore(**values | more)


def test_a_score_belongs_to_name_weights_and_settings(tmp_path):
    model = Generates(device='cuda', weights='/models/a')
    assert settings_that_matter(model) == {'steps': 50}
    scores = FollowingScores().with_score(score()).with_score(score(fingerprint='abd'))
    scores = scores.with_score(score(low=0.6))       # replaces the first
    assert [each.low for each in scores.scores] == [0.8, 0.6]
    scores.save(tmp_path / 'new' / 'scores.json')
    read = FollowingScores.load(tmp_path / 'new' / 'scores.json')
    assert read == scores and read.of(model).low == 0.6
    assert pickle.loads(pickle.dumps(read)) == read
    assert read.of(Generates(steps=4)) is None and read.of(Frozen()) is None


class Unnamed(Generates):
    """Says nothing of which weights it has."""

    fingerprint = ''


def test_without_a_fingerprint_a_score_belongs_to_the_place_of_the_weights():
    known = Unnamed(weights='/models/a', device='cuda')
    assert settings_that_matter(known) == {'steps': 50, 'weights': '/models/a'}
    scores = FollowingScores((score(fingerprint='', settings=settings_that_matter(known)),))
    assert why_unprobed(Unnamed(weights='/models/a'), scores) is None
    other = Unnamed(weights='/models/b')
    assert scores.of(other) is None
    assert "weights '/models/a' (now '/models/b')" in why_unprobed(other, scores)


def test_who_is_believed():
    good, bad = (FollowingScores((score(low),)) for low in (0.8, 0.3))
    model = Generates()
    assert why_never_believed(model, good, 0.5) is None and why_unprobed(model, good) is None
    assert 'its score is 0.40 (0.30 to 0.45; 3 episodes, 60 frames), the lower end must be 0.5' \
        in why_never_believed(model, bad, 0.5)
    assert why_never_believed(model, bad, 0.3) is None
    assert why_never_believed(model, None, 0.5) is None
    assert 'nobody has measured' in why_unprobed(model, None)
    assert 'other settings: steps 50 (now 4)' in why_unprobed(Generates(steps=4), good)
    # whatever the score
    assert 'takes no actions' in why_never_believed(Ignores(), good, 0.5)
    assert why_unprobed(Ignores(), None) is None
    assert why_never_believed(Frozen(), good, 0.5) is None is why_unprobed(Frozen(), None)
    mine = score(0.1, world_model='frozen', fingerprint='', settings=settings_that_matter(Frozen()))
    assert 'does not follow actions well' in why_never_believed(
        Frozen(), FollowingScores((mine,)), 0.5)      # what was measured overrules what it says


def test_a_full_disk_leaves_the_scores_before(tmp_path, monkeypatch):
    path, write = tmp_path / 'scores.json', Path.write_text
    known = FollowingScores((score(),))
    known.save(path)

    def half(self, text, **more):
        write(self, text[:len(text) // 2], **more)
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_text', half)
    with pytest.raises(ConfigurationError, match='cannot be written: No space left'):
        known.with_score(score(fingerprint='abd')).save(path)
    assert FollowingScores.load(path) == known and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('text, words', [
    (None, 'cannot be read: No such file'), ('{', 'holds no scores'),
    ('{"scores": [{"world_model": "x"}]}', 'is missing'),
    (json.dumps({'scores': [], 'format': 2}), 'of format 2, this version reads format 1'),
    (json.dumps({'scores': [{'world_model': 'x', 'fingerprint': '', 'score': 0.5, 'low': 0.9,
                             'high': 0.95, 'episodes': 1, 'frames': 1, 'settings': {}}]}),
     'low <= score <= high')])
def test_a_file_that_holds_no_scores_is_refused(tmp_path, text, words):
    path = tmp_path / 'scores.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match='probe-model') as caught:
        FollowingScores.load(path)
    assert words in str(caught.value)


@pytest.mark.parametrize('bad', [{'score': float('nan')}, {'high': 1.5}, {'low': -2.0},
                                 {'low': 0.9, 'high': 0.8}])
def test_what_is_no_score_is_refused(bad):
    with pytest.raises(ConfigurationError, match='-1 <= low <= score <= high <= 1'):
        score(**{'score': 0.85, 'high': 0.95} | bad)
