# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Text of a robot description -> objects of urdf_parser_py, by way of a cleaned document.

urdf_parser_py stops at files that RViz shows without complaint: a prefix that is not bound, a
bare transmission, a limit without effort. So only the elements that describe geometry and motion
are copied, value by value, to a new document, and that is what it parses. What is copied is
checked on the way, where the name of the element is still at hand for the message. Shapes that
urdf_parser_py does not know travel through it as meshes with a URI of our own.
"""
from __future__ import annotations

import math
import re
import xml.sax
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser
from urdf_parser_py import urdf as urdf_parser

from kinema4d_ros.errors import RobotDescriptionError
from kinema4d_ros.robot.description import Capsule, JointType, UnreadShape
from kinema4d_ros.robot.urdf_limits import further_limits
from kinema4d_ros.types import JointLimit

MAX_BYTES = 10_000_000
"""Largest description accepted; the largest robots that we know need a tenth of it."""

MAX_LINKS = 2000
"""Most links accepted; a humanoid with both hands has less than a tenth of it."""

# What is copied: element -> attribute -> number of values (0: text). A '?' marks an attribute
# that may be absent; required ones are reported by name.
_ATTRIBUTES: Mapping[str, Mapping[str, int]] = {
    'robot': {'name?': 0},
    'link': {'name': 0},
    'visual': {}, 'collision': {}, 'geometry': {},
    'origin': {'xyz?': 3, 'rpy?': 3},
    'box': {'size': 3}, 'cylinder': {'radius': 1, 'length': 1}, 'sphere': {'radius': 1},
    'capsule': {'radius': 1, 'length': 1},
    'mesh': {'filename': 0, 'scale?': 3},
    'material': {'name?': 0}, 'color': {},
    'joint': {'name': 0, 'type': 0},
    'axis': {'xyz?': 3}, 'parent': {'link': 0}, 'child': {'link': 0},
    'limit': {'lower?': 1, 'upper?': 1, 'velocity?': 1, 'effort?': 1},
    'mimic': {'joint': 0, 'multiplier?': 1, 'offset?': 1},
}
_CHILDREN: Mapping[str, tuple[str, ...]] = {
    'robot': ('material', 'link', 'joint'),
    'link': ('visual', 'collision'),
    'visual': ('origin', 'geometry', 'material'),
    'collision': ('origin', 'geometry'),
    'material': ('color',),
    'joint': ('origin', 'axis', 'parent', 'child', 'limit', 'mimic'),
}
_REPEATED = ('robot', 'link')      # parents whose children may come more than once
_LOOKS = ('material', 'color')     # no robot is refused for these
_SHAPES = ('box', 'cylinder', 'sphere', 'capsule', 'mesh')
_PREFIXED = {'drake:capsule': 'capsule'}    # elements of others that mean the same
_THIN = 1e-4     # [m] what a plate or a disc of thickness 0 is taken for
_SCHEME = 'kinema4d-shape:'     # of URIs that stand for a shape unknown to urdf_parser_py
_MAY_BE_INFINITE = ('lower', 'upper', 'velocity', 'effort')     # what has no limit
#: leftovers of xacro that leave nothing out
_HARMLESS = ('xacro:property', 'xacro:arg', 'xacro:macro')
_DECLARATION = re.compile(r'<\?xml\s[^?]*\?>')
# urdf_parser_py cannot live without these; infinite means 'not stated' from here on.
_UNSTATED = {'limit': {'effort': 'inf', 'velocity': 'inf'}}


@dataclass(frozen=True)
class ParsedUrdf:
    """A description as urdf_parser_py reads it, and what that leaves out."""

    document: urdf_parser.Robot
    #: joint -> (where it is stated, limit), besides <limit>
    limits: Mapping[str, tuple[tuple[str, JointLimit], ...]]
    warnings: tuple[str, ...]       # what was left out or read in another way


def parse_urdf(text: str) -> ParsedUrdf:
    """
    Parse a URDF with urdf_parser_py.

    :raises RobotDescriptionError: naming the element that cannot be used, and the cure.
    """
    root = _read_xml(text)
    if root.tag != 'robot':
        raise RobotDescriptionError(
            f'the root element is <{root.tag}>, not <robot>; pass the text of a URDF '
            '(what /robot_description carries)')
    links = sum(child.tag == 'link' for child in root)
    if links > MAX_LINKS:
        raise RobotDescriptionError(
            f'the robot description has {links} links, more than the {MAX_LINKS} accepted; '
            'leave out those that this robot does not need')
    warnings: list[str] = []
    _check_expanded(root)
    _drop_free_base(root, warnings)
    cleaned = _clean(root, '<robot>', warnings)
    if not cleaned.get('name'):
        cleaned.set('name', 'robot')
        warnings.append('<robot> has no name, called "robot"')
    for material in list(cleaned.findall('material')):
        if material.find('color') is None or not material.get('name'):
            cleaned.remove(material)    # a texture alone: nothing left to refer to
    try:
        robot = urdf_parser.Robot.from_xml_string(ElementTree.tostring(cleaned, 'utf-8'))
    except Exception as error:  # the parser raises bare Exception and AssertionError
        raise RobotDescriptionError(f'urdf_parser_py refused the description: {error}') from error
    limits = further_limits(root, warnings)
    return ParsedUrdf(robot, limits, tuple(warnings))


def _read_xml(text: str) -> ElementTree.Element:
    """Read XML without namespaces, entities, or anything from outside the text."""
    if not isinstance(text, str):
        raise RobotDescriptionError(
            f'a robot description is text, got {type(text).__name__}; read the file first')
    size = len(text.encode('utf-8', 'surrogatepass'))
    if size > MAX_BYTES:
        raise RobotDescriptionError(
            f'the robot description has {size} bytes, more than the {MAX_BYTES} accepted; '
            'meshes belong in files of their own')
    if not text.strip():
        raise RobotDescriptionError('the robot description is empty; is the publisher running?')
    # What a declaration says of the encoding is over once there is a text, and a byte order mark,
    # blank lines or a comment before it must not stop the parser.
    text = _DECLARATION.sub('', text.lstrip('\ufeff \t\r\n'), count=1)
    # Without namespace handling a prefix is part of the tag, whether or not it is bound.
    parser, builder = DefusedExpatParser(namespaceHandling=0), _TreeBuilder()
    parser.setContentHandler(builder)
    try:
        parser.parse(_source(text))
    except DefusedXmlException as error:
        raise RobotDescriptionError(
            f'the robot description declares entities ({error}); they are refused, '
            'expand them before publishing') from error
    except (xml.sax.SAXException, UnicodeError) as error:
        raise RobotDescriptionError(f'the robot description is not well-formed XML: {error}'
                                    ) from error
    return builder.root


def _source(text: str) -> xml.sax.InputSource:
    source = xml.sax.InputSource()
    source.setCharacterStream(StringIO(text))
    return source


class _TreeBuilder(xml.sax.ContentHandler):
    """SAX events -> ElementTree: elements, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self._builder = ElementTree.TreeBuilder()
        self.root: ElementTree.Element

    def startElement(self, name: str, attrs: Any) -> None:
        self._builder.start(name, dict(attrs))

    def characters(self, content: str) -> None:
        self._builder.data(content)

    def endElement(self, name: str) -> None:
        self._builder.end(name)

    def endDocument(self) -> None:
        self.root = self._builder.close()


def _check_expanded(root: ElementTree.Element) -> None:
    """Refuse what xacro has not expanded: parts of the robot would be missing unnoticed."""
    for element in root.iter():
        if element.tag.startswith('xacro:') and element.tag not in _HARMLESS:
            raise RobotDescriptionError(
                f'the robot description holds <{element.tag}>, so xacro has not expanded it; '
                'publish the output of `ros2 run xacro xacro FILE`')


def _drop_free_base(root: ElementTree.Element, warnings: list[str]) -> None:
    """
    Leave out a root link without a shape that the robot is free against, and the joint between.

    Mobile bases, drones and humanoids have such a `world` or `odom`. Nobody publishes that joint's
    position in joint_states: where the base is in the world is a matter of TF.
    """
    joined: list[tuple[ElementTree.Element, str, str]] = []
    for joint in root.findall('joint'):
        above, below = joint.find('parent'), joint.find('child')
        if above is not None and below is not None:
            joined.append((joint, above.get('link', ''), below.get('link', '')))
    for joint, parent, child in joined:
        if joint.get('type') not in ('floating', 'planar') \
                or any(parent == link for _, _, link in joined) \
                or sum(parent == link for _, link, _ in joined) > 1:
            continue
        links = [link for link in root.findall('link') if link.get('name') == parent]
        if len(links) != 1 or links[0].findall('visual') or links[0].findall('collision'):
            continue
        root.remove(joint)
        root.remove(links[0])
        warnings.append(f'<joint "{joint.get("name")}"> of type {joint.get("type")} is left out, '
                        f'and its parent "{parent}": all is judged in "{child}", and TF says where '
                        'that is')
        return


def _clean(element: ElementTree.Element, where: str, warnings: list[str]) -> ElementTree.Element:
    """Copy what we use of `element`, checking every value; `where` is its name for messages."""
    tag = element.tag
    copy = ElementTree.Element(tag, _clean_attributes(element, where))
    known = _CHILDREN.get(tag, ())
    for child in element:
        if tag == 'geometry':
            copy.extend(_clean_shape(child, _describe(child, where), warnings))
            continue
        if child.tag not in known:
            continue
        inner = _describe(child, where)
        if tag not in _REPEATED and copy.find(child.tag) is not None:
            if child.tag not in _LOOKS:
                raise RobotDescriptionError(f'{inner} is given twice; keep one')
            warnings.append(f'{inner} is given twice, the first one holds')
            continue
        if child.tag == 'color':
            copy.extend(_clean_color(child, inner, warnings))
            continue
        cleaned = _clean(child, inner, warnings)
        if child.tag in ('visual', 'collision') and not len(cleaned.findall('geometry/*')):
            warnings.append(f'{inner} has no geometry, left out')
            continue
        copy.append(cleaned)
    if tag == 'geometry' and len(copy) > 1:
        raise RobotDescriptionError(f'{where} holds {len(copy)} shapes; give each its own element')
    if tag == 'joint':
        _check_type(copy.get('type', ''), where)
        for needed in ('parent', 'child'):
            if copy.find(needed) is None:
                raise RobotDescriptionError(
                    f'{where} has no <{needed}>; add <{needed} link="..."/>')
    return copy


def _clean_shape(element: ElementTree.Element, where: str,
                 warnings: list[str]) -> list[ElementTree.Element]:
    """Return the shape as urdf_parser_py can read it; [] for one without any extent."""
    tag = _PREFIXED.get(element.tag, element.tag)
    if tag not in _SHAPES or tag == 'capsule' and not {'radius', 'length'} <= set(element.keys()):
        warnings.append(f'{where} is not a geometry of URDF and is not read')
        return [_foreign(f'unread <{element.tag}> is not a geometry of URDF')]
    own = ElementTree.Element(tag, element.attrib)
    values = _clean_attributes(own, where)
    if tag == 'mesh':
        if values['filename'].strip().startswith(_SCHEME):
            raise RobotDescriptionError(f'{where}: filename="{values["filename"]}" is no mesh')
        scale = [float(number) for number in values.get('scale', '1').split()]
        if not any(scale):
            warnings.append(f'{where} has the scale 0, left out')
            return []
        if 0.0 in scale:
            warnings.append(f'{where}: scale="{element.get("scale")}" is flat, and is not read')
            return [_foreign('unread a mesh with a scale of 0')]
        return [ElementTree.Element(tag, values)]
    numbers = {name: [float(part) for part in text.split()] for name, text in values.items()}
    everything = [number for of in numbers.values() for number in of]
    if min(everything) < 0:
        given = ', '.join(f'{name}="{element.get(name)}"' for name in values)
        raise RobotDescriptionError(f'{where}: {given} must not be negative')
    zeros = everything.count(0.0)
    is_flat = tag == 'box' and zeros == 1 or tag == 'cylinder' and numbers['length'] == [0.0] \
        and numbers['radius'] != [0.0]
    if zeros and is_flat:
        warnings.append(f'{where} has no thickness and is taken for {1000 * _THIN:g} mm thick')
    elif zeros and not (tag == 'capsule' and numbers['radius'] != [0.0]):
        warnings.append(f'{where} has the size 0, left out')
        return []
    if tag == 'capsule':
        return [_foreign(f'capsule {numbers["radius"][0]!r} {numbers["length"][0]!r}')]
    return [ElementTree.Element(tag, {
        name: ' '.join(repr(number or _THIN) for number in of) for name, of in numbers.items()})]


def _foreign(content: str) -> ElementTree.Element:
    return ElementTree.Element('mesh', {'filename': _SCHEME + content})


def foreign_shape(uri: str) -> Capsule | UnreadShape | None:
    """Return the shape that a URI of ours stands for, None for the URI of a mesh."""
    if not uri.startswith(_SCHEME):
        return None
    kind, _, content = uri.removeprefix(_SCHEME).partition(' ')
    if kind == 'capsule':
        return Capsule(*map(float, content.split()))
    return UnreadShape(content)


def _clean_color(element: ElementTree.Element, where: str,
                 warnings: list[str]) -> list[ElementTree.Element]:
    """Return the colour; no robot is refused for one, so [] with a warning for a bad one."""
    text = element.get('rgba', '')
    try:
        numbers = [float(part) for part in text.split()]
        if len(numbers) not in (3, 4) or not all(map(math.isfinite, numbers)):
            raise ValueError
    except ValueError:
        warnings.append(f'{where}: rgba="{text[:60]}" is no colour, left out')
        return []
    return [ElementTree.Element('color', {'rgba': ' '.join(map(repr, [*numbers, 1.0][:4]))})]


def _check_type(kind: str, where: str) -> None:
    if kind not in list(JointType):
        cure = ('make it fixed, or write it as several revolute and prismatic joints'
                if kind in ('floating', 'planar') else 'correct the spelling')
        raise RobotDescriptionError(f'{where} has type "{kind}", which is not supported '
                                    f'({", ".join(JointType)} are); {cure}')


def _clean_attributes(element: ElementTree.Element, where: str) -> dict[str, str]:
    out = dict(_UNSTATED.get(element.tag, {}))
    for key, count in _ATTRIBUTES[element.tag].items():
        name = key.rstrip('?')
        value = element.get(name)
        if value is None:
            if not key.endswith('?'):
                raise RobotDescriptionError(f'{where} has no attribute {name!r}; add it')
            continue
        if count == 0:
            if not value.strip() and element.tag != 'material':
                raise RobotDescriptionError(f'{where}: attribute {name!r} is empty; fill it in')
            out[name] = value
        else:
            numbers = _numbers(value, count, f'{where}: {name}="{value[:60]}"',
                               finite=element.tag != 'limit' or name not in _MAY_BE_INFINITE)
            out[name] = ' '.join(map(repr, numbers))
    if element.tag == 'material':
        out.setdefault('name', '')
    elif element.tag == 'axis':
        out.setdefault('xyz', '0 0 0')      # urdf_parser_py dies of an axis without one
    return out


def _numbers(text: str, count: int, where: str, *, finite: bool = True) -> list[float]:
    """Parse `count` numbers."""
    parts = text.split()
    if len(parts) != count:
        raise RobotDescriptionError(f'{where} must hold {count} number(s), has {len(parts)}')
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        cure = 'expand xacro first' if '$' in text else 'write plain decimal numbers'
        raise RobotDescriptionError(f'{where} is not made of numbers; {cure}') from None
    if any(math.isnan(number) or finite and math.isinf(number) for number in numbers):
        raise RobotDescriptionError(f'{where} must be finite; write a number')
    return numbers


def _describe(element: ElementTree.Element, parent: str) -> str:
    """Name an element for people: <joint "a">, <origin> of <joint "a">."""
    name = element.get('name')
    own = f'<{element.tag} "{name}">' if name else f'<{element.tag}>'
    return own if parent == '<robot>' else f'{own} of {parent}'
