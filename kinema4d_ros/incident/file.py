# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The file of an incident packet: a zip of pictures, text and arrays that any tool can look into.

A packet may come from anywhere, so the reader unpacks nothing to disk, knows every name and every
largest size beforehand, reads no pickles, and checks what it got against each other.
"""
from __future__ import annotations

import io
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinema4d_ros.errors import IncidentError, Kinema4DError
from kinema4d_ros.incident.packet import IncidentPacket, IncidentRules
from kinema4d_ros.incident.parts import array_of, document, encoded, packed, plain_json
from kinema4d_ros.incident.seen import head_of, LIMITS, observation_of, OF_VIEW, parts_of
from kinema4d_ros.serialization import from_plain, to_plain
from kinema4d_ros.types import JointTrajectory, Verdict

FORMAT = 2              # 1 was of kinema4d_ros 0.1
MAX_FILE = 200 << 20             # [bytes] of a packet
_MAX_UNPACKED = 1 << 30          # [bytes] of all its parts
MAX_FRAMES = 60                  # of the prediction, which is kept for looking at only
_FRAME_WIDTH = 240               # [px]
#: name -> largest size unpacked [bytes]
_TEXTS = {'incident.json': 4 << 20, 'verdict.json': 4 << 20, 'rules.json': 16 << 20,
          'robot.urdf': 64 << 20}
_ARRAYS = {f'trajectory_{name}.npy': 256 << 20 for name in (
    'times', 'positions', 'velocities', 'accelerations')}
_FRAME = re.compile(r'prediction/\d{4}\.jpg')
_LIMITS = {**_TEXTS, **OF_VIEW, **_ARRAYS, **LIMITS}
_REQUIRED = ('incident.json', 'verdict.json', 'rules.json', 'robot.urdf', 'image.png',
             'T_base_camera.npy', 'trajectory_times.npy', 'trajectory_positions.npy')
_ADVICE = 'was it copied whole? a packet is written by shadow_sim (parameter incident_dir)'


def write_packet(path: str | Path, packet: IncidentPacket) -> None:
    """
    Write a packet under a temporary name, and give it its own once it is whole.

    :raises IncidentError: it cannot be written, or is larger than a packet may be.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix='.incident_',
                                         delete=False) as file:
            try:
                with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
                    for name, data in _parts(packet):
                        archive.writestr(name, data)
                        if file.tell() > MAX_FILE:
                            raise IncidentError(f'incident packet {path}: it would be larger than '
                                                f'{MAX_FILE >> 20} MB')
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise IncidentError(f'incident packet {path} cannot be written: {error}') from error


def read_packet(path: str | Path) -> IncidentPacket:
    """
    Read a packet, trusting nothing in it.

    :raises IncidentError: naming the file, the part, and what is wrong with it: it is none, is
        damaged, or holds what does not belong together.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE:
            raise IncidentError(f'incident packet {path} is larger than {MAX_FILE >> 20} MB')
        with zipfile.ZipFile(path) as archive:
            parts, total = {}, 0
            for name in _names(archive):
                parts[name] = _part(archive, name)
                total += len(parts[name])
                if total > _MAX_UNPACKED:
                    raise IncidentError(f'it unpacks to more than {_MAX_UNPACKED >> 20} MB')
        return _packet(parts)
    except (IncidentError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise IncidentError(f'incident packet {path}: {problem}; {_ADVICE}') from error
    except Exception as error:      # a damaged zip raises almost anything
        raise IncidentError(f'incident packet {path} is damaged or none '
                            f'({type(error).__name__}: {error}); {_ADVICE}') from error


# --------------------------------------------------------------------------- writing

def _parts(packet: IncidentPacket) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of everything that the file holds."""
    observation, motion = packet.observation, packet.trajectory
    yield 'incident.json', plain_json({
        'format': FORMAT, **head_of(observation), 'joint_names': list(motion.joint_names),
        'frame_times': list(packet.frame_times)[:MAX_FRAMES], 'meshes': dict(packet.meshes)})
    yield 'verdict.json', plain_json(to_plain(packet.verdict))
    yield 'rules.json', plain_json(to_plain(packet.rules))
    yield 'robot.urdf', packet.robot_description.encode('utf-8', 'surrogatepass')
    yield from parts_of(observation)
    for name in ('times', 'positions', 'velocities', 'accelerations'):
        if (array := getattr(motion, name)) is not None:
            yield f'trajectory_{name}.npy', packed(array)
    for number, frame in enumerate(packet.frames[:MAX_FRAMES]):
        yield f'prediction/{number:04d}.jpg', encoded('.jpg', smaller(frame)[..., ::-1])


def smaller(frame: np.ndarray) -> np.ndarray:
    """Return a predicted image (H, W, 3) uint8 in the size that a packet keeps."""
    height, width = frame.shape[:2]
    if width <= _FRAME_WIDTH:
        return frame
    import cv2
    size = _FRAME_WIDTH, max(1, round(height * _FRAME_WIDTH / width))
    small: np.ndarray = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return small


# --------------------------------------------------------------------------- reading

def _names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names in the archive, each of which is known and there once."""
    names = archive.namelist()
    strange = [name for name in names if name not in _LIMITS and not _FRAME.fullmatch(name)]
    if strange:
        raise IncidentError(f'it holds {strange[0][:80]!r}, which is no part of a packet')
    if len(set(names)) != len(names):
        raise IncidentError('it holds a part twice')
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise IncidentError(f'it lacks {", ".join(missing)}')
    if len(names) - len(set(names) & set(_LIMITS)) > MAX_FRAMES:
        raise IncidentError(f'it holds more than {MAX_FRAMES} predicted frames')
    return sorted(names)


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a part; never more of it than it may have, whatever its header says."""
    limit = _LIMITS.get(name, 1 << 20)
    with archive.open(name) as stream:
        data = stream.read(limit + 1)       # to the end, where its checksum is compared
    if len(data) > limit:
        raise IncidentError(f'{name} unpacks to more than {limit} bytes')
    return data


def _packet(parts: dict[str, bytes]) -> IncidentPacket:
    head = document(parts, 'incident.json')
    if not isinstance(head, dict) or head.get('format') != FORMAT:
        version = head.get('format') if isinstance(head, dict) else None
        hint = '; kinema4d_ros 0.1 wrote it, replay it with that' if version == 1 else ''
        raise IncidentError(
            f'incident.json has format {version!r}, this reader knows {FORMAT}{hint}')
    try:
        observation = observation_of(head, parts)
        names = from_plain(tuple[str, ...], head['joint_names'], 'incident.json: joint_names')
        shape = (None, len(names))
        trajectory = JointTrajectory(
            names, array_of(parts, 'trajectory_times', np.float64, (None,)),
            array_of(parts, 'trajectory_positions', np.float64, shape),
            *(array_of(parts, f'trajectory_{name}', np.float64, shape)
              if f'trajectory_{name}.npy' in parts else None
              for name in ('velocities', 'accelerations')))
        times = from_plain(tuple[float, ...], head['frame_times'], 'incident.json: frame_times')
        frames = tuple(_frame(parts[name]) for name in sorted(parts) if _FRAME.fullmatch(name))
        if len(times) != len(frames):
            raise IncidentError(f'it has {len(frames)} predicted frames for {len(times)} times')
        meshes = {str(uri): str(value) for uri, value in dict(head['meshes']).items()}
        return IncidentPacket(
            observation, parts['robot.urdf'].decode('utf-8', 'surrogatepass'), trajectory,
            from_plain(IncidentRules, document(parts, 'rules.json'), 'rules.json'),
            from_plain(Verdict, document(parts, 'verdict.json'), 'verdict.json'),
            frames, times, meshes)
    except KeyError as error:
        raise IncidentError(f'incident.json lacks {error}') from error
    except Kinema4DError as error:
        raise IncidentError(str(error)) from error


def _frame(data: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=('JPEG',)) as picture:
        if picture.size[0] > _FRAME_WIDTH or picture.size[1] > 8 * _FRAME_WIDTH:
            raise IncidentError(f'a predicted frame has {picture.size} pixels')
        return np.array(picture.convert('RGB'))
