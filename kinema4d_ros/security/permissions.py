# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What DDS enforces: the permissions of an enclave, and the governance of a domain.

Formats: OMG DDS Security 1.1, sections 9.4.1.2 (governance) and 9.4.1.3 (permissions); names of
topics as ROS 2 gives them (https://design.ros2.org/articles/topic_and_service_names.html).
"""
from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from xml.etree import ElementTree

from kinema4d_ros.security.policy import Enclave, Verb

_SCHEMA = 'http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_'
_DISCOVERY = 'ros_discovery_info'       # the RMWs of DDS tell each other their nodes on it
_YES, _NO = 'true', 'false'


def permissions(enclave: Enclave, domain: int, begin: datetime, end: datetime) -> str:
    """
    Return the permissions document of an enclave, to be signed.

    :param domain: ROS domain, 0 to 232.
    :param begin: since when they hold, UTC.
    :param end: until when.
    """
    root = _root('permissions')
    grant = _add(_add(root, 'permissions'), 'grant', name=enclave.path)
    _add(grant, 'subject_name', subject(enclave.path))
    validity = _add(grant, 'validity')
    for name, time in (('not_before', begin), ('not_after', end)):
        _add(validity, name, time.strftime('%Y-%m-%dT%H:%M:%S'))
    rule = _add(grant, 'allow_rule')
    _add(_add(rule, 'domains'), 'id', str(domain))
    for verb in (Verb.PUBLISH, Verb.SUBSCRIBE):
        topics = _add(_add(rule, str(verb)), 'topics')
        for topic in (_DISCOVERY, *enclave.dds(verb)):
            _add(topics, 'topic', topic)
    _add(grant, 'default', 'DENY')
    return _text(root)


def governance(domain: int) -> str:
    """
    Return the governance document of a domain, to be signed.

    Everybody must show a certificate, every topic is under access control in both directions, and
    everything is encrypted. Each submessage is encrypted with the data in it, so the data are not
    encrypted once more.
    """
    root = _root('governance')
    rule = _add(_add(root, 'domain_access_rules'), 'domain_rule')
    _add(_add(rule, 'domains'), 'id', str(domain))
    _fill(rule, (
        ('allow_unauthenticated_participants', _NO), ('enable_join_access_control', _YES),
        ('discovery_protection_kind', 'ENCRYPT'), ('liveliness_protection_kind', 'ENCRYPT'),
        ('rtps_protection_kind', 'SIGN')))
    topic = _add(_add(rule, 'topic_access_rules'), 'topic_rule')
    _fill(topic, (
        ('topic_expression', '*'), ('enable_discovery_protection', _YES),
        ('enable_liveliness_protection', _YES), ('enable_read_access_control', _YES),
        ('enable_write_access_control', _YES), ('metadata_protection_kind', 'ENCRYPT'),
        ('data_protection_kind', 'NONE')))
    return _text(root)


def subject(path: str) -> str:
    """Return the subject of the certificate of an enclave, as RFC 2253 writes it."""
    return f'CN={path}'


def _root(kind: str) -> ElementTree.Element:
    return ElementTree.Element('dds', {
        'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
        'xsi:noNamespaceSchemaLocation': f'{_SCHEMA}{kind}.xsd'})


def _add(parent: ElementTree.Element, tag: str, text: str | None = None,
         **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _fill(parent: ElementTree.Element, pairs: Iterable[tuple[str, str]]) -> None:
    for tag, text in pairs:
        _add(parent, tag, text)


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' \
        + ElementTree.tostring(root, encoding='unicode') + '\n'
