"""`fhircast token`: make a bearer token for trying a hub that runs with a shared key."""

from __future__ import annotations

import time

import click


@click.group()
def token() -> None:
    """Make bearer tokens for a hub with --auth jwt and a shared key (for development)."""


@token.command()
@click.option(
    "--key", envvar="FHIRCAST_JWT_KEY", required=True, help="The shared key.  [FHIRCAST_JWT_KEY]"
)
@click.option("--scope", default="fhircast/*.*", show_default=True, help="Scopes of the token.")
@click.option("--topic", default="", help="Bind the token to this topic.")
@click.option("--subject", default="developer", show_default=True, help="Who holds it.")
@click.option("--client-id", default="fhircast-cli", show_default=True, help="Its application.")
@click.option("--issuer", default="", envvar="FHIRCAST_ISSUER", help="iss  [FHIRCAST_ISSUER]")
@click.option("--audience", default="", envvar="FHIRCAST_AUDIENCE", help="[FHIRCAST_AUDIENCE]")
@click.option("--seconds", default=3600, show_default=True, help="Its life.", type=click.INT)
def mint(
    key: str,
    scope: str,
    topic: str,
    subject: str,
    client_id: str,
    issuer: str,
    audience: str,
    seconds: int,
) -> None:
    """Print a token signed with the shared key."""
    click.echo(
        mint_token(
            key,
            scope=scope,
            topic=topic,
            subject=subject,
            client_id=client_id,
            issuer=issuer,
            audience=audience,
            seconds=seconds,
        )
    )


def mint_token(
    key: str,
    *,
    scope: str,
    subject: str,
    client_id: str,
    seconds: int,
    topic: str = "",
    issuer: str = "",
    audience: str = "",
) -> str:
    """Return a token signed with HS256 and a shared key; its life is in seconds."""
    import jwt

    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "client_id": client_id,
        "scope": scope,
        "hub.topic": topic,
        "iat": now,
        "exp": now + seconds,
    }
    return jwt.encode({name: it for name, it in claims.items() if it}, key, algorithm="HS256")
