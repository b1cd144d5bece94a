# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who may see the page: names, origins and the token."""
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.viewer.access import Access, access_for, is_loopback, read_token

TOKEN = 'a-token-of-this-test-alone'


class Asked:
    """The headers of a request."""

    def __init__(self, **headers):
        self.headers = {name.lower(): value for name, value in headers.items()}

    def get_all(self, name):
        value = self.headers.get(name.lower(), [])
        return [value] if isinstance(value, str) else value


def status(access, path='/', **headers):
    answer = access.answer(path, Asked(**{'host': '127.0.0.1:8080', **headers}), port=8080)
    return None if answer is None else answer.status


@pytest.mark.parametrize('host', ['127.0.0.1:8080', 'localhost', 'LOCALHOST:9000', '[::1]:8080',
                                  '192.168.1.7', 'robot.example:80'])
def test_names_that_are_served(host):
    assert status(Access(frozenset({'robot.example'})), host=host) is None


@pytest.mark.parametrize('host', ['evil.example', '127.0.0.1.evil.example', 'localhost.evil', '',
                                  'evil.example@127.0.0.1.x', '[::1', [], ['a', '127.0.0.1']])
def test_a_name_that_leads_here_from_elsewhere_is_refused(host):
    assert status(Access(frozenset({'robot.example'})), host=host) == 403


def test_only_the_page_itself_opens_a_websocket():
    def opened(**more):
        return status(Access(), upgrade='websocket', **more)

    assert opened() is None                     # no browser
    assert opened(origin='http://127.0.0.1:8080') is None
    assert opened(origin='https://127.0.0.1:8080') is None      # behind a proxy with TLS
    for origin in ('http://evil.example', 'null', 'http://127.0.0.1', 'http://127.0.0.1:8081', '',
                   'http://127.0.0.1:8080.evil.example', 'file://127.0.0.1:8080',
                   ['http://127.0.0.1:8080', 'http://evil.example']):
        assert opened(origin=origin) == 403, origin
    assert status(Access(), upgrade='WebSocket', origin='http://evil.example') == 403


def test_the_token_is_exchanged_for_a_cookie():
    access = access_for('0.0.0.0', TOKEN)
    assert status(access) == status(access, '/assets/a.js') == 403
    assert status(access, '/?token=another-token-altogether') == 403
    assert status(access, '/', cookie='kinema4d_viewer_8080=nonsense') == 403
    answer = access.answer(f'/a?fixedDpr=1&token={TOKEN}', Asked(host='10.0.0.3:8080'), port=8080)
    assert answer.status == 303 and answer.headers['Location'] == '/a?fixedDpr=1'
    cookie, *more = answer.headers['Set-Cookie'].split('; ')
    # not Strict: that is not sent on where the link stood in a page of another site
    assert {'HttpOnly', 'SameSite=Lax'} <= set(more) and TOKEN not in cookie
    assert status(access, cookie=f'other=1; {cookie}') is None
    assert status(access, upgrade='websocket', cookie=cookie) is None
    assert status(access, upgrade='websocket', cookie=cookie, origin='http://evil.example') == 403
    assert status(access_for('0.0.0.0', TOKEN + '2'), cookie=cookie) == 403
    assert status(access, f'/?token={TOKEN}', upgrade='websocket') is None      # no browser


def test_the_way_back_stays_here():
    answer = access_for('0.0.0.0', TOKEN).answer(f'//evil.example/?token={TOKEN}',
                                                 Asked(host='10.0.0.3'))
    assert answer.headers['Location'].startswith('/') \
        and not answer.headers['Location'].startswith('//')


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_asked_without_the_token_is_refused(path, cookie):
    access = access_for('0.0.0.0', TOKEN)
    for upgrade in ('', 'websocket'):
        assert status(access, path, cookie=cookie, upgrade=upgrade) == 403


def test_others_than_this_machine_need_a_token():
    for host in ('127.0.0.1', 'localhost', '127.1.2.3', '::1'):
        assert is_loopback(host) and access_for(host, '').token == ''
    for host in ('0.0.0.0', '::', '', '192.168.1.7'):
        with pytest.raises(ConfigurationError, match='needs a token: set token_file, or '
                                                     'KINEMA4D_VIEWER_TOKEN'):
            access_for(host, '')
    assert socket.gethostname().lower() in access_for('0.0.0.0', TOKEN).hosts
    assert access_for('127.0.0.1', '', ['Proxy.example']).hosts == {'proxy.example'}
    with pytest.raises(ConfigurationError, match='it must have at least 16'):
        access_for('0.0.0.0', 'short')
    with pytest.raises(ConfigurationError, match='cannot listen on'):
        is_loopback('no.such.name.invalid')
    assert TOKEN not in repr(access_for('0.0.0.0', TOKEN))


def test_where_the_token_comes_from(tmp_path, monkeypatch):
    monkeypatch.delenv('KINEMA4D_VIEWER_TOKEN', raising=False)
    assert read_token('') == ''
    monkeypatch.setenv('KINEMA4D_VIEWER_TOKEN', TOKEN)
    assert read_token('') == TOKEN
    file = tmp_path / 'token'
    with pytest.raises(ConfigurationError, match='token_file cannot be read'):
        read_token(str(file))
    file.write_text(TOKEN + '\n')
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match=f'chmod 600 {file}'):
        read_token(str(file))
    file.chmod(0o600)
    assert read_token(str(file)) == TOKEN
    file.write_text('\n')
    with pytest.raises(ConfigurationError, match='is empty'):
        read_token(str(file))
