# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
As much of launch and launch_ros as our launch file uses, where the real ones are not installed.

`install` puts it in their place; what it makes of a launch file is held to be what the real ones
make of it: wherever they are installed the same tests run with them.
"""
import logging
import os
import sys
import tempfile
import types
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_prefix, get_package_share_directory


class LaunchContext:
    """What actions change while they are visited."""

    def __init__(self):
        self.launch_configurations: dict[str, str] = {}
        self.environment = dict(os.environ)
        self.namespace, self.parameters = '', {}
        self.remappings: list[tuple[str, str]] = []
        self.commands: list[list[str]] = []       # of what is started, in order
        self.environments: list[dict[str, str]] = []


def text_of(value, context: LaunchContext) -> str:
    """Return a string or a substitution as text."""
    return value.perform(context) if hasattr(value, 'perform') else str(value)


# ---------------------------------------------------------------- substitutions

class LaunchConfiguration:
    def __init__(self, name: str):
        self.name = name

    def perform(self, context: LaunchContext) -> str:
        return context.launch_configurations[self.name]


class FindPackageShare:
    def __init__(self, package: str):
        self.package = package

    def perform(self, context: LaunchContext) -> str:
        return get_package_share_directory(self.package)


class PathJoinSubstitution:
    def __init__(self, parts):
        self.parts = parts

    def perform(self, context: LaunchContext) -> str:
        return os.path.join(*(text_of(part, context) for part in self.parts))


class IfCondition:
    def __init__(self, value):
        self.value = value

    def holds(self, context: LaunchContext) -> bool:
        return {'true': True, 'false': False}[text_of(self.value, context).lower()]


class ParameterValue:
    def __init__(self, value, *, value_type: type):
        self.value, self.type = value, value_type


class ParameterFile:
    """Without the substitutions that a file may have; ours have none."""

    def __init__(self, path, *, allow_substs: bool = False):
        self.path = path

    def evaluate(self, context: LaunchContext) -> Path:
        path = Path(text_of(self.path, context))
        try:
            yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ValueError('The substituted parameter file is not a valid yaml file') from error
        return path

    def cleanup(self) -> None:
        pass


# ---------------------------------------------------------------- actions

class Action:
    def __init__(self, *arguments, condition: IfCondition | None = None, **settings):
        self.arguments, self.settings, self.condition = arguments, settings, condition

    def visit(self, context: LaunchContext) -> None:
        if self.condition is None or self.condition.holds(context):
            self.execute(context)


class DeclareLaunchArgument(Action):
    @property
    def name(self) -> str:
        return self.arguments[0]

    def execute(self, context: LaunchContext) -> None:
        values, choices = context.launch_configurations, self.settings.get('choices')
        if self.name not in values:
            values[self.name] = text_of(self.settings['default_value'], context)
        if choices and values[self.name] not in choices:
            raise RuntimeError(f'Argument "{self.name}" provided value "{values[self.name]}" is '
                               f'not valid. Valid options are: {choices}')


class OpaqueFunction(Action):
    def execute(self, context: LaunchContext) -> None:
        for action in self.settings['function'](context) or ():
            action.visit(context)


class GroupAction(Action):
    def execute(self, context: LaunchContext) -> None:
        kept = context.namespace, dict(context.parameters), list(context.remappings)
        for action in self.arguments[0]:
            action.visit(context)
        context.namespace, context.parameters, context.remappings = kept


class SetEnvironmentVariable(Action):
    def execute(self, context: LaunchContext) -> None:
        name, value = (text_of(argument, context) for argument in self.arguments)
        context.environment[name] = value


class PushROSNamespace(Action):
    def execute(self, context: LaunchContext) -> None:
        pushed = text_of(self.arguments[0], context).strip('/')
        context.namespace += f'/{pushed}' if pushed else ''


class SetParameter(Action):
    def execute(self, context: LaunchContext) -> None:
        context.parameters[self.arguments[0]] = yaml.safe_load(
            text_of(self.arguments[1], context))


class SetRemap(Action):
    def execute(self, context: LaunchContext) -> None:
        context.remappings.append(self.arguments)


class Node(Action):
    def execute(self, context: LaunchContext) -> None:
        package, name = self.settings['package'], self.settings['executable']
        path = Path(get_package_prefix(package), 'lib', package, name)
        if not path.is_file():
            raise RuntimeError(f'executable {name!r} not found')
        command = [str(path), *self.settings.get('arguments', ()), '--ros-args']
        if 'name' in self.settings:
            command += ['-r', f'__node:={self.settings["name"]}']
        command += ['-r', f'__ns:={context.namespace or "/"}']
        for parameter, value in context.parameters.items():
            command += ['-p', f'{parameter}:={value}']
        for given in self.settings.get('parameters', ()):
            path = given.evaluate(context) if isinstance(given, ParameterFile) \
                else self._written(given, context)
            command += ['--params-file', str(path)]
        for pair in [*context.remappings, *self.settings.get('remappings', ())]:
            command += ['-r', ':='.join(pair)]
        context.commands.append(command)
        context.environments.append(context.environment | {
            key: text_of(value, context)
            for key, value in self.settings.get('additional_env', {}).items()})

    @staticmethod
    def _written(given: dict, context: LaunchContext) -> Path:
        values = {name: value.type(text_of(value.value, context))
                  if isinstance(value, ParameterValue) else value
                  for name, value in given.items()}
        with tempfile.NamedTemporaryFile('w', prefix='launch_params_', suffix='.yaml',
                                         delete=False) as file:
            yaml.safe_dump({'/**': {'ros__parameters': values}}, file)
        return Path(file.name)


class LaunchDescription:
    def __init__(self, entities):
        self.entities = entities


MODULES = {
    'launch': [LaunchDescription, LaunchContext],
    'launch.actions': [DeclareLaunchArgument, GroupAction, OpaqueFunction, SetEnvironmentVariable],
    'launch.conditions': [IfCondition],
    'launch.logging': [],
    'launch.substitutions': [LaunchConfiguration, PathJoinSubstitution],
    'launch_ros': [],
    'launch_ros.actions': [Node, PushROSNamespace, SetParameter, SetRemap],
    'launch_ros.parameter_descriptions': [ParameterFile, ParameterValue],
    'launch_ros.substitutions': [FindPackageShare]}


def install() -> None:
    """Put this in the place of launch and launch_ros, for this process."""
    for name, classes in MODULES.items():
        module = types.ModuleType(name)
        module.__dict__.update({each.__name__: each for each in classes})
        sys.modules[name] = module
    sys.modules['launch.logging'].get_logger = logging.getLogger
