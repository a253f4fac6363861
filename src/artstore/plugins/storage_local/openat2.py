"""``openat2(2)``, which follows no link on the whole way down; neither Python nor the C library has it."""

import ctypes
import os
from errno import EAGAIN, EINTR, ENOSYS, EPERM
from typing import Final

OPENAT2: Final = 437
"""Its number, on every architecture of today."""

_RESOLVE_NO_SYMLINKS: Final = 0x04
_CANNOT_SAY: Final = frozenset({ENOSYS, EPERM, EINTR, EAGAIN})
"""The kernel is older than 5.6, a sandbox does not let it through, or it was interrupted."""


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_syscall.restype = ctypes.c_long
_DIRECTORY: Final = _OpenHow(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS)
_HOW: Final = ctypes.addressof(_DIRECTORY)
_HOW_SIZE: Final = ctypes.sizeof(_DIRECTORY)


def enter_at_once(descriptor: int, path: str) -> int | None:
    """The directory at ``path`` below another, open; ``None`` where the kernel cannot say.

    Raises:
        OSError: there is none. With ``ELOOP``, a link is on the way.
    """
    entered = _syscall(OPENAT2, descriptor, os.fsencode(path), _HOW, _HOW_SIZE)
    if entered >= 0:
        return int(entered)
    number = ctypes.get_errno()
    if number in _CANNOT_SAY:
        return None
    raise OSError(number, os.strerror(number))
