# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What this package needs of viser beyond its public interface.

viser asks nobody who may connect, and has no option for the page that it serves. It serves through
`websockets.asyncio.server.serve`, which is public and can do both; that function is exchanged for
the time in which a server is made. Where another viser serves in another way nothing is served.
"""
from __future__ import annotations

import contextlib
import http
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from kinema4d_ros.viewer.access import Access

#: the version of viser that this was written for and is tested with
VISER_VERSION = '1.1.1'
MOST_CLIENTS = 16               # pages that are open at a time
MOST_SOCKETS = 64               # connections, those included that have not yet said what they want
MOST_BYTES = 1 << 20            # of a message from a browser: clicks and cameras
_HEADERS = {'Content-Security-Policy': "frame-ancestors 'self'", 'Referrer-Policy': 'no-referrer',
            'X-Content-Type-Options': 'nosniff'}
_lock = threading.Lock()        # a server is made with an exchanged function by one thread a time

_Process = Callable[[Any, Any], Any]


class Guard:
    """What stands between a server of websockets and the network."""

    def __init__(self, access: Access, page: Callable[[str], str]):
        """
        Make a guard for one server.

        :param access: who may connect.
        :param page: returns what is served in the place of a page, HTML both.
        """
        self._access, self._page = access, page
        self._clients = self._sockets = 0
        self.is_used = False

    def settings(self, handler: Callable[[Any], Awaitable[None]], process: _Process
                 ) -> dict[str, Any]:
        """Return the arguments of `serve` that put the guard before a server's own callbacks."""
        from websockets.asyncio.server import ServerConnection

        guard = self
        self.is_used = True

        class CountedConnection(ServerConnection):
            """Closed at once where there are too many; all in the thread of the event loop."""

            def connection_made(self, transport: Any) -> None:
                guard._sockets += 1
                super().connection_made(transport)
                if guard._sockets > MOST_SOCKETS:
                    transport.abort()

            def connection_lost(self, exc: Exception | None) -> None:
                guard._sockets -= 1
                super().connection_lost(exc)

        async def counted(connection: Any) -> None:
            if self._clients >= MOST_CLIENTS:       # they came at the same time
                await connection.close(1013, 'too many pages are open')
                return
            self._clients += 1
            try:
                await handler(connection)
            finally:
                self._clients -= 1

        return {'handler': counted, 'create_connection': CountedConnection,
                'max_size': MOST_BYTES,
                'process_request': lambda connection, request: self._process(
                    connection, request, process)}

    def _process(self, connection: Any, request: Any, process: _Process) -> Any:
        """Return the answer to a request; None lets the websocket be opened."""
        refusal = self._access.answer(request.path, request.headers,
                                      port=connection.local_address[1])
        if refusal is not None:
            response = connection.respond(http.HTTPStatus(refusal.status), refusal.text + '\n')
            return _with(response, refusal.headers)
        is_page = request.path.partition('?')[0] in ('/', '/index.html')
        if is_page and 'Accept-Encoding' in request.headers:
            del request.headers['Accept-Encoding']      # it is changed below
        response = process(connection, request)
        if response is None:
            if self._clients >= MOST_CLIENTS:
                return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE,
                                          f'{MOST_CLIENTS} pages are open already\n')
            return None
        if is_page and response.status_code == http.HTTPStatus.OK:
            response.body = self._page(response.body.decode()).encode()
            del response.headers['Content-Length']
            response.headers['Content-Length'] = str(len(response.body))
        return _with(response, _HEADERS)


@contextlib.contextmanager
def serving_behind(guard: Guard) -> Iterator[None]:
    """Have the viser server that is made meanwhile served behind a guard, if it can be."""
    from websockets.asyncio import server

    original: Any = server.serve

    def serve(handler: Any, *args: Any, process_request: Any = None, **more: Any) -> Any:
        changed = guard.settings(handler, process_request or (lambda *_: None))
        return original(changed.pop('handler'), *args, **{**more, **changed})

    with _lock:
        server.serve = serve       # type: ignore[assignment,misc]
        try:
            yield
        finally:
            server.serve = original       # type: ignore[misc]


def _with(response: Any, headers: dict[str, str]) -> Any:
    for name, value in headers.items():
        response.headers[name] = value
    return response
