"""`artstore element`: what an operator does with one storage element."""

from typing import Annotated, Final

import typer

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, print_json, print_table
from artstore.core.exchange import Element, ElementInfo, ElementPage
from artstore.core.spec import ConfigurationError, NotFoundError

app: Final = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate a storage element.")

ElementOption = Annotated[
    str | None,
    typer.Option("--element", metavar="ID", help="Which storage element. Optional if there is only one."),
]


@app.command()
def info(
    element: ElementOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show a storage element's description of itself."""

    async def ask(archive: Archive) -> ElementInfo:
        return await archive.client.get(f"{await element_url(archive, element)}/api/v1/info", ElementInfo)

    said = with_archive(data, profile, ask)
    if json:
        print_json(said)
    else:
        facts = said.model_dump(mode="json", exclude_none=True)
        print_table(("field", "value"), [(name, str(value)) for name, value in facts.items()])


async def element_url(archive: Archive, element_id: str | None) -> str:
    """Where the element is that an option named; as :func:`find_element`."""
    return (await find_element(archive, element_id)).url


async def find_element(archive: Archive, element_id: str | None) -> Element:
    """The element that an option named, or the only one there is.

    Raises:
        NotFoundError: none is registered under this name.
        ConfigurationError: there are several, and none was named.
    """
    url = archive.url("admin", "/api/v1/storage-elements?limit=1000")
    registered = {each.element_id: each for each in (await archive.client.get(url, ElementPage)).items}
    if element_id is None and len(registered) == 1:
        return next(iter(registered.values()))
    names = ", ".join(sorted(registered)) or "none"
    if element_id is None:
        raise ConfigurationError(f"say which storage element, with --element; there are: {names}")
    if element_id not in registered:
        raise NotFoundError(f"there is no storage element {element_id}; there are: {names}")
    return registered[element_id]


# The modules of these commands stand on this one.
from artstore.cli import catalog, catalog_check, collection, element_mode  # noqa: E402

app.command()(element_mode.mode)
app.command()(catalog.rebuild)
app.command()(catalog_check.check)
app.command()(collection.gc)
app.command()(collection.undelete)
