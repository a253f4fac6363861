"""Which slice of a list is asked for."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attribute_fields import MAX_INTEGER


class Paging(BaseModel):
    """The query of every list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0
