# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The registry and the settings of world models."""
from __future__ import annotations

from importlib import metadata

import pytest

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.world_model import available, load_world_model, model_class, registry, WorldModel


@pytest.mark.parametrize('name', sorted(available()))
def test_every_model_loads_and_documents_its_settings(name):
    found = model_class(name)
    assert issubclass(found, WorldModel) and found.name == name
    assert available()[name]
    for default, meaning in found.settings.values():
        assert type(default) in (bool, int, float, str) and meaning


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(WorldModelError, match="unknown world model 'magic'; available: .*frozen"):
        load_world_model('magic')


def test_a_model_whose_dependency_is_missing_says_which(monkeypatch):
    monkeypatch.setitem(registry._MODELS, 'magic', ('kinema4d_ros.no_such_module:Magic', 'x'))
    with pytest.raises(WorldModelError, match="'magic' cannot be loaded here: .*no_such_module"):
        load_world_model('magic')


class Entry:
    """What importlib.metadata tells of a model that another package registered."""

    dist = metadata.distribution('numpy')

    def __init__(self, name, value):
        self.name, self.value = name, value


@pytest.mark.parametrize('name, value, message', [
    ('mine', 'numpy:ndarray', 'is numpy:ndarray, which is no subclass of .*WorldModel'),
    ('mine', 'numpy:nonsense', "'mine' cannot be loaded here: .*nonsense"),
    ('mine', 'nonsense:Mine', "'mine' cannot be loaded here: No module named 'nonsense'")])
def test_a_bad_entry_point_of_another_package_is_reported(monkeypatch, name, value, message):
    monkeypatch.setattr(registry.metadata, 'entry_points', lambda group: [Entry(name, value)])
    assert available()[name] == 'from the package numpy'
    with pytest.raises(WorldModelError, match=message):
        load_world_model(name)


def test_another_package_cannot_take_a_name_of_ours(monkeypatch):
    monkeypatch.setattr(registry.metadata, 'entry_points',
                        lambda group: [Entry('frozen', 'numpy:ndarray')])
    assert load_world_model('frozen').name == 'frozen'


def test_settings_are_checked_by_name_and_type():
    model = load_world_model('kinematic', largest_object=1)
    assert model.setting['largest_object'] == 1.0
    assert model.setting['least_contact_points'] == 4
    with pytest.raises(WorldModelError, match='has no setting colour; it has: .*largest_object'):
        load_world_model('kinematic', colour='red')
    with pytest.raises(WorldModelError, match="largest_object .* must be a float, got 'big'"):
        load_world_model('kinematic', largest_object='big')


@pytest.mark.parametrize('name', ['cosmos', 'tesseract'])
def test_a_card_says_what_a_model_is(name):
    """Of those that neither are exact nor were run with their weights."""
    found = model_class(name)
    card = found.card
    assert all(str(value) for value in vars(card).values())
    assert len(card.lines()) == len(vars(card))
    row = card.row(name, found.follows_actions)
    assert row.startswith(f'| `{name}` | {card.inputs} | ') and row.count('|') == 12
    assert ('| no |' in row) == (name == 'tesseract')
