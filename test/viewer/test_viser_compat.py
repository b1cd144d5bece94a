# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the viewer uses of viser beyond its public interface, for which version, and who gets in."""
import contextlib
import socket
import threading
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import browser
import pytest
import viser
from websockets.asyncio import server as websockets_server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.viewer import viser_compat
from kinema4d_ros.viewer.page import own_page
from kinema4d_ros.viewer.server import open_server, who_may_reach
from kinema4d_ros.viewer.viser_compat import MOST_BYTES, VISER_VERSION

TOKEN = 'a-token-of-this-test-alone'
PROTOCOL = [f'viser-v{viser.__version__}']


@contextlib.contextmanager
def served(host='127.0.0.1', **settings):
    """Give the address of a page."""
    server, address = open_server(host, 8780, **settings)
    try:
        yield address.replace('0.0.0.0', '127.0.0.1')
    finally:
        server.stop()


def opened(address, origin=None, path='', **headers):
    """Open a websocket as a page does; it is closed at the end of the block."""
    return connect(address.replace('http', 'ws') + path, origin=origin, subprotocols=PROTOCOL,
                   additional_headers=headers, open_timeout=20.0, max_size=None)


def refused(*arguments, **settings):
    """Return the status with which a websocket is refused."""
    with pytest.raises(InvalidStatus) as caught:
        opened(*arguments, **settings)
    return caught.value.response.status_code


def fetched(address, path='/', **headers):
    """Return status, headers and text of a page, without following redirections."""
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    request = urllib.request.Request(address + path, headers=headers)
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=20.0) as reply:
            return reply.status, reply.headers, reply.read().decode()
    except HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_version():
    """Another viser: look whether `viser_compat` still fits, then change the version there."""
    assert viser.__version__ == VISER_VERSION
    for name in ('constraints', 'constraints-ros'):
        constraints = Path(__file__).resolve().parents[2] / 'requirements' / f'{name}.txt'
        assert f'viser=={VISER_VERSION}\n' in constraints.read_text(), name


def test_the_served_page_is_ours_and_only_ours():
    original = websockets_server.serve
    with served() as address:
        for coding in ('', 'gzip'):
            status, headers, text = fetched(address, **{'Accept-Encoding': coding})
            assert status == 200 and '<title>Kinema4D</title>' in text and 'fixedDpr' in text
        assert headers['Content-Security-Policy'] == "frame-ancestors 'self'"
        assert fetched(address, '/nothing.js')[0] == 404
    assert websockets_server.serve is original


def test_a_viser_that_serves_in_another_way_is_not_trusted(monkeypatch):
    class Other:
        __init__ = lambda self, **_: None       # noqa: E731
        stop = __init__

    monkeypatch.setattr(viser, 'ViserServer', Other)
    with pytest.raises(ConfigurationError, match=f'cannot be checked: pip install '
                                                 f'viser=={VISER_VERSION}'):
        open_server('127.0.0.1', 8780)


def test_a_page_without_a_head_is_served_as_it_is(caplog):
    assert own_page('<p>') == '<p>'
    assert 'has no <head>' in caplog.text
    assert own_page('<head></head>').startswith('<head>\n<title>Kinema4D</title>')


def test_pages_of_other_sites_get_nothing():
    with served() as address:
        with opened(address, origin=address) as page:
            assert page.recv(timeout=20.0)
        with opened(address) as program:
            assert program.recv(timeout=20.0)
        assert refused(address, origin='http://evil.example') == 403
        assert refused(address, origin='null') == 403
        assert refused(address, origin='http://evil.example:80', Host='evil.example:80') == 403
        assert fetched(address, Host='evil.example')[0] == 403
        assert fetched(address, Host='localhost:9000')[0] == 200       # ssh -L 9000:...


def test_another_machine_needs_the_token():
    with pytest.raises(ConfigurationError, match='needs a token'):
        open_server('0.0.0.0', 8780)
    with served('0.0.0.0', token=TOKEN) as address:
        assert fetched(address)[0] == refused(address, origin=address) == 403
        assert refused(address, path='/?token=another-one-that-is-long') == 403
        assert refused(address, Cookie='kinema4d_viewer_8780=nonsense') == 403
        status, headers, _ = fetched(address, f'/?token={TOKEN}')
        assert status == 303 and headers['Location'] == '/'
        cookie = headers['Set-Cookie'].partition(';')[0]
        assert fetched(address, Cookie=cookie)[0] == 200
        with opened(address, origin=address, Cookie=cookie) as page:
            assert page.recv(timeout=20.0)
        assert refused(address, origin='http://evil.example', Cookie=cookie) == 403
        with opened(address, path=f'/?token={TOKEN}') as program:
            assert program.recv(timeout=20.0)


def test_a_message_that_is_too_large_closes_its_connection_alone():
    with served() as address, opened(address) as other:
        with opened(address) as page:
            page.send(bytes(MOST_BYTES + 1))
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    page.recv(timeout=20.0)
            assert caught.value.rcvd.code == 1009
        assert other.recv(timeout=20.0)


def test_no_more_pages_than_are_allowed(monkeypatch):
    monkeypatch.setattr(viser_compat, 'MOST_CLIENTS', 2)
    with served() as address, opened(address):
        with opened(address):
            assert refused(address) == 503
        again = threading.Event()
        while not again.is_set():        # the server hears of the end a moment later
            with contextlib.suppress(InvalidStatus), opened(address):
                again.set()


def test_connections_that_say_nothing_are_bounded(monkeypatch):
    monkeypatch.setattr(viser_compat, 'MOST_SOCKETS', 3)
    with served() as address, contextlib.ExitStack() as silent:
        port = int(address.rpartition(':')[2])
        for _ in range(3):
            silent.enter_context(socket.create_connection(('127.0.0.1', port)))
        with socket.create_connection(('127.0.0.1', port), timeout=20.0) as one_more:
            with contextlib.suppress(ConnectionResetError):
                assert one_more.recv(1) == b''


def test_the_log_says_who_can_reach_it():
    assert who_may_reach('127.0.0.1', '') == 'programs and users of this machine, no others'
    said = who_may_reach('0.0.0.0', TOKEN)
    assert 'a network of this machine, unencrypted' in said and TOKEN not in said


@pytest.mark.skipif(browser.CHROMIUM is None,
                    reason='there is no browser: apt-get install chromium')
def test_a_browser_with_the_token_shows_the_page():
    chromium = browser.Browser(400, 300)
    try:
        with contextlib.ExitStack() as end:
            server, _ = open_server('0.0.0.0', 8780, token=TOKEN)
            end.callback(server.stop)
            address = f'http://127.0.0.1:{server.get_port()}'
            page = chromium.page(address)
            page.wait_text('a token is needed')
            page.open(f'{address}/?token={TOKEN}')
            page.wait(lambda: page.run('document.title') == 'Kinema4D', 'the page')
            page.wait(lambda: page.run("location.search.includes('token')") is False, 'no token')
            page.wait(server.get_clients, 'its websocket')
            assert page.problems == []
    finally:
        chromium.close()
