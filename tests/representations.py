"""How objects show themselves, as logs, error reports and debuggers of operators would see them."""

import gc
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

FORMS: Final[Mapping[str, Callable[[object], str]]] = {
    "repr": repr,
    "str": str,
    "format": lambda each: f"{each}",
    "vars": lambda each: repr(getattr(each, "__dict__", {})),
}
ALWAYS_SECRET: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+|PRIVATE KEY|\$argon2id\$|\bars_[\w-]{43}")
"""Tokens, private keys, hashes of passwords, secrets of clients: whatever they are."""


def objects_of_artstore() -> list[object]:
    """Everything alive in this process whose class is ours."""
    return [each for each in gc.get_objects() if str(type(each).__module__).startswith("artstore.")]


def secrets_shown(secrets: Iterable[str], *, by: Iterable[object]) -> set[tuple[str, str]]:
    """Type and form of those objects that show one."""
    pattern = re.compile("|".join([ALWAYS_SECRET.pattern, *map(re.escape, secrets)]))
    return {
        (type(each).__qualname__, form)
        for each in by
        for form, show in FORMS.items()
        if pattern.search(show(each))
    }
