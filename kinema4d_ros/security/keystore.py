# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A keystore: the folder in which ROS 2 looks for keys, certificates and signed permissions.

It has the layout of `ros2 security create_keystore`, and is made by the command openssl, which
every machine with ROS has. Keys are of P-256, as DDS Security 1.1 has them in section 9.3.1.
"""
from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, UTC
from pathlib import Path

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.security.permissions import governance, permissions
from kinema4d_ros.security.policy import SecurityPolicy

_CAS = ('identity_ca', 'permissions_ca')
_OF_ENCLAVE = ('cert.pem', 'key.pem', 'permissions.p7s')     # a folder with one of these is one
_CLOCKS = timedelta(days=1)      # that clocks of other machines may be behind this one


class Keystore:
    """
    A keystore on disk.

    `private/` holds the keys of the two authorities, which no robot needs: who has them can make
    himself an operator. `enclaves/` holds a folder for each enclave, which is all that the
    machine of its nodes needs.
    """

    def __init__(self, folder: Path, *, domain: int = 0, days: int = 3650):
        """
        Open or make a keystore.

        :param domain: ROS domain that everything is allowed in.
        :param days: how long new certificates hold.
        :raises ConfigurationError: openssl is not installed, or cannot do it; the numbers are out
            of range; the folder cannot be made; a certificate of an authority is not of its key.
        """
        if not 0 <= domain <= 232:
            raise ConfigurationError(f'the ROS domain is {domain}, it must be 0 to 232')
        if not 1 <= days <= 36500:
            raise ConfigurationError(f'certificates shall hold for {days} days, it must be 1 to '
                                     '36500')
        if shutil.which('openssl') is None:
            raise ConfigurationError('there is no command openssl: apt-get install openssl')
        self.folder, self._domain, self._days = folder.absolute(), domain, days
        with self._writing():
            for name in ('public', 'private', 'enclaves'):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            for name in _CAS:
                self._make_authority(name)

    def add(self, *policies: SecurityPolicy, remove_others: bool = False) -> list[Path]:
        """
        Make the enclaves of policies and return their folders.

        Keys and certificates that are there stay; permissions are signed anew. Enclaves that are
        there and in none of the policies would keep their old permissions: they are refused.

        :param remove_others: delete their folders instead.
        :raises ConfigurationError: there are others; openssl cannot do it; the folder cannot be
            written.
        """
        enclaves = [enclave for policy in policies for enclave in policy.enclaves]
        others = self._others({enclave.path for enclave in enclaves})
        if others and not remove_others:
            raise ConfigurationError(
                f'{self.folder} has enclaves that are not of this run and would keep what they '
                f'may: {", ".join(others)}. Give their policies too (--policy, --with-player), or '
                'delete them with --remove-others; of copies on other machines a new keystore '
                'alone gets rid')
        made = []
        with self._writing():
            for path in others:
                _remove(self._folder(path))
            governed = self.folder / 'enclaves' / 'governance'
            self._sign(governance(self._domain), governed)
            for enclave in enclaves:
                folder = self._folder(enclave.path)
                folder.mkdir(parents=True, exist_ok=True)
                self._make_identity(folder, enclave.path)
                for source in (*map(self._certificate, _CAS), governed.with_suffix('.p7s')):
                    with _replacing(folder / source.name) as new:
                        shutil.copyfile(source, new)
                self._sign(permissions(enclave, self._domain, datetime.now(UTC) - _CLOCKS,
                                       valid_until(folder / 'cert.pem')),
                           folder / 'permissions')
                made.append(folder)
        return made

    def _folder(self, path: str) -> Path:
        return self.folder / 'enclaves' / path.lstrip('/')

    def _others(self, paths: set[str]) -> list[str]:
        """Return the enclaves on disk that are not among these."""
        root = self.folder / 'enclaves'
        found = {f'/{file.parent.relative_to(root)}' for name in _OF_ENCLAVE
                 for file in root.rglob(name) if file.parent != root}
        return sorted(found - paths)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Let nobody but the owner read what is made meanwhile; say what cannot be written."""
        before = os.umask(0o077)
        try:
            yield
        except OSError as error:
            raise ConfigurationError(f'the keystore {self.folder} cannot be written: {error}; '
                                     'choose a folder that is yours') from error
        finally:
            os.umask(before)

    def _certificate(self, name: str) -> Path:
        return self.folder / 'public' / f'{name}.cert.pem'

    def _key(self, name: str) -> Path:
        return self.folder / 'private' / f'{name}.key.pem'

    def _make_authority(self, name: str) -> None:
        """Make key and certificate of an authority, unless they are there."""
        certificate, key = self._certificate(name), self._key(name)
        if certificate.exists():
            if not key.exists():
                raise ConfigurationError(
                    f'{certificate} is there and its key {key} is not: nothing can be signed; '
                    'bring the folder private/ back, or make a keystore elsewhere')
            if not _belong(certificate, key):
                raise ConfigurationError(
                    f'{certificate} is not the certificate of its key {key}: nothing that is '
                    'signed would be believed; bring both back from a copy, or make a keystore '
                    'elsewhere')
            return
        if not key.exists():
            _make_key(key)
        with tempfile.TemporaryDirectory() as work, _replacing(certificate) as new:
            config = Path(work, 'request')
            # The one signs certificates, the other documents.
            config.write_text(_request(f'kinema4d {name}') + (
                'basicConstraints = critical, CA:TRUE, pathlen:0\n'
                'keyUsage = critical, keyCertSign, cRLSign, digitalSignature\n'
                'subjectKeyIdentifier = hash\n'))
            _openssl('req', '-x509', '-new', '-sha256', '-config', config, '-extensions', 'more',
                     '-key', key, '-days', self._days, '-out', new)

    def _make_identity(self, folder: Path, path: str) -> None:
        """Make key and certificate of an enclave, unless they are there."""
        key, certificate = folder / 'key.pem', folder / 'cert.pem'
        if key.exists() and certificate.exists():
            return
        _make_key(key)
        with tempfile.TemporaryDirectory() as work, _replacing(certificate) as new:
            config, request = Path(work, 'config'), Path(work, 'request')
            config.write_text(_request(path) + 'basicConstraints = CA:FALSE\n')
            _openssl('req', '-new', '-sha256', '-config', config, '-key', key, '-out', request)
            _openssl('x509', '-req', '-sha256', '-in', request, '-days', self._days,
                     '-CA', self._certificate('identity_ca'), '-CAkey', self._key('identity_ca'),
                     '-set_serial', f'0x{secrets.token_hex(16)}', '-extfile', config,
                     '-extensions', 'more', '-out', new)

    def _sign(self, text: str, path: Path) -> None:
        """Write a document as .xml and, signed by the authority for permissions, as .p7s."""
        document = path.with_suffix('.xml')
        with _replacing(document) as new:
            new.write_text(text)
        with _replacing(path.with_suffix('.p7s')) as new:
            _openssl('smime', '-sign', '-text', '-in', document, '-out', new,
                     '-signer', self._certificate('permissions_ca'),
                     '-inkey', self._key('permissions_ca'))


def valid_until(certificate: Path) -> datetime:
    """
    Return until when a certificate holds.

    :raises ConfigurationError: it cannot be read.
    """
    said = _openssl('x509', '-in', certificate, '-noout', '-enddate').partition('=')[2].strip()
    return datetime.strptime(said, '%b %d %H:%M:%S %Y GMT').replace(tzinfo=UTC)


def _make_key(path: Path) -> None:
    with _replacing(path) as new:
        _openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256',
                 '-out', new)


def _belong(certificate: Path, key: Path) -> bool:
    """Return whether a certificate can be read and is of a key."""
    try:
        return (_openssl('x509', '-in', certificate, '-noout', '-pubkey')
                == _openssl('pkey', '-in', key, '-pubout'))
    except ConfigurationError:
        return False


def _remove(folder: Path) -> None:
    """Delete what makes a folder an enclave; others may lie below it."""
    for name in (*_OF_ENCLAVE, *(f'{name}.cert.pem' for name in _CAS), 'governance.p7s',
                 'permissions.xml'):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _request(name: str) -> str:
    """Return a configuration of openssl req, up to what follows in its section `more`."""
    return f'[req]\nprompt = no\ndistinguished_name = name\n[name]\nCN = {name}\n[more]\n'


def _openssl(*words: object) -> str:
    done = subprocess.run(['openssl', *map(str, words)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ConfigurationError(f'openssl {words[0]} failed: {done.stderr.strip()}')
    return done.stdout


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a file to write; if all went it takes the place of what is there, a link too."""
    new = path.with_name(f'.{path.name}.new')
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
