from collections.abc import Iterable
from typing import TypedDict

class Feedback(TypedDict):
    warning: str
    suggestions: list[str]

class Result(TypedDict):
    score: int
    feedback: Feedback

def zxcvbn(password: str, user_inputs: Iterable[str] | None = None, max_length: int = 72) -> Result: ...
