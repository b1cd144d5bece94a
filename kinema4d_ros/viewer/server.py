# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The server of the page: bound to an address of this machine, and without viser's tunnel."""
from __future__ import annotations

import contextlib
import io
import logging
import socket
from typing import TYPE_CHECKING

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.viewer.page import own_page
from kinema4d_ros.viewer.viser_compat import serving_from

if TYPE_CHECKING:
    import viser


def open_server(host: str, port: int) -> tuple[viser.ViserServer, str]:
    """
    Return a viser server that listens, and its address.

    :raises ConfigurationError: viser is not installed, or the address cannot be used.
    """
    try:
        import viser
    except ImportError as error:
        raise ConfigurationError('the viewer needs viser, which is not installed: '
                                 'pip install -r requirements/viewer.txt') from error
    _check_host(host)
    # viser prints its address; the node logs it.
    with serving_from(own_page), contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host=host, port=port, verbose=False)
    # Browsers open connections on suspicion and drop them; that is no error.
    logging.getLogger('websockets.server').setLevel(logging.CRITICAL)
    # What a robot sees is nobody's business: no tunnel out, whatever a browser asks for.
    server.request_share_url = lambda *_, **__: None
    return server, f'http://{host}:{server.get_port()}'


def _check_host(host: str) -> None:
    """Refuse an address that is not this machine's, on which viser would wait for ever."""
    try:
        with socket.create_server((host, 0)):
            pass
    except OSError as error:
        raise ConfigurationError(f'cannot listen on {host}: {error}; 127.0.0.1 is this machine '
                                 'alone, 0.0.0.0 every network that it is in') from error
