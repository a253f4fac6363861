"""``openat2(2)``, which follows no link on the whole way down; neither Python nor the C library has it."""

import ctypes
import os
from errno import EAGAIN, EINTR, ENOSYS, EPERM
from typing import Final

OPENAT2: Final = 437
"""Its number, on every architecture of today."""

_HERE: Final = -100
"""``AT_FDCWD``: paths begin at the working directory."""
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_CACHED: Final = 0x20
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
_ENTER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORY: Final = _OpenHow(_ENTER, 0, _RESOLVE_NO_SYMLINKS)
_CACHED_TOP: Final = _OpenHow(_ENTER, 0, _RESOLVE_CACHED)
_CACHED_FILE: Final = _OpenHow(
    os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_CACHED
)
_HOW_SIZE: Final = ctypes.sizeof(_OpenHow)


def enter_at_once(descriptor: int, path: str) -> int | None:
    """The directory at ``path`` below another, open; ``None`` where the kernel cannot say.

    Raises:
        OSError: there is none. With ``ELOOP``, a link is on the way.
    """
    if (entered := _openat2(descriptor, path, _DIRECTORY)) >= 0:
        return entered
    number = ctypes.get_errno()
    if number in _CANNOT_SAY:
        return None
    raise OSError(number, os.strerror(number))


def open_cached(top: str, path: str) -> int | None:
    """The file at ``path`` below ``top``, open for reading, without waiting for the disk.

    ``None`` where that cannot be, for whatever reason: not all of the way is in the kernel's cache, a link is
    on it, there is no such file, or the kernel is older than 5.12. Links to ``top`` are the operator's own.
    """
    if (directory := _openat2(_HERE, top, _CACHED_TOP)) < 0:
        return None
    try:
        opened = _openat2(directory, path, _CACHED_FILE)
    finally:
        os.close(directory)
    return opened if opened >= 0 else None


def _openat2(descriptor: int, path: str, how: _OpenHow) -> int:
    """A descriptor, or -1."""
    return int(_syscall(OPENAT2, descriptor, os.fsencode(path), ctypes.byref(how), _HOW_SIZE))
