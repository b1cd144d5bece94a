# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether a world model shows the motion that it was asked for: what was measured, kept in a file.

`kinema4d probe-model` measures it (`evaluation.probe`); tier 2 asks here. A score belongs to a
name, a fingerprint of weights and settings: other weights, or fewer steps, are another model.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.serialization import from_plain, PlainError, to_plain, write_whole
from kinema4d_ros.world_model.base import WorldModel

#: least lower end of the interval of a score with which a prediction may lead to a PASS
LEAST_FOLLOWING = 0.5

#: settings that say where a model runs
_MACHINE = frozenset(('check_memory', 'device'))
#: settings that say where it is; they do not matter where its fingerprint says which it is
_PLACES = frozenset(('base', 'directory', 'episode', 'weights'))


@dataclass(frozen=True)
class FollowingScore:
    """How well one model follows actions: 1 shows each motion, 0 whatever it was asked for."""

    world_model: str                 # its name
    fingerprint: str                 # of its weights, '' for a model without
    score: float                     # -1 to 1
    low: float                       # lower end of its 95 % interval
    high: float
    episodes: int
    frames: int                      # in which the motions could be told apart, over all episodes
    settings: Mapping[str, object] = field(default_factory=dict)   # that change what it predicts

    def __post_init__(self) -> None:
        """Refuse what is no score, and keep a dict of its own, so that it can be pickled."""
        if not -1 <= self.low <= self.score <= self.high <= 1:      # NaN is not
            raise ConfigurationError(
                'a score of how a world model follows has -1 <= low <= score <= high <= 1, got '
                f'{self.low}, {self.score}, {self.high}; `kinema4d probe-model` writes one')
        object.__setattr__(self, 'settings', dict(self.settings))

    def __str__(self) -> str:
        """Return it as people read it."""
        return (f'{self.score:.2f} ({self.low:.2f} to {self.high:.2f}; {self.episodes} '
                f'episode{"" if self.episodes == 1 else "s"}, {self.frames} frames)')


@dataclass(frozen=True)
class FollowingScores:
    """The scores that are known, one for each model, fingerprint and settings."""

    scores: tuple[FollowingScore, ...] = ()
    format: int = 1

    def of(self, model: WorldModel) -> FollowingScore | None:
        """Return the score of a loaded model, None where there is none of these settings."""
        mine = (model.name, str(model.fingerprint), settings_that_matter(model))
        return next((each for each in self.scores
                     if (each.world_model, each.fingerprint, each.settings) == mine), None)

    def with_score(self, score: FollowingScore) -> FollowingScores:
        """Return them with one more, which replaces that of the same model."""
        def key(each: FollowingScore) -> tuple[object, ...]:
            return each.world_model, each.fingerprint, sorted(each.settings.items())

        kept = (each for each in self.scores if key(each) != key(score))
        return FollowingScores((*kept, score))

    def save(self, path: str | Path) -> None:
        """
        Write them to a JSON file.

        :raises ConfigurationError: it cannot be written.
        """
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), json.dumps(to_plain(self), indent=2) + '\n')
        except OSError as error:
            raise ConfigurationError(
                f'the scores {path} cannot be written: {error.strerror}') from error

    @classmethod
    def load(cls, path: str | Path) -> FollowingScores:
        """
        Return the scores in a file that `kinema4d probe-model` wrote.

        :raises ConfigurationError: it cannot be read; the message says why.
        """
        try:
            text = Path(path).expanduser().read_text(encoding='utf-8')
            found = from_plain(cls, json.loads(text), str(path))
        except OSError as error:
            raise ConfigurationError(f'the scores {path} cannot be read: {error.strerror}; '
                                     '`kinema4d probe-model` writes them') from error
        except (PlainError, ValueError) as error:
            raise ConfigurationError(f'{path} holds no scores that `kinema4d probe-model` wrote: '
                                     f'{error}') from error
        if found.format != 1:
            raise ConfigurationError(f'the scores {path} are of format {found.format}, this '
                                     'version reads format 1; run `kinema4d probe-model` again')
        return found


def settings_that_matter(model: WorldModel) -> dict[str, Any]:
    """
    Return the settings by which a model predicts: all but where it runs.

    Nor where it is, if it has a fingerprint; without one, the place is all that tells it apart.
    """
    without = _MACHINE | _PLACES if model.fingerprint else _MACHINE
    return {name: value for name, value in model.setting.items() if name not in without}


def why_never_believed(model: WorldModel, scores: FollowingScores | None,
                       least: float) -> str | None:
    """
    Return why a model's predictions say nothing of the motion that is asked about, if they do not.

    A model that says that it takes no actions is never believed, one that draws the robot exactly
    is; a measured score overrules the latter, and one that is too low forbids any.

    :param scores: that were measured; None for none.
    :param least: the lower end of a score's interval that it takes.
    """
    if model.follows_actions is False:
        return (f'the world model {model.name!r} takes no actions: what it predicts does not '
                'depend on the trajectory')
    score = None if scores is None else scores.of(model)
    if score is not None and score.low < least:
        return (f'the world model {model.name!r} does not follow actions well enough: its score '
                f'is {score}, the lower end must be {least:g}')
    return None


def why_unprobed(model: WorldModel, scores: FollowingScores | None) -> str | None:
    """Return why nobody knows whether a model follows actions, None where that is known."""
    if model.follows_actions is not None or (scores is not None and scores.of(model) is not None):
        return None
    other = [] if scores is None else [
        each for each in scores.scores
        if (each.world_model, each.fingerprint) == (model.name, str(model.fingerprint))]
    if other:
        mine, theirs = settings_that_matter(model), other[-1].settings
        different = ', '.join(f'{name} {theirs.get(name)!r} (now {mine.get(name)!r})'
                              for name in sorted({*mine, *theirs})
                              if mine.get(name) != theirs.get(name))
        return (f'the world model {model.name!r} was probed with other settings: {different}; '
                'probe it with those of now')
    return (f'nobody has measured whether the world model {model.name!r} follows actions: run '
            '`kinema4d probe-model` and name its file (tier2.following_scores)')
