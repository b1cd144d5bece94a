# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who may see the page: which names it is asked for by, which pages ask, and who has the token."""
from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import socket
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from kinema4d_ros.errors import ConfigurationError

#: environment variable that holds the token, where there is no file
TOKEN_VARIABLE = 'KINEMA4D_VIEWER_TOKEN'
_SHORTEST = 16      # characters of a token
_HOW = 'make one: (umask 077; python3 -c "import secrets; print(secrets.token_urlsafe(24))" > FILE)'


class Headers(Protocol):
    """The headers of a request; the websockets library has such an object."""

    def get_all(self, key: str, /) -> Sequence[str]:
        """Return the values of all headers of this name."""


@dataclass(frozen=True)
class Answer:
    """An answer instead of what was asked for."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Access:
    """
    Decides on each request, of a page as of a websocket, before anything else looks at it.

    A page of another site can have a browser ask this server for anything; it names its own site in
    Origin, and where it has redirected its own name to this machine (DNS rebinding), that name in
    Host. Addresses cannot be redirected, so all of them may be used.

    :param hosts: names that the page may be asked for by, besides addresses and localhost.
    :param token: that must be shown; '' where none is needed.
    """

    hosts: frozenset[str] = frozenset()
    token: str = field(default='', repr=False)

    def answer(self, path: str, headers: Headers, *, port: int = 0) -> Answer | None:
        """
        Return what to answer instead; None where the request may go on.

        :param path: with its query.
        :param port: that the server listens on, which tells its cookie from others' of this host.
        """
        hosts = headers.get_all('Host')
        if len(hosts) != 1 or not self._knows(hosts[0]):
            return Answer(403, 'this page is not served under that name; use the address of this '
                               'machine, or the parameter allowed_hosts of the viewer')
        upgrade = ','.join(headers.get_all('Upgrade')).lower()
        if 'websocket' in upgrade and not _same_origin(headers.get_all('Origin'), hosts[0]):
            return Answer(403, 'a page of another origin asked for this')
        return self._without_token(path, headers, port, is_page=not upgrade)

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f'//{host}').hostname or ''
            if name in ('localhost', *self.hosts):
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _without_token(self, path: str, headers: Headers, port: int, *, is_page: bool
                      ) -> Answer | None:
        if not self.token:
            return None
        name, secret = f'kinema4d_viewer_{port}', self._cookie()
        cookies = [part.strip() for header in headers.get_all('Cookie')
                   for part in header.split(';')]
        shown = [cookie.partition('=')[2] for cookie in cookies if cookie.startswith(f'{name}=')]
        if any(_equal(cookie, secret) for cookie in shown):
            return None
        address = urlsplit(path)
        query = parse_qs(address.query)
        if not any(_equal(token, self.token) for token in query.pop('token', ())):
            return Answer(403, 'a token is needed: open this page as ADDRESS/?token=TOKEN; who '
                               'started the viewer has it')
        if not is_page:
            return None
        # Out of the address at once: those are remembered, and shown to others.
        rest = urlencode(query, doseq=True)
        place = '/' + address.path.lstrip('/')      # `//name` would be another server
        # Lax: after a click on another site's page, Strict is not sent on along this redirection.
        # Such a page can but show this one; its websockets are refused by Origin.
        return Answer(303, 'go on without the token', {
            'Location': place + (f'?{rest}' if rest else ''),
            'Set-Cookie': f'{name}={secret}; Path=/; HttpOnly; SameSite=Lax'})

    def _cookie(self) -> str:
        """Return what stands for the token in the browser, the same after another start."""
        return hmac.new(self.token.encode(), b'kinema4d viewer', hashlib.sha256).hexdigest()


def access_for(host: str, token: str, allowed_hosts: Iterable[str] = ()) -> Access:
    """
    Return who may see the page of a server on an address.

    :param host: address or name to listen on.
    :raises ConfigurationError: others than this machine could reach it, and there is no token.
    """
    names = {name.lower() for name in allowed_hosts}
    if not is_loopback(host):
        if not token:
            raise ConfigurationError(
                f'host {host!r} lets other machines reach the page, which needs a token: set '
                f'token_file, or {TOKEN_VARIABLE} in the environment; {_HOW}. Without one, '
                'listen on 127.0.0.1, and use ssh -L 8080:127.0.0.1:8080 from elsewhere')
        names |= {name.lower() for name in (socket.gethostname(), socket.getfqdn(), host)}
        names |= {f'{name}.local' for name in tuple(names) if '.' not in name}
    if token and len(token) < _SHORTEST:
        raise ConfigurationError(f'the token has {len(token)} characters, it must have at least '
                                 f'{_SHORTEST}; {_HOW}')
    return Access(frozenset(names), token)


def read_token(file: str) -> str:
    """
    Return the token: the content of a file, or of the environment variable, '' where neither is.

    :param file: path; '' for none.
    :raises ConfigurationError: the file cannot be read, or others may read it.
    """
    if not file:
        return os.environ.get(TOKEN_VARIABLE, '').strip()
    path = Path(file).expanduser()
    try:
        mode, token = stat.S_IMODE(path.stat().st_mode), path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f'token_file cannot be read: {error}; {_HOW}') from error
    if mode & 0o077:
        raise ConfigurationError(f'token_file {path} can be read by others (mode {mode:o}): '
                                 f'chmod 600 {path}')
    if not token:
        raise ConfigurationError(f'token_file {path} is empty; {_HOW}')
    return token


def is_loopback(host: str) -> bool:
    """
    Return whether only this machine can reach an address.

    :raises ConfigurationError: the name is not known.
    """
    try:
        found = socket.getaddrinfo(host, None) if host else []
    except OSError as error:
        raise ConfigurationError(f'cannot listen on {host!r}: {error}') from error
    return bool(found) and all(ipaddress.ip_address(
        str(address[0]).partition('%')[0]).is_loopback for *_, address in found)


def _same_origin(origins: Sequence[str], host: str) -> bool:
    """Return whether a request comes from the page itself, or from no page at all."""
    return not origins or (len(origins) == 1 and origins[0].lower() in (
        f'http://{host.lower()}', f'https://{host.lower()}'))


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
