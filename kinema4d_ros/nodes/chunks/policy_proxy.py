# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node policy_proxy: a policy's WebSocket server for the robot's client, each chunk checked.

The client is given its address instead of the server's, and needs no other change. It is no
certified safety function.
"""
from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.chunks.parameters import POLICY_PROXY as TABLE
from kinema4d_ros.nodes.chunks.proxy_node import ProxyNode
from kinema4d_ros.policy.action_chunks import ActionReader
from kinema4d_ros.policy.chunk_check import CheckedChunk, ChunkChecker
from kinema4d_ros.policy.preset import PolicyPreset
from kinema4d_ros.policy.wire.client import Connection
from kinema4d_ros.policy.wire.preset_keys import preset_keys
from kinema4d_ros.policy.wire.proxy import ProxySession
from kinema4d_ros.policy.wire.server import PolicyServer
from kinema4d_ros.policy.wire.translator import Translator


class PolicyProxy(ProxyNode):
    """Serves one client at a time, in a thread beside the executor."""

    def __init__(self) -> None:
        """
        Open the port.

        :raises ConfigurationError: a parameter is missing or bad.
        """
        super().__init__('policy_proxy', TABLE, 'policy')
        values = self.values
        self._preset = PolicyPreset.load(values['preset'])
        self._server_key = key_of(values['server_api_key_file'])
        self._connection()      # what is wrong with the address shows at once
        self._server = PolicyServer(self._session, host=values['host'], port=values['port'],
                                    api_key=key_of(values['api_key_file']), most_clients=1)
        self.get_logger().info(f'mode {values["mode"]}: give the client {self._server.address} '
                               f'instead of {values["server"]}')

    def _connection(self) -> Connection:
        return Connection(self.values['server'], api_key=self._server_key,
                          timeout=self.values['answer_timeout'])

    def _session(self) -> ProxySession:
        """Return what answers a client that has come, for the robot as it is described now."""
        values, robot = self.values, self.live.robot()
        form = self._preset.action_format(robot, joints=values['joints'],
                                          tip_link=values['tip_link'])
        keys = preset_keys(self._preset, robot, form, tip_link=values['tip_link'])
        checker = ChunkChecker(ActionReader(robot, form), self.guard(robot), keys.executed)

        def joints() -> Mapping[str, float]:
            self.guard(robot)       # with the settings as they are now
            return self.joints()

        return ProxySession(self._connection(), checker, Translator(keys, robot), joints,
                            self._checked)

    def _checked(self, checked: CheckedChunk) -> None:
        self.report.chunk(checked.choice, checked.held)

    def quit(self) -> None:
        """Let the client go, and whatever waits."""
        super().quit()
        self._server.close()


def key_of(file: str) -> str:
    """
    Return the key in a file; '' for no file.

    :raises ConfigurationError: it cannot be read, or others may read it.
    """
    if not file:
        return ''
    path = Path(file).expanduser()
    try:
        mode, key = stat.S_IMODE(path.stat().st_mode), path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f'the key file cannot be read: {error}') from error
    if mode & 0o077 or not key:
        raise ConfigurationError(f'the key file {path} is empty' if not key else
                                 f'the key file {path} can be read by others: chmod 600 {path}')
    return key


def make_node(on_end: Callable[[], Any]) -> PolicyProxy:
    """Return the node, with its port open."""
    return PolicyProxy()
