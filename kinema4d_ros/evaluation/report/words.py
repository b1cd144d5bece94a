# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a report writes numbers, names and weights; the templates use these as filters."""
from __future__ import annotations

import base64
import math
import re

from kinema4d_ros.evaluation.comparison import Metric
from kinema4d_ros.types import Severity

#: severity -> kind of badge, word
SEVERITY = {Severity.FAIL: ('fail', 'against it'), Severity.UNSURE: ('unsure', 'in doubt'),
            Severity.INFO: ('info', 'reported')}
_YES = {True: 'yes', False: 'no', None: '-'}


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


def data_uri(data: bytes, media_type: str) -> str:
    """Return a file as an address that holds it."""
    return f'data:{media_type};base64,{base64.b64encode(data).decode()}'
