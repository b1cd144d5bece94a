# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real browser without a screen: Debian's chromium, told what to do by its DevTools protocol."""
import base64
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
from lacking import BROWSER
from websockets.sync.client import connect

CHROMIUM = BROWSER
FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--use-gl=angle',
         '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--disable-extensions', '--disable-dev-shm-usage', '--mute-audio', '--hide-scrollbars',
         '--remote-debugging-port=0')


class Browser:
    """One browser process; close it."""

    def __init__(self, width: int = 1280, height: int = 800):
        self._folder = tempfile.TemporaryDirectory(
            prefix='kinema4d_ros_browser_', ignore_cleanup_errors=True)   # it writes to the last
        self._process = subprocess.Popen(
            ['nice', '-n', '10', CHROMIUM, *FLAGS, f'--user-data-dir={self._folder.name}',
             f'--window-size={width},{height}', 'about:blank'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        port_file = Path(self._folder.name, 'DevToolsActivePort')
        self._wait(lambda: port_file.is_file() and '\n' in port_file.read_text(), 30.0,
                   'chromium to start')
        self.port = int(port_file.read_text().split()[0])

    def page(self, address: str) -> 'Page':
        """Open another page."""
        request = urllib.request.Request(
            f'http://127.0.0.1:{self.port}/json/new?about:blank', method='PUT')
        with urllib.request.urlopen(request, timeout=20.0) as reply:
            page = Page(json.load(reply)['webSocketDebuggerUrl'])
        page.open(address)
        return page

    def core_seconds(self) -> float:
        """Return the time that all its processes together have computed [s]."""
        ticks = 0
        for process in Path('/proc').glob('[0-9]*'):
            try:
                if self._folder.name in (process / 'cmdline').read_text():
                    fields = (process / 'stat').read_text().rpartition(')')[2].split()
                    ticks += int(fields[11]) + int(fields[12])       # in user and system mode
            except OSError:
                pass      # it ended meanwhile
        return ticks / os.sysconf('SC_CLK_TCK')

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _wait(self, condition, limit: float, what: str) -> None:
        end = time.monotonic() + limit
        while not condition():
            assert self._process.poll() is None, 'chromium ended'
            assert time.monotonic() < end, f'waited {limit} s for {what}'
            time.sleep(0.05)      # another program's file, of which no event tells


class Page:
    """One tab."""

    def __init__(self, address: str):
        self._socket = connect(address, max_size=None, open_timeout=20.0)
        self._number = 0
        self.requests: list[str] = []     # addresses that the page asked for
        self.problems: list[str] = []     # exceptions in the page
        for domain in ('Page', 'Network', 'Runtime'):
            self.tell(f'{domain}.enable')

    def tell(self, method: str, limit: float = 30.0, **parameters):
        """Send one command and return its result; events that come before are noted."""
        self._number += 1
        self._socket.send(json.dumps({'id': self._number, 'method': method, 'params': parameters}))
        end = time.monotonic() + limit
        while True:
            message = json.loads(self._socket.recv(timeout=max(0.1, end - time.monotonic())))
            self._note(message)
            if message.get('id') == self._number:
                assert 'error' not in message, message['error']
                return message['result']

    def _note(self, message: dict) -> None:
        method, told = message.get('method'), message.get('params', {})
        if method == 'Network.requestWillBeSent':
            self.requests.append(told['request']['url'])
        elif method == 'Network.webSocketCreated':
            self.requests.append(told['url'])
        elif method == 'Runtime.exceptionThrown':
            self.problems.append(str(told['exceptionDetails']))

    def open(self, address: str) -> None:
        """Go to an address."""
        self.tell('Page.navigate', url=address)

    def reload(self) -> None:
        """Load the page again."""
        self.show()
        self.tell('Page.reload')

    def show(self) -> None:
        """Bring it to the front: tabs behind another do not draw."""
        self.tell('Page.bringToFront')

    def run(self, script: str):
        """Return the value of an expression in the page."""
        result = self.tell('Runtime.evaluate', expression=script, returnByValue=True)
        assert 'exceptionDetails' not in result, result['exceptionDetails']
        return result['result'].get('value')

    def text(self) -> str:
        """Return all text of the page."""
        return self.run('document.body ? document.body.innerText : ""')

    def wait(self, condition, what: str, limit: float = 30.0):
        """Wait until `condition()` is true and return what it returned."""
        end = time.monotonic() + limit
        while not (result := condition()):
            assert time.monotonic() < end, f'waited {limit} s for {what}; it says: {self.text()}'
            self.tell('Runtime.evaluate', expression='new Promise(r => setTimeout(r, 100))',
                      awaitPromise=True)
        return result

    def wait_text(self, text: str, limit: float = 30.0) -> None:
        """Wait until the page shows a text."""
        self.wait(lambda: text in self.text(), f'{text!r} on the page', limit)

    def click(self, text: str) -> None:
        """Click on the button or label with this text."""
        x, y = self.wait(lambda: self.run(f'''(() => {{
            const all = [...document.querySelectorAll("button, label")];
            const one = all.find(e => e.innerText.trim().startsWith({json.dumps(text)}));
            if (!one) return null;
            one.scrollIntoView({{block: "center"}});
            const box = one.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()'''), f'something to click on with the text {text!r}')
        self.press(x, y)

    def choose(self, label: str, option: str, limit: float = 30.0) -> None:
        """Choose from the list with this label, again where the page was redrawn meanwhile."""
        self.wait(lambda: self._try_to_choose(label, option),
                  f'{option!r} in the list {label!r}', limit)

    def _try_to_choose(self, label: str, option: str) -> bool:
        """Open the list or press the option, whichever is next; tell whether it is chosen."""
        return self.run(f'''(() => {{
            const one = [...document.querySelectorAll("label")].find(
                e => e.innerText.trim() === {json.dumps(label)} && e.htmlFor);
            const list = one && document.getElementById(one.htmlFor);
            if (!list) return false;
            if (list.value === {json.dumps(option)}) return true;
            const open = [...document.querySelectorAll("[role=option]")].find(
                e => e.innerText.trim() === {json.dumps(option)});
            if (open) open.click();
            else if (list.getAttribute("aria-expanded") !== "true") list.click();
            return false;
        }})()''')

    def press(self, x: float, y: float) -> None:
        """Press and let go the mouse at a place."""
        for kind in ('mouseMoved', 'mousePressed', 'mouseReleased'):
            self.tell('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left',
                      buttons=1, clickCount=1)

    def picture(self) -> np.ndarray:
        """Return what the page looks like, (H, W, 3) uint8 RGB."""
        told = self.tell('Page.captureScreenshot', limit=60.0, format='png')
        data = base64.b64decode(told['data'])
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Close the tab."""
        self.tell('Page.close')
        self._socket.close()
