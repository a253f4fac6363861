"""How tests change the mode of an element."""

from typing import Any

from tests.services.storage_element.harness import MINT, Answer, ElementClient

ADMIN = MINT(scope="storage:read storage:admin")
TRANSITION = "/api/v1/mode/transition"


async def ask(element: ElementClient, mode: str, **fields: object) -> Answer:
    """One step of a change of mode."""
    return await element.request("POST", TRANSITION, token=ADMIN, json={"mode": mode, **fields})


async def validated(element: ElementClient, mode: str, **fields: object) -> dict[str, Any]:
    """The plan of a change, which must be possible."""
    answer = await ask(element, mode, **fields)
    assert answer.status == 200, answer
    plan: dict[str, Any] = answer.json()
    return plan


async def confirm(element: ElementClient, plan: dict[str, Any], **fields: object) -> Answer:
    """The second step."""
    return await ask(element, plan["to_mode"], confirmation=plan["confirmation"], **fields)


async def change_mode(element: ElementClient, mode: str, **fields: object) -> dict[str, Any]:
    """Both steps, which must succeed."""
    answer = await confirm(element, await validated(element, mode), **fields)
    assert answer.status == 200, answer
    done: dict[str, Any] = answer.json()
    return done
