# PyStemmer ships no types; this is the part of it that we call.
class Stemmer:
    def __init__(self, language: str, cache_size: int = ...) -> None: ...
    def stemWord(self, word: str) -> str: ...  # noqa: N802 - the library's name
