# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy server with a fault of choice, of websockets and msgpack alone: no code of ours."""
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import msgpack
import numpy as np
from websockets.sync.server import serve

ARRAY = np.zeros((4, 2), '<f4')


def array(values: np.ndarray, **other: Any) -> dict[bytes, Any]:
    """Return an array as openpi-client 0.1.0 writes it, with whatever is to be wrong in it."""
    plain = {'__ndarray__': True, 'data': values.tobytes(), 'dtype': values.dtype.str,
             'shape': values.shape}
    return {key.encode(): value for key, value in (plain | other).items()}


def chunk(**other: Any) -> bytes:
    return msgpack.packb({'actions': array(ARRAY, **other), 'server_timing': {'infer_ms': 1.0}})


def _slowly(socket: Any) -> None:
    for byte in chunk():
        time.sleep(0.05)
        yield bytes([byte])


def _traceback(socket: Any) -> None:
    socket.send('Traceback (most recent call last):\n  File "model.py", line 7\n'
                'KeyError: observation/wrist_image_left')
    socket.close(1011)


def _mid_chunk(socket: Any) -> None:
    def half():
        yield chunk()[:20]
        raise ConnectionAbortedError
    try:
        socket.send(half())
    except ConnectionAbortedError:
        socket.socket.close()


def _twice(socket: Any) -> None:
    socket.send(chunk())
    socket.send(chunk())


def _of(make: Callable[[], Any]) -> Callable[[Any], None]:
    return lambda socket: socket.send(make())


FAULTS: dict[str, Callable[[Any], Any]] = {
    'none': _of(chunk),
    'silent': lambda socket: time.sleep(5),
    'drips': lambda socket: socket.send(_slowly(socket)),
    'traceback': _traceback,
    'nan': _of(lambda: msgpack.packb({'actions': array(np.full((4, 2), np.nan, '<f4'))})),
    'one_axis': _of(lambda: msgpack.packb({'actions': array(np.zeros(4, '<f4'))})),
    'empty': _of(lambda: msgpack.packb({'actions': array(np.zeros((0, 2), '<f4'))})),
    'shape_lies': _of(lambda: chunk(shape=(4, 3))),
    'shape_negative': _of(lambda: chunk(shape=(-4, -2))),
    'shape_huge': _of(lambda: chunk(shape=(2**40, 2**40))),
    'shape_words': _of(lambda: chunk(shape='everything')),
    'object_dtype': _of(lambda: chunk(dtype='|O')),
    'structure_dtype': _of(lambda: chunk(dtype='f4,f4')),
    'complex_dtype': _of(lambda: chunk(dtype='<c8')),
    'long_chunk': _of(lambda: msgpack.packb({'actions': array(np.zeros((5000, 2), '<f4'))})),
    'huge': _of(lambda: msgpack.packb({'actions': array(np.zeros((1 << 20, 2), '<f8'))})),
    'many_objects': _of(lambda: msgpack.packb({'actions': [[{}] * 1000] * 1000})),
    'text_actions': _of(lambda: msgpack.packb({'actions': [['a', 'b']]})),
    'ragged_actions': _of(lambda: msgpack.packb({'actions': [[1.0, 2.0], [3.0]]})),
    'no_actions': _of(lambda: msgpack.packb({'action': array(ARRAY)})),
    'a_number': _of(lambda: msgpack.packb(7)),
    'garbage': _of(lambda: b'\xc1\x00garbage'),
    'cut_off': _of(lambda: chunk()[:-5]),
    'followed': _of(lambda: chunk() + b'\x00'),
    'extension': _of(lambda: msgpack.packb({'actions': msgpack.ExtType(3, b'x')})),
    'closes': lambda socket: socket.close(),
    'mid_chunk': _mid_chunk,
    'twice': _twice,
}
#: faults of the first frame
FIRST = {'metadata_missing': None, 'metadata_text': 'CUDA out of memory',
         'metadata_list': b'\x93abc', 'metadata_garbage': b'\xc1'}


@contextmanager
def faulty_server(fault: str, metadata: dict[str, Any] | None = None):
    """Yield the address of a server that answers each request with a fault."""
    def handle(socket):
        if fault not in FIRST:
            socket.send(msgpack.packb(metadata or {}))
        elif FIRST[fault] is not None:
            socket.send(FIRST[fault])
        for _ in socket:
            FAULTS.get(fault, FAULTS['none'])(socket)

    with serve(handle, '127.0.0.1', 0, compression=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f'ws://127.0.0.1:{server.socket.getsockname()[1]}'
        server.shutdown()


if __name__ == '__main__':
    with faulty_server(sys.argv[1]) as address:
        print(address, flush=True)
        sys.stdin.read()
