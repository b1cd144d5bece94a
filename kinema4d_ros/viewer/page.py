# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The web page that is served: viser's own, told to spare a browser that has no GPU."""
from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

_HEAD = '<head>'
# Without a GPU a browser draws each sample of each pixel on the processor. The page asks for four
# samples a pixel, and lowers the resolution only after it has been slow for long; here it gets one
# sample, and the lower resolution at once. Runs before the page's own code.
_SCRIPT = '''
<title>Kinema4D</title>
<script>
(() => {
    const probe = document.createElement('canvas').getContext('webgl2');
    if (!probe) return;
    const info = probe.getExtension('WEBGL_debug_renderer_info');
    const name = probe.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : probe.RENDERER);
    const lose = probe.getExtension('WEBGL_lose_context');
    if (lose) lose.loseContext();
    if (!/swiftshader|llvmpipe|softpipe|lavapipe|basic render|software/i.test(name)) return;
    const address = new URL(location.href);
    if (!address.searchParams.has('fixedDpr')) {
        address.searchParams.set('fixedDpr', '0.75');
        history.replaceState(null, '', address);
    }
    const original = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, wishes) {
        const is3D = kind === 'webgl' || kind === 'webgl2';
        return original.call(this, kind, is3D ? {...wishes, antialias: false} : wishes);
    };
})();
</script>
'''


@contextlib.contextmanager
def own_page() -> Iterator[None]:
    """
    Have viser servers that are started meanwhile serve this page.

    viser has no option for it: the folder that it serves is exchanged where it hands it on. Where
    a newer viser does not do that any more, its own page is served, which only is slower.
    """
    import viser

    infra = getattr(viser, 'infra', None)
    original = getattr(infra, 'WebsockServer', None)
    if original is None:
        yield
        return

    class WebsockServer(original):
        def __init__(self, *args, **more):
            self._folder = tempfile.TemporaryDirectory(prefix='kinema4d_ros_viewer_')
            if 'http_server_root' in more:
                more['http_server_root'] = _copy(more['http_server_root'],
                                                 Path(self._folder.name))
            super().__init__(*args, **more)

        def stop(self) -> None:
            super().stop()
            self._folder.cleanup()

    with patch.object(infra, 'WebsockServer', WebsockServer):
        yield


def _copy(root: Path | None, folder: Path) -> Path | None:
    """Make the folder like viser's, with the script in its page; return viser's if it has none."""
    page = None if root is None else root / 'index.html'
    text = page.read_text(encoding='utf-8') if page is not None and page.is_file() else ''
    if _HEAD not in text:
        return root
    for entry in root.iterdir():
        if entry != page:
            (folder / entry.name).symlink_to(entry)
    (folder / page.name).write_text(text.replace(_HEAD, _HEAD + _SCRIPT, 1), encoding='utf-8')
    return folder
