# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger on the page: how often motions that passed went as predicted."""
from __future__ import annotations

import datetime
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, TYPE_CHECKING

from kinema4d_ros.errors import LedgerError
from kinema4d_ros.ledger.entry import LedgerEntry, Went
from kinema4d_ros.ledger.file import Ledger
from kinema4d_ros.viewer.markup import card, line, NEUTRAL, STATUS_COLORS
from kinema4d_ros.types import Status

if TYPE_CHECKING:
    import viser

    from kinema4d_ros.ledger.summary import LedgerSummary, Tally

_LISTED = 5        # motions that went otherwise, the newest first
_CONFIDENT = 0.95  # share above which the lower end of the interval is green


def trust_html(summary: LedgerSummary, entries: Sequence[LedgerEntry]) -> str:
    """Return what the panel says of a ledger, as HTML."""
    tally = summary.passed
    color = NEUTRAL if not tally.yes + tally.no else STATUS_COLORS[
        Status.PASS if tally.rate.interval[0] >= _CONFIDENT else
        Status.UNSURE if tally.rate.value >= _CONFIDENT else Status.FAIL]
    parts = [card('', color, summary.sentence, summary.drift if tally.motions else '')]
    parts += [line(f'{escape(value)}: {_counted(group)}')
              for value, group in summary.groups['kind'].items()]
    otherwise = [entry for entry in reversed(entries) if entry.went == Went.NO][:_LISTED]
    parts += [line(f'<b>{_clock(entry.time_ns)} {escape(entry.kind)}</b> '
                   f'{escape(entry.reasons[0] if entry.reasons else "")}') for entry in otherwise]
    return ''.join(parts)


def _counted(tally: Tally) -> str:
    said = f'{tally.yes} as predicted, {tally.no} otherwise'
    return said + (f', {tally.unknown} unknown' if tally.unknown else '')


def _clock(time_ns: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(time_ns * 1e-9, datetime.UTC).strftime('%m-%d %H:%M')
    except (OverflowError, OSError, ValueError):
        return ''


class LedgerReader:
    """Reads a ledger that others write, again only once it has changed."""

    def __init__(self, path: str) -> None:
        """Remember a file, which need not be there yet."""
        self._path = Path(path).expanduser()
        self._seen: object = None

    def news(self) -> str | None:
        """Return what the panel is to say, as HTML; None where nothing has changed."""
        state = tuple(_state(Path(f'{self._path}{end}')) for end in ('', '-wal'))
        if state == self._seen:
            return None
        self._seen = state
        try:
            with Ledger(self._path) as ledger:
                entries = list(ledger.entries())
                from kinema4d_ros.ledger.summary import LedgerSummary    # with the statistics
                return trust_html(LedgerSummary.of(entries, ledger.dropped), entries)
        except LedgerError as error:
            return line(escape(str(error)))


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class TrustPanel:
    """The folder of the page with the ledger; hidden until there is something to say."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Add it at this place of the panel."""
        self._folder = gui.add_folder('Ledger', visible=False)
        with self._folder:
            self._html: Any = gui.add_html('')

    def show(self, html: str) -> None:
        """Show what `trust_html` returned."""
        self._folder.visible = True
        if self._html.content != html:
            self._html.content = html
