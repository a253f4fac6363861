"""What can be asked of the index of files, and what it answers."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from artstore.core.attribute_fields import (
    MAX_FILENAME_LENGTH,
    MAX_INTEGER,
    MAX_TAGS,
    CustomAttributes,
    Tag,
    Text,
    Timestamp,
)
from artstore.core.attributes import RetentionPolicy
from artstore.core.spec import InvalidRequestError

SEARCH_WINDOW: Final = 10_000
"""The matches that are counted, ranked and reachable by ``offset``; with more, ``total_relation`` is gte.

Without this bound a word that many files share costs a hundred times as much as a rare one.
"""

SearchMode = Literal["exact", "partial", "fulltext"]
SortKey = Literal["created_at", "updated_at", "file_size", "filename", "relevance"]
SortOrder = Literal["asc", "desc"]
TotalRelation = Literal["eq", "gte"]


@dataclass(frozen=True, slots=True)
class JournalPosition:
    """A place in the journal of an element, written ``element:sequence``."""

    element_id: str
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``se-01:1842``.

        Raises:
            InvalidRequestError: it is not a position.
        """
        element_id, _, sequence = text.rpartition(":")
        if not (element_id and sequence.isascii() and sequence.isdigit() and len(sequence) <= 18):
            raise InvalidRequestError("a position is written element:sequence, such as se-01:1842")
        return cls(element_id, int(sequence))

    def __str__(self) -> str:
        return f"{self.element_id}:{self.sequence}"


class SearchCriteria(BaseModel):
    """A search. Every criterion that is given must hold; without any, every file is found."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    query: Annotated[
        Text | None,
        Field(max_length=500, description="What to look for in names, descriptions, tags and attributes."),
    ] = None
    mode: Annotated[
        SearchMode,
        Field(
            description="`fulltext`: every word of the query occurs in some inflected form, Russian or"
            " English. `partial`: the query occurs as a part of a text. `exact`: the query is the whole"
            " name, description or a whole tag, or the checksum or id of the file. Case never matters."
        ),
    ] = "fulltext"
    filename: Annotated[
        Text | None, Field(min_length=1, max_length=MAX_FILENAME_LENGTH, description="Part of the name.")
    ] = None
    file_extension: Annotated[
        Text | None, Field(max_length=100, description="What follows the last dot of the name.")
    ] = None
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS, description="All of them, whole.")] = []
    username: Annotated[Text | None, Field(max_length=255, description="Who stored the file.")] = None
    min_size: Annotated[int | None, Field(ge=0, le=MAX_INTEGER, description="Bytes.")] = None
    max_size: Annotated[int | None, Field(ge=0, le=MAX_INTEGER, description="Bytes.")] = None
    created_after: Annotated[Timestamp | None, Field(description="Created then or later.")] = None
    created_before: Annotated[Timestamp | None, Field(description="Created earlier than that.")] = None
    content_type: Annotated[
        str | None,
        Field(
            max_length=255,
            pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
            description="Such as `application/pdf`, or `image/*` for every subtype.",
        ),
    ] = None
    retention_policy: RetentionPolicy | None = None
    attributes: Annotated[
        CustomAttributes,
        Field(max_length=20, description="Custom attributes and the whole value that each must have."),
    ] = {}
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, description=f"At most {SEARCH_WINDOW}; `after` goes further.")] = 0
    after: Annotated[
        str | None, Field(max_length=4000, description="`next_after` of a page: the one that follows it.")
    ] = None
    sort_by: Annotated[
        SortKey | None, Field(description="`relevance` for a fulltext query, else `created_at`.")
    ] = None
    sort_order: SortOrder = "desc"
    at_least: Annotated[
        str | None,
        Field(
            max_length=100,
            pattern=r"^.+:[0-9]{1,18}$",
            description="Wait until the index holds this position of a journal, `element:sequence`.",
        ),
    ] = None

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise ValueError("min_size is larger than max_size")
        if self.created_after and self.created_before and self.created_after >= self.created_before:
            raise ValueError("created_after is not before created_before")
        return self

    @model_validator(mode="after")
    def _check_paging(self) -> Self:
        if self.after is not None and self.offset:
            raise ValueError("offset counts from the first page: leave it out with after")
        return self

    @model_validator(mode="after")
    def _check_relevance(self) -> Self:
        if self.sort_by == "relevance" and not (self.mode == "fulltext" and self.text):
            raise ValueError("sort_by relevance needs a query in mode fulltext")
        if self.sort_by == "relevance" and self.sort_order == "asc":
            raise ValueError("sort_by relevance gives the best first: leave sort_order out")
        return self

    @property
    def text(self) -> str:
        """The query without white space around it; empty when there is none."""
        return (self.query or "").strip()

    @property
    def sort_key(self) -> SortKey:
        """``sort_by``, or what stands for it."""
        if self.sort_by is not None:
            return self.sort_by
        by_relevance = self.mode == "fulltext" and self.text and self.sort_order == "desc"
        return "relevance" if by_relevance else "created_at"

    @property
    def position(self) -> JournalPosition | None:
        """``at_least``, read.

        Raises:
            InvalidRequestError: it is not a position.
        """
        return None if self.at_least is None else JournalPosition.parse(self.at_least)


class SearchHit(BaseModel):
    """A file that was found."""

    model_config = ConfigDict(frozen=True)

    file_id: UUID
    original_filename: str
    file_size: int
    content_type: str
    checksum: str
    created_at: Timestamp
    updated_at: Timestamp
    created_by_username: str
    created_by_fullname: str | None = None
    description: str | None = None
    tags: list[str] = []
    retention_policy: RetentionPolicy
    expires_at: Timestamp | None = None
    custom_attributes: dict[str, JsonValue] = {}
    version: int
    element_id: str
    relevance_score: Annotated[float | None, Field(description="Larger is better; by relevance only.")] = None
    highlights: Annotated[
        dict[str, str],
        Field(description="HTML fragments of the fields where words of the query were found, `<mark>`ed."),
    ] = {}


class SearchPage(BaseModel):
    """A slice of what was found."""

    model_config = ConfigDict(frozen=True)

    items: list[SearchHit]
    total: Annotated[int, Field(description="How many files match, or a lower bound: see total_relation.")]
    total_relation: Annotated[TotalRelation, Field(description="`gte`: there may be more than `total`.")]
    limit: int
    offset: int
    has_more: bool
    next_after: Annotated[str | None, Field(description="Send as `after` to get the next page.")] = None
    index_position: Annotated[
        list[str], Field(description="How far the journal of every element had been read.")
    ]
