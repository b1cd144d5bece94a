# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The face of a room whose names are imported when they are first asked for.

A node that needs the robot's joints should not load what draws its meshes: with compilers and
libraries that is 100 MB of memory and half a second of a core, in each process. So the `__init__`
of a room names what it shows behind TYPE_CHECKING alone, for editors and type checkers, and that
is read here too: there is no second list to keep in step.
"""
from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from typing import Any


def on_demand(room: str) -> Callable[[str], Any]:
    """
    Return what is to be the `__getattr__` of a room.

    No name may be that of a module in the room: once that is imported the name is the module.

    :param room: `__name__` of its `__init__`, which imports behind TYPE_CHECKING.
    """
    where: dict[str, str] = {}

    def get(name: str) -> Any:
        if name.startswith('__'):       # `__path__` and the like, which Python asks for
            raise AttributeError(f'module {room!r} has no attribute {name!r}')
        if not where:
            where.update(shown(room))
        if name not in where:
            raise AttributeError(f'module {room!r} has no attribute {name!r}')
        value = getattr(importlib.import_module(where[name]), name)
        setattr(sys.modules[room], name, value)
        return value

    return get


def shown(room: str) -> dict[str, str]:
    """
    Return name -> module of what a room imports behind TYPE_CHECKING.

    :raises ImportError: the source of the room is not there.
    """
    spec = sys.modules[room].__spec__
    source = getattr(spec and spec.loader, 'get_source', lambda _: None)(room)
    if source is None:
        raise ImportError(f'{room} is installed without its source, which says where its names are')
    return {alias.asname or alias.name: node.module
            for block in ast.parse(source).body
            if isinstance(block, ast.If) and ast.unparse(block.test) == 'TYPE_CHECKING'
            for node in block.body if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names}
