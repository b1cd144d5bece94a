# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the viewer uses of viser beyond its public interface, and for which version."""
import urllib.request

import viser

from kinema4d_ros.viewer.page import own_page
from kinema4d_ros.viewer.server import open_server
from kinema4d_ros.viewer.viser_compat import serving_from, VISER_VERSION


def test_version():
    """Another viser: look whether `viser_compat` still fits, then change the version there."""
    assert viser.__version__ == VISER_VERSION


def test_the_served_page_is_ours_and_only_ours():
    original = viser.infra.WebsockServer
    server, address = open_server('127.0.0.1', 8780)
    try:
        text = urllib.request.urlopen(address, timeout=20.0).read().decode()
        assert '<title>Kinema4D</title>' in text and 'fixedDpr' in text
    finally:
        server.stop()
    assert viser.infra.WebsockServer is original


def test_a_viser_without_that_class_serves_its_own_page(monkeypatch, caplog):
    monkeypatch.delattr(viser.infra, 'WebsockServer')
    with serving_from(own_page):
        assert not hasattr(viser.infra, 'WebsockServer')
    assert f'viser {viser.__version__} does not let its page be exchanged' in caplog.text


def test_a_page_without_a_head_is_served_as_it_is(tmp_path, caplog):
    theirs, folder = tmp_path / 'theirs', tmp_path / 'folder'
    theirs.mkdir()
    folder.mkdir()
    (theirs / 'index.html').write_text('<p>')
    assert own_page(theirs, folder) == theirs
    assert 'has no <head>' in caplog.text
    (theirs / 'index.html').write_text('<head></head>')
    (theirs / 'other.js').write_text('1')
    assert own_page(theirs, folder) == folder
    assert (folder / 'index.html').read_text().startswith('<head>\n<title>Kinema4D</title>')
    assert (folder / 'other.js').read_text() == '1'
