# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What this package needs of viser beyond its public interface.

viser has no option for the page that its server serves. `ViserServer` makes a
`viser.infra.WebsockServer` and hands it the folder of the page as `http_server_root`; the class is
exchanged for the time in which a server is made.
"""
from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: the version of viser that this was written for and is tested with
VISER_VERSION = '1.1.1'
_ROOT = 'http_server_root'
_lock = threading.Lock()      # a server is made from an exchanged class by one thread at a time


@contextlib.contextmanager
def serving_from(fill: Callable[[Path, Path], Path]) -> Iterator[None]:
    """
    Have the viser servers that are made meanwhile serve another page.

    Where a newer viser has no such class or argument, its own page is served, and a warning says
    so.

    :param fill: called with the folder of viser's page and an empty one that lasts as long as the
        server; returns the one of the two to serve from.
    """
    import viser

    infra = getattr(viser, 'infra', None)
    original: Any = getattr(infra, 'WebsockServer', None)
    if original is None:
        _warn()
        yield
        return

    class OwnPageServer(original):  # type: ignore[misc]
        """A server with a folder of its own."""

        def __init__(self, *args: Any, **more: Any) -> None:
            self._folder = tempfile.TemporaryDirectory(prefix='kinema4d_ros_viewer_')
            root = more.get(_ROOT)
            if root is None:
                _warn()
            else:
                more[_ROOT] = fill(Path(root), Path(self._folder.name))
            super().__init__(*args, **more)

        def stop(self) -> None:
            super().stop()
            self._folder.cleanup()

    with _lock:
        infra.WebsockServer = OwnPageServer      # type: ignore[union-attr]
        try:
            yield
        finally:
            infra.WebsockServer = original       # type: ignore[union-attr]


def _warn() -> None:
    import viser

    logging.getLogger(__name__).warning(
        'viser %s does not let its page be exchanged as %s does: it is served as it is, which is '
        'slower in a browser without a GPU', viser.__version__, VISER_VERSION)
