# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Networks that estimate depth from one picture; the user installs them, none comes with this package.

A backend is found by name: one of ours, or of any installed package by an entry point of the group
`kinema4d_ros.depth_backends`, ``name = "module:Class"``. It is made with the folder of its weights
and the quantity that the user names, and never downloads anything.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np

from kinema4d_ros.curation.depth_fit import QUANTITIES
from kinema4d_ros.errors import ConfigurationError

GROUP = 'kinema4d_ros.depth_backends'
_BACKENDS = {'transformers': 'kinema4d_ros.curation.transformers_depth:TransformersDepth'}


class DepthBackend(Protocol):
    """What estimates depth; one process has one, and calls it from one thread."""

    @property
    def quantity(self) -> str:
        """What it answers, up to scale and shift: 'depth' or 'inverse_depth'."""

    @property
    def fingerprint(self) -> str:
        """Names weights and versions: what answers otherwise is called otherwise."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """
        Return (H, W) float32 of a picture (H, W, 3) uint8 RGB; NaN where nothing can be said.

        The same picture gives the same answer.
        """


def available_backends() -> tuple[str, ...]:
    """Return the names of the backends that there are."""
    return tuple(sorted(_places()))


@lru_cache(maxsize=1)
def load_backend(name: str, folder: str, quantity: str = '') -> DepthBackend:
    """
    Return a backend, loaded once in a process.

    :param folder: of its weights.
    :param quantity: 'depth' or 'inverse_depth'; '' for what the backend knows of itself.
    :raises ConfigurationError: it is not known, cannot be loaded, or does not say what it answers.
    """
    places = _places()
    if name not in places:
        raise ConfigurationError(f'there is no depth backend {name!r}; there are: '
                                 f'{", ".join(available_backends())}')
    if quantity and quantity not in QUANTITIES:
        raise ConfigurationError(f'a depth model answers {" or ".join(QUANTITIES)}, not '
                                 f'{quantity!r}')
    module, _, attribute = places[name].partition(':')
    try:
        make: Callable[[Path, str], DepthBackend] = getattr(importlib.import_module(module),
                                                           attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f'the depth backend {name!r} cannot be loaded here: {error}'
                                 ) from error
    backend = make(Path(folder), quantity)
    if backend.quantity not in QUANTITIES:
        raise ConfigurationError(f'the depth backend {name!r} answers {backend.quantity!r}; it '
                                 f'must be {" or ".join(QUANTITIES)}')
    return backend


def _places() -> dict[str, str]:
    """Return name -> module:class; a name of our own cannot be taken by others."""
    return {entry.name: entry.value.replace(' ', '')
            for entry in metadata.entry_points(group=GROUP)} | _BACKENDS
