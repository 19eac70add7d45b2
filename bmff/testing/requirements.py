"""
What a test needs of its machine: a test is skipped where that is missing, or fails where it may
not be.

The environment variable C{BMFF_REQUIRE} lists, with commas, the names that must be there: for a
machine that was set up with them a skip would hide that they are gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from ctypes import CDLL
from functools import cache, wraps
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from subprocess import DEVNULL, run
from typing import Any, Final, TypeVar
from unittest import SkipTest

from bmff.errors import ConfigurationError, Mistake

VARIABLE: Final = "BMFF_REQUIRE"
GUEST: Final = "BMFF_GUEST"  # in the environment of what tests/guest/run has begun

_RDMA_LIBRARY: Final = "librdmacm.so.1"

_Test = TypeVar("_Test", bound=Callable[..., Any])


@cache
def _compiler() -> str | None:
    if which("cc") is None:
        return "no C compiler (cc)"
    program = b"#include <sys/socket.h>\nint main(void) { return 0; }\n"
    command = ["cc", "-x", "c", "-o", os.devnull, "-"]
    if run(command, input=program, stdout=DEVNULL, stderr=DEVNULL, check=False).returncode:
        return "no headers of the C library (libc6-dev)"
    return None


def _program(*names: str) -> Callable[[], str | None]:
    """
    The probe for programs.
    """

    def probe() -> str | None:
        missing = [name for name in names if which(name) is None]
        return f"no {', '.join(missing)} on the path" if missing else None

    return probe


def _module(name: str) -> Callable[[], str | None]:
    """
    The probe for a package of Python.
    """

    def probe() -> str | None:
        return None if find_spec(name) else f"no {name} for this Python"

    return probe


def _rdma() -> str | None:
    """
    A device, and the library that its connections are made with.
    """
    devices = Path("/sys/class/infiniband")
    if not devices.is_dir() or not any(devices.iterdir()):
        return "no RDMA device"
    try:
        CDLL(_RDMA_LIBRARY)
    except OSError:
        return f"no {_RDMA_LIBRARY} (librdmacm1)"
    return None


def _vsock() -> str | None:
    """
    vSockets that end on this very machine. Nobody opens one to find out: on a virtual machine it
    would reach whatever its hypervisor has there, so tests have them in the guest alone.
    """
    if os.environ.get(GUEST) != "1":
        return "no vsock loopback but in the guest (tests/guest/run)"
    modules = Path("/proc/modules").read_text("ascii", "replace")
    if not any(line.startswith("vsock_loopback ") for line in modules.splitlines()):
        return "no vsock loopback (CONFIG_VSOCKETS_LOOPBACK)"
    return None


# Each probe says what is missing, or None.
PROBES: Final[dict[str, Callable[[], str | None]]] = {
    "cc": _compiler,
    "chromium": _program("chromium"),
    "mosquitto": _program("mosquitto"),
    "promtool": _program("promtool"),
    "rdma": _rdma,
    "schemathesis": _module("schemathesis"),
    "systemd": _program("systemctl", "systemd-analyze"),
    "tarantool": _program("tarantool"),
    "tshark": _program("tshark"),
    "vsock": _vsock,
}


def required() -> frozenset[str]:
    """
    The names that C{BMFF_REQUIRE} lists.

    @raise ConfigurationError: some of them are unknown.
    """
    names = {name.strip() for name in os.environ.get(VARIABLE, "").split(",")} - {""}
    if unknown := sorted(names - PROBES.keys()):
        raise ConfigurationError(
            Mistake(VARIABLE, f"{name} is unknown; there is {', '.join(sorted(PROBES))}")
            for name in unknown
        )
    return frozenset(names)


def requirement(name: str) -> str | None:
    """
    Look whether the machine has something, each time that this is called.

    A test class may say C{skip = requirement("cc")}, though then the look is at its import.

    @param name: as in L{PROBES}.
    @return: what is missing, as the reason to skip a test; L{None} when nothing is.
    @raise ConfigurationError: it is missing and C{BMFF_REQUIRE} lists it, or that lists something
        unknown.
    """
    missing = PROBES[name]()
    if name in required() and missing is not None:
        raise ConfigurationError([Mistake(VARIABLE, f"{name} is required: {missing}")])
    return missing


def requires(*names: str) -> Callable[[_Test], _Test]:
    """
    Decorate a test method, or a class of them, that needs these.

    The machine is looked at when the test runs, before its C{setUp} when a class is decorated.

    @param names: as in L{PROBES}.
    @raise KeyError: there is no such name.
    """
    for name in names:
        PROBES[name]  # a misspelt name is seen where it is written

    def decorate(test: _Test) -> _Test:
        if isinstance(test, type):
            test.setUp = _guard(test.setUp, names)  # type: ignore[attr-defined]
            return test
        return _guard(test, names)

    return decorate


def _guard(test: _Test, names: Iterable[str]) -> _Test:
    @wraps(test)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        for name in names:
            if (missing := requirement(name)) is not None:
                raise SkipTest(missing)
        return test(*args, **kwargs)

    return guarded  # type: ignore[return-value]
