# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes HTML and SVG by functions, so that no text can be taken for markup."""
from __future__ import annotations

import base64
import html
from collections.abc import Iterable

_VOID = {'br', 'hr', 'img', 'input', 'link', 'meta', 'source'}


class Html(str):
    """Markup. Any other string is text, and is escaped where it is put into markup."""

    __slots__ = ()


def join(*children) -> Html:
    """Put markup and text together; None is left out, iterables are taken apart."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, Iterable) and not isinstance(child, str):
            parts.append(join(*child))
        else:
            parts.append(html.escape(str(child)))
    return Html(''.join(parts))


def tag(name: str, /, *children, **attributes) -> Html:
    """
    Return an element.

    :param attributes: a trailing underscore is cut off (class_), others are hyphens; None and
        False leave the attribute out, True gives one without a value.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.removesuffix('_').replace('_', '-')
        words.append(key if value is True else f'{key}="{html.escape(str(value))}"')
    inside = join(*children)
    return Html(f'<{" ".join(words)}>' if name in _VOID and not inside
                else f'<{" ".join(words)}>{inside}</{name}>')


def data_uri(data: bytes, media_type: str) -> str:
    """Return a file as an address that holds it."""
    return f'data:{media_type};base64,{base64.b64encode(data).decode()}'
