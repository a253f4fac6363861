"""What a password must be like: one set of rules for every path on which somebody gets one."""

import asyncio
import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from zxcvbn import zxcvbn

from artstore.core.config import PasswordSettings
from artstore.core.spec import InvalidRequestError
from artstore.core.stores.people import Person
from artstore.services.admin.login_models import LONGEST

GENERATED_LENGTH: Final = 20
"""Of a generated password, where no longer one is required: about 120 bits."""
SPECIAL: Final = "!@#$%^&*()_+-=[]{}|;:,.<>?"

_ESTIMATED: Final = 72
"""Characters whose strength is estimated: the time for that grows faster than their number."""
# Without characters that people take for each other when they copy one from a screen.
_ALPHABETS: Final = (
    string.ascii_uppercase.translate({ord(each): None for each in "IO"}),
    string.ascii_lowercase.replace("l", ""),
    "23456789",
    "!@#$%^&*()_+-=?",
)
_WORDS: Final = (
    "too guessable",
    "very guessable",
    "somewhat guessable",
    "hard to guess",
    "very hard to guess",
)


@dataclass(frozen=True, slots=True)
class PasswordAge:
    """Until when a password is good; ``None``: until somebody changes it."""

    expires_at: datetime | None
    is_warned: bool


class PasswordPolicy:
    """The rules, as this cluster is configured."""

    def __init__(self, settings: PasswordSettings) -> None:
        self._settings = settings
        self.history = settings.history

    async def check(self, password: str, *, about: Iterable[str], field: str) -> None:
        """Refuse a password that breaks a rule. ``about``: what others know of the person.

        Raises:
            InvalidRequestError: with every rule that it breaks; the password itself is not repeated.
        """
        # In a thread: estimating the strength takes up to some hundredths of a second.
        broken = await asyncio.to_thread(lambda: [*self._broken(password, about)])
        if broken:
            raise InvalidRequestError(
                f"{field}: {'; '.join(broken)}", [(field, message) for message in broken]
            )

    def age(self, person: Person) -> PasswordAge:
        """How old the password of ``person`` may get."""
        if not self._settings.max_age_days:
            return PasswordAge(None, is_warned=False)
        expires_at = person.password_changed_at + timedelta(days=self._settings.max_age_days)
        warned_from = expires_at - timedelta(days=self._settings.warning_days)
        return PasswordAge(expires_at, is_warned=datetime.now(UTC) >= warned_from)

    def generate(self) -> str:
        """A random password that no rule refuses."""
        length = max(GENERATED_LENGTH, self._settings.min_length)
        anything = "".join(_ALPHABETS)
        while True:
            characters = [secrets.choice(alphabet) for alphabet in _ALPHABETS]
            characters += [secrets.choice(anything) for _ in range(length - len(characters))]
            secrets.SystemRandom().shuffle(characters)
            password = "".join(characters)
            if not any(self._broken(password, ())):  # it may be a word by chance, however small that is
                return password

    def _broken(self, password: str, about: Iterable[str]) -> Iterator[str]:
        shortest = self._settings.min_length
        if not shortest <= len(password) <= LONGEST:
            yield f"should have {shortest} to {LONGEST} characters"
        for name, is_there in _CLASSES.items():
            if not any(map(is_there, password)):
                yield f"should have {name}"
        if not password.isprintable():
            yield "should have printable characters only"
        strength, why = _strength(password, about)
        needed = self._settings.min_strength
        if strength < needed:
            yield f"is {_WORDS[strength]}{why} (strength {strength} of 4, needed: {needed})"


_CLASSES: Final[Mapping[str, Callable[[str], bool]]] = {
    "an upper-case letter": str.isupper,
    "a lower-case letter": str.islower,
    "a digit": str.isdigit,
    f"one of {SPECIAL}": SPECIAL.__contains__,
}


def _strength(password: str, about: Iterable[str]) -> tuple[int, str]:
    """0 to 4 by how many guesses a clever attacker needs, and what makes them few."""
    found = zxcvbn(password[:_ESTIMATED], user_inputs=[each for each in about if each])
    warning = found["feedback"]["warning"].rstrip(".")
    return found["score"], f": {warning[0].lower()}{warning[1:]}" if warning else ""
