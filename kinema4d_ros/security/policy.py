# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
An SROS 2 policy: which node may publish, subscribe, serve and call what.

The format is that of sros2 (policy.xsd, version 0.2.0), ALLOW only: what is not allowed is denied.
"""
from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException, ElementTree

from kinema4d_ros.errors import ConfigurationError

_VERSION = '0.2.0'
_NAME = re.compile(r'/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')
#: the name of the controller that the policies of this package have
CONTROLLER = 'joint_trajectory_controller'


class Verb(enum.StrEnum):
    """What may be done; the attribute of the policy."""

    PUBLISH = 'publish'
    SUBSCRIBE = 'subscribe'
    REPLY = 'reply'             # to a service: offer it
    REQUEST = 'request'
    EXECUTE = 'execute'         # an action: offer it
    CALL = 'call'


_VERBS = {'topics': (Verb.PUBLISH, Verb.SUBSCRIBE), 'services': (Verb.REPLY, Verb.REQUEST),
          'actions': (Verb.EXECUTE, Verb.CALL)}
_SERVICES_OF_ACTIONS = ('cancel_goal', 'get_result', 'send_goal')
_TOPICS_OF_ACTIONS = ('feedback', 'status')


@dataclass(frozen=True, order=True)
class Right:
    """One thing that a node may do."""

    verb: Verb
    name: str       # fully qualified

    def simple(self) -> Iterator[Right]:
        """Yield the rights that this one comes to: topics and services only."""
        if self.verb not in (Verb.EXECUTE, Verb.CALL):
            yield self
            return
        executes = self.verb is Verb.EXECUTE
        for part in _SERVICES_OF_ACTIONS:
            yield Right(Verb.REPLY if executes else Verb.REQUEST, f'{self.name}/_action/{part}')
        for part in _TOPICS_OF_ACTIONS:
            yield Right(Verb.PUBLISH if executes else Verb.SUBSCRIBE,
                        f'{self.name}/_action/{part}')

    def dds(self) -> Iterator[tuple[Verb, str]]:
        """Yield PUBLISH or SUBSCRIBE, and the name of the DDS topic, of all that it comes to."""
        for verb, name in ((right.verb, right.name) for right in self.simple()):
            if verb in (Verb.PUBLISH, Verb.SUBSCRIBE):
                yield verb, f'rt{name}'
                continue
            serves = verb is Verb.REPLY
            yield (Verb.SUBSCRIBE if serves else Verb.PUBLISH), f'rq{name}Request'
            yield (Verb.PUBLISH if serves else Verb.SUBSCRIBE), f'rr{name}Reply'


@dataclass(frozen=True)
class Profile:
    """The rights of one node."""

    node: str       # fully qualified
    rights: tuple[Right, ...]


@dataclass(frozen=True)
class Enclave:
    """The nodes that share a key, such as all of one process."""

    path: str
    profiles: tuple[Profile, ...]

    def dds(self, verb: Verb) -> list[str]:
        """Return the DDS topics that may be published, or subscribed to, sorted."""
        return sorted({topic for profile in self.profiles for right in profile.rights
                       for kind, topic in right.dds() if kind is verb})


@dataclass(frozen=True)
class SecurityPolicy:
    """Enclaves by their path."""

    enclaves: tuple[Enclave, ...]

    @classmethod
    def read(cls, path: Path, *, namespace: str = '', controller: str = '') -> SecurityPolicy:
        """
        Read a policy file.

        :param namespace: that the nodes run in instead of the root; such as /left.
        :param controller: name of the controller in the place of joint_trajectory_controller;
            relative to the namespace unless it begins with /.
        :raises ConfigurationError: the file cannot be read, or says what is not understood;
            namespace or controller is no name of ROS.
        """
        # A permission is a pattern: a * in it would allow what nobody meant.
        if namespace and not (namespace.startswith('/') and _NAME.fullmatch(namespace)):
            raise ConfigurationError(f'namespace {namespace!r} is none of ROS; it must be names of '
                                     'letters, digits and _, with a / before each, such as /left')
        if controller and not _NAME.fullmatch(controller):
            raise ConfigurationError(f'controller {controller!r} is no name of ROS; it must be '
                                     'names of letters, digits and _, with a / between them, such '
                                     f'as /{CONTROLLER}')
        try:
            root = ElementTree.parse(path).getroot()
        except (OSError, ParseError, DefusedXmlException) as error:
            raise ConfigurationError(f'the policy {path} cannot be read: {error}') from error
        if root.tag != 'policy' or root.get('version') != _VERSION:
            raise ConfigurationError(
                f'{path} begins with <{root.tag} version={root.get("version")!r}>; a policy of '
                f'version {_VERSION} is understood')
        found = tuple(_enclave(element, path, namespace, controller)
                      for element in root.iterfind('enclaves/enclave'))
        paths = [enclave.path for enclave in found]
        if not paths or len(set(paths)) < len(paths):
            raise ConfigurationError(f'{path} has {"an enclave twice" if paths else "no enclave"}: '
                                     'each has one element <enclave> in <enclaves>')
        return cls(found)

    def enclave(self, path: str) -> Enclave:
        """
        Return one enclave.

        :raises ConfigurationError: there is none of that path.
        """
        for enclave in self.enclaves:
            if enclave.path == path:
                return enclave
        raise ConfigurationError(f'the policy has no enclave {path!r}, it has: '
                                 f'{", ".join(enclave.path for enclave in self.enclaves)}')


def _enclave(element: Any, path: Path, namespace: str, controller: str) -> Enclave:
    name = element.get('path', '')
    parts = name.split('/')
    if parts[0] or len(parts) < 2 or not all(part.replace('_', '').isalnum()
                                             for part in parts[1:]):
        raise ConfigurationError(f'{path}: an enclave has the path {name!r}; it must be names of '
                                 'letters, digits and _, with a / before each')
    return Enclave(name, tuple(_profile(profile, path, namespace, controller)
                               for profile in element.iterfind('profiles/profile')))


def _profile(element: Any, path: Path, namespace: str, controller: str) -> Profile:
    space, node = f'{namespace}{element.get("ns", "")}'.rstrip('/'), element.get('node')
    if space and not space.startswith('/') or not node:
        raise ConfigurationError(f'{path}: a profile has ns={space!r} and node={node!r}; it needs '
                                 'a namespace that begins with / and the name of a node')
    rights = []
    for group in element:
        verbs = _VERBS.get(group.tag, ())
        if not verbs or not group.attrib or set(group.attrib) - set(verbs) \
                or set(group.attrib.values()) != {'ALLOW'} \
                or {child.tag for child in group} != {group.tag[:-1]}:
            raise ConfigurationError(
                f'{path}: profile {node} has <{group.tag} {group.attrib}>; understood are '
                + ', '.join(f'<{tag} {verb}="ALLOW">' for tag, pair in _VERBS.items()
                            for verb in pair)
                + ' with the names in them')
        rights += [Right(Verb(verb), _resolved(child.text or '', space, node, controller))
                   for verb in group.attrib for child in group]
    return Profile(f'{space}/{node}', tuple(rights))


def _resolved(name: str, space: str, node: str, controller: str) -> str:
    """Return the fully qualified name, as ROS resolves it."""
    name = name.strip()
    head, _, rest = name.partition('/')
    if controller and head == CONTROLLER:
        name = f'{controller}/{rest}'
    if name.startswith('/'):
        return name
    if head == '~':
        return f'{space}/{node}/{rest}'
    return f'{space}/{name}'
