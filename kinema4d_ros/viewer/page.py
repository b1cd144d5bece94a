# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The web page that is served: viser's own, with a script that spares browsers without a GPU."""
from __future__ import annotations

import logging

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


def own_page(text: str) -> str:
    """
    Return viser's page with the script.

    :param text: HTML; it is returned as it is where it has no head to put a script into.
    """
    if _HEAD not in text:
        logging.getLogger(__name__).warning(
            'the page of viser has no %s: it is served as it is, which is slower in a browser '
            'without a GPU', _HEAD)
    return text.replace(_HEAD, _HEAD + _SCRIPT, 1)
