"""Opens the secrets chain that the configuration names."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from artstore.core import registry as kinds
from artstore.core.config import Settings
from artstore.core.metrics import Metrics
from artstore.core.registry import Registry
from artstore.core.secrets import SecretsChain


def prepare_secrets(
    registry: Registry, settings: Settings
) -> Callable[[Metrics], AbstractAsyncContextManager[SecretsChain]]:
    """Import the secret providers now; what is returned holds their chain open.

    The providers themselves are configured without secrets.
    """
    for section in settings.secrets:
        registry.provider(kinds.SECRETS, section.type)

    @asynccontextmanager
    async def opened(metrics: Metrics) -> AsyncGenerator[SecretsChain, None]:
        async with AsyncExitStack() as stack:
            none_yet = SecretsChain()
            yield SecretsChain(
                [
                    await stack.enter_async_context(
                        registry.open(kinds.SECRETS, section, secrets=none_yet, metrics=metrics)
                    )
                    for section in settings.secrets
                ]
            )

    return opened
