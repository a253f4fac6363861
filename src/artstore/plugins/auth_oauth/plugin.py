"""The ``oauth`` authenticator: its options and how it is opened."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from artstore.core.spec import Authenticator, PluginConfig, PluginContext, Provider, hookimpl

# Without user information: an address is logged, a password must not be.
WEB_ADDRESS: Final = r"^https?://[^\s/?#@]+(/[^\s#]*)?$"

Address = Annotated[str, Field(pattern=WEB_ADDRESS)]


class OAuthConfig(PluginConfig):
    """The ``auth`` section when ``type = "oauth"``."""

    issuer: Annotated[
        str, Field(min_length=1, description="The `iss` of every token, exactly as the issuer writes it.")
    ]
    audience: Annotated[str, Field(min_length=1, description="What every token's `aud` must contain.")]
    resource: Annotated[
        str | None,
        Field(
            min_length=1,
            description="URL of this role: tokens whose `aud` contains it are accepted, too (RFC 8707).",
        ),
    ] = None
    jwks_url: Annotated[
        Address | None,
        Field(
            description="Where the issuer publishes its keys; `<issuer>/.well-known/jwks.json` by default."
        ),
    ] = None
    leeway: Annotated[float, Field(ge=0, le=300, description="Tolerated difference of clocks, seconds.")] = 5
    cache_size: Annotated[
        int, Field(ge=1, le=10_000_000, description="How many verified tokens are remembered.")
    ] = 10_000
    jwks_lifetime: Annotated[
        float,
        Field(gt=0, le=86_400, description="Seconds to keep keys when the issuer sends no `Cache-Control`."),
    ] = 300
    refetch_cooldown: Annotated[
        float,
        Field(gt=0, le=3600, description="Least number of seconds between two searches that find no key."),
    ] = 10
    timeout: Annotated[float, Field(gt=0, le=60, description="Seconds the issuer has to answer.")] = 5

    @property
    def audiences(self) -> tuple[str, ...]:
        """One of these must be in the ``aud`` of every token."""
        return (self.audience,) if self.resource is None else (self.audience, self.resource)

    @property
    def key_set_url(self) -> str:
        """Where the keys are fetched from."""
        return self.jwks_url or f"{self.issuer.rstrip('/')}/.well-known/jwks.json"

    @model_validator(mode="after")
    def _knows_where_the_keys_are(self) -> Self:
        if self.jwks_url is None and not self.issuer.startswith(("http://", "https://")):
            raise ValueError("the issuer is not a web address: say in jwks_url where its keys are")
        return self


def open_oauth(config: OAuthConfig, context: PluginContext) -> AbstractAsyncContextManager[Authenticator]:
    """Import what verifying needs, out of discovery and before the event loop depends on it."""
    from artstore.plugins.auth_oauth.backend import open_authenticator

    return open_authenticator(config, context)


@hookimpl
def artstore_auth_providers() -> list[Provider[OAuthConfig, Authenticator]]:
    """Introduce the ``oauth`` type."""
    return [Provider(name="oauth", spec=1, config=OAuthConfig, open=open_oauth)]
