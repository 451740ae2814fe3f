"""The calls of prctl(2), capset(2) and capabilities(7) that Python does not have."""

from __future__ import annotations

import ctypes
import os
import sys

IS_HERE = sys.platform == "linux"

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_LINUX_CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(signal_number: int) -> None:
    """Have this process sent a signal when the thread that started it ends.

    A change of the user id undoes it, so it comes after that.
    """
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def keep_capabilities_over_setuid() -> None:
    """Leave the capabilities alone when the user id changes.

    access(2) then respects them for a user other than root too; PostgreSQL's programs use it to
    find themselves. Needs CAP_SETPCAP.
    """
    _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)


def hold_only(capability: int) -> None:
    """Drop all capabilities but one (of the first 32), and pass that one on over execve."""
    header = _CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    bit = 1 << capability
    data = (_CapData * 2)(_CapData(bit, bit, bit), _CapData(0, 0, 0))
    _check(_libc.capset(ctypes.byref(header), data), "capset")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *arguments: int) -> None:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _check(_libc.prctl(option, *map(ctypes.c_ulong, padded)), "prctl")


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
