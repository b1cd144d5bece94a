# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a report writes statuses, numbers and names."""
from __future__ import annotations

import math
import re

from kinema4d_ros.evaluation.comparison import Metric
from kinema4d_ros.evaluation.report.html import Html, tag
from kinema4d_ros.types import Severity, Status

SEVERITY = {Severity.FAIL: ('fail', 'against it'), Severity.UNSURE: ('unsure', 'in doubt'),
            Severity.INFO: ('info', 'told')}
_YES = {True: 'yes', False: 'no', None: '-'}

#: a shape for each status, so that colour is never the only sign
SHAPES = tag(
    'svg',
    tag('symbol', tag('circle', cx=8, cy=8, r=7.5, class_='plate'),
        tag('path', d='M4.5 8.3l2.4 2.5 4.7-5.3', class_='stroke'), id='shape-pass',
        viewBox='0 0 16 16'),
    tag('symbol', tag('path', d='M5 .5h6L15.5 5v6L11 15.5H5L.5 11V5z', class_='plate'),
        tag('path', d='M5.2 5.2l5.6 5.6m0-5.6l-5.6 5.6', class_='stroke'), id='shape-fail',
        viewBox='0 0 16 16'),
    tag('symbol', tag('path', d='M8 .8l7.6 14H.4z', class_='plate'),
        tag('path', d='M8 5.5v4.3m0 1.9v.5', class_='stroke'), id='shape-unsure',
        viewBox='0 0 16 16'),
    tag('symbol', tag('circle', cx=8, cy=8, r=4, class_='plate'), id='shape-info',
        viewBox='0 0 16 16'),
    class_='shapes', aria_hidden='true')


def badge(kind: str, text: str) -> Html:
    """Return a word with the shape and colour of 'pass', 'fail', 'unsure' or 'info'."""
    return tag('span', tag('svg', tag('use', href=f'#shape-{kind}'), aria_hidden='true'), text,
               class_=f'badge {kind}')


def status_badge(status: Status) -> Html:
    """Return a verdict's word with its shape."""
    return badge(status.name.lower(), status.name)


def yes_no(value: bool | None) -> str:
    """Return yes, no, or a dash where it is not known."""
    return _YES[value]


def seconds(value: float | None) -> str:
    """Return a duration [s] as people read it."""
    if value is None or math.isnan(value):
        return '-'
    return f'{1000 * value:.0f} ms' if value < 0.1 else f'{value:.2f} s'


def millimetres(value: float | None) -> str:
    """Return a length [m] in mm."""
    return '-' if value is None or math.isnan(value) else f'{1000 * value:.0f} mm'


def measured(metric: Metric, value: float, unit: bool = True) -> str:
    """Return a value of a metric as people read it."""
    if math.isnan(value):
        return '-'
    text = f'{metric.scale * value:.{metric.digits}f}'
    return f'{text} {metric.unit}' if unit and metric.unit else text


def sentence(text: str) -> str:
    """Return a text with a capital letter in front and a point at the end."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ('' if text[-1] in '.!?:' else '.')


def anchor(text: str) -> str:
    """Return a name as an address within the page."""
    return 'e-' + re.sub(r'[^A-Za-z0-9_-]+', '-', text)
