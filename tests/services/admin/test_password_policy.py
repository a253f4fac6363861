"""The rules for passwords, each on its own, and passwords that are made by the rules."""

from collections import Counter

import pytest

from artstore.core.config import PasswordSettings
from artstore.core.spec import InvalidRequestError
from artstore.services.admin.login_models import LONGEST
from artstore.services.admin.password_policy import SPECIAL, PasswordPolicy

GOOD = "Wet-Cabbage7-orbit"
ABOUT = ("anna.schmidt", "anna.schmidt@archive.example")


async def broken(password: str, **settings: int) -> str:
    """What is told of a password that is refused."""
    with pytest.raises(InvalidRequestError) as refused:
        await PasswordPolicy(PasswordSettings(**settings)).check(password, about=ABOUT, field="password")
    assert password not in refused.value.detail
    return refused.value.detail


async def test_a_good_password_passes() -> None:
    await PasswordPolicy(PasswordSettings()).check(GOOD, about=ABOUT, field="password")


@pytest.mark.parametrize(
    ("password", "told"),
    [
        (GOOD[:11], "should have 12 to 128 characters"),
        (GOOD * 8, "should have 12 to 128 characters"),
        (GOOD.lower(), "should have an upper-case letter"),
        (GOOD.upper(), "should have a lower-case letter"),
        ("Wet-Cabbage-orbit", "should have a digit"),
        ("Wet Cabbage7 orbit", f"should have one of {SPECIAL}"),
        ("Wet-Cabbage7\x00orbit", "should have printable characters only"),
        ("Password1234!", "is very guessable: this is similar to a commonly used password"),
        ("Qwertyuiop[1]", "guessable"),
        ("Anna.Schmidt1", "guessable"),
        ("aA1!" * 5, "guessable"),
    ],
)
async def test_a_password_that_breaks_a_rule_is_refused_with_the_rule(password: str, told: str) -> None:
    assert told in await broken(password)


async def test_every_broken_rule_is_told_at_once() -> None:
    assert len((await broken("aaaa")).split("; ")) == 5


async def test_the_rules_are_configured() -> None:
    assert "20 to 128" in await broken(GOOD, min_length=20)
    weak = PasswordPolicy(PasswordSettings(min_length=8, min_strength=0))
    await weak.check("Passw0r!", about=(), field="password")


@pytest.mark.parametrize("min_length", [8, 12, 40, LONGEST])
async def test_generated_passwords_obey_every_rule_and_differ(min_length: int) -> None:
    policy = PasswordPolicy(PasswordSettings(min_length=min_length, min_strength=4))

    made = [policy.generate() for _ in range(20)]

    for password in made:
        await policy.check(password, about=ABOUT, field="password")
    assert len(set(made)) == len(made)
    # No place is always of the same kind.
    assert len(Counter(password[0].isalpha() for password in made)) == 2
