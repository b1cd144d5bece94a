# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Opening a page that was written, where somebody looks at a screen."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_SCREENS = ('DISPLAY', 'WAYLAND_DISPLAY', 'BROWSER')     # any of them: there is one, or a way to it


def why_no_browser(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return why no page can be opened from here, None where one can."""
    if sys.platform.startswith('linux') and not any(map(environment.get, _SCREENS)):
        return f'there is no screen here (none of {", ".join(_SCREENS)} is set)'
    return None


def open_page(path: Path) -> str | None:
    """
    Open a file in the user's browser; never wait for it.

    :return: why it was not opened, None where a browser was asked to.
    """
    why = why_no_browser()
    if why is None:
        # By a process of its own: some browsers stay in the foreground, and one that draws in the
        # terminal would take it over.
        subprocess.Popen([sys.executable, '-m', 'webbrowser', '-t', path.absolute().as_uri()],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
    return why


def show_page(path: Path, asked: bool) -> None:
    """
    Open a page, or say where it is; its address is printed in any case.

    :param asked: False where the user said --no-open.
    """
    why = open_page(path) if asked else None
    print(f'page: {path}')
    if why is not None:
        print(f'not opened: {why}; open it in any browser, it needs no network')
