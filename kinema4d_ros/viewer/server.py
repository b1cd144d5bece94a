# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The server of the page: who may connect is checked, and there is no tunnel as viser has one."""
from __future__ import annotations

import contextlib
import io
import logging
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.viewer.access import access_for, is_loopback
from kinema4d_ros.viewer.page import own_page
from kinema4d_ros.viewer.viser_compat import Guard, serving_behind, VISER_VERSION

if TYPE_CHECKING:
    import viser


def open_server(host: str, port: int, *, token: str = '', allowed_hosts: Iterable[str] = ()
                ) -> tuple[viser.ViserServer, str]:
    """
    Return a viser server that listens, and its address.

    :param token: that a browser must show; needed where others than this machine can connect.
    :param allowed_hosts: further names that the page may be asked for by.
    :raises ConfigurationError: viser is not installed, or another one than is known; the address
        cannot be used, or not without a token.
    """
    try:
        import viser
    except ImportError as error:
        raise ConfigurationError('the viewer needs viser, which is not installed: '
                                 f'pip install viser=={VISER_VERSION}') from error
    guard = Guard(access_for(host, token, allowed_hosts), own_page)
    _check_host(host)
    # viser prints its address; the node logs it.
    with serving_behind(guard), contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host=host, port=port, verbose=False)
    if not guard.is_used:
        server.stop()
        raise ConfigurationError(
            f'viser {viser.__version__} serves in a way that is not known here, so who connects '
            f'cannot be checked: pip install viser=={VISER_VERSION}')
    # Browsers open connections on suspicion and drop them; that is no error.
    logging.getLogger('websockets.server').setLevel(logging.CRITICAL)
    # What a robot sees is nobody's business: no tunnel out, whatever a browser asks for.
    server.request_share_url = lambda *_, **__: None
    return server, f'http://{f"[{host}]" if ":" in host else host}:{server.get_port()}'


def who_may_reach(host: str, token: str) -> str:
    """Return a sentence for the log on who can see the page."""
    who = 'programs and users of this machine' if is_loopback(host) else \
        'whoever is in a network of this machine, unencrypted'
    return f'{who}, who have the token (ADDRESS/?token=TOKEN)' if token else f'{who}, no others'


def _check_host(host: str) -> None:
    """Refuse an address that is not this machine's, on which viser would wait for ever."""
    try:
        family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, 0), family=family):
            pass
    except OSError as error:
        raise ConfigurationError(f'cannot listen on {host}: {error}; 127.0.0.1 is this machine '
                                 'alone, 0.0.0.0 every network that it is in') from error
