"""`fhircast token`: make tokens and keys for development, and look at any token."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from fhircast_hub.cli.signing import ALGORITHMS, mint_token, write_key_pair
from fhircast_hub.cli.token_look import check, inspect

__all__ = ["mint_token", "token"]


@click.group()
def token() -> None:
    """Make bearer tokens and keys (for development), and see what a token is good for.

    \b
    A hub that believes a key of your own:
      fhircast token keygen --private key.pem --jwks jwks.json
      fhircast serve --auth jwt --jwks-file jwks.json
      fhircast token mint --key key.pem
    """  # noqa: D301 - click reads the \b


token.add_command(inspect)
token.add_command(check)


@token.command()
@click.option(
    "--key",
    envvar="FHIRCAST_JWT_KEY",
    required=True,
    help="The shared key, or path of a PEM private key.  [FHIRCAST_JWT_KEY]",
)
@click.option("--scope", default="fhircast/*.*", show_default=True, help="Scopes of the token.")
@click.option("--topic", default="", help="Bind the token to this topic.")
@click.option("--subject", default="developer", show_default=True, help="Who holds it.")
@click.option("--client-id", default="fhircast-cli", show_default=True, help="Its application.")
@click.option("--issuer", default="", envvar="FHIRCAST_ISSUER", help="iss  [FHIRCAST_ISSUER]")
@click.option("--audience", default="", envvar="FHIRCAST_AUDIENCE", help="[FHIRCAST_AUDIENCE]")
@click.option("--kid", default="", help="Id of the key, as in the key set.")
@click.option("--seconds", default=3600, show_default=True, help="Its life.", type=click.INT)
def mint(
    key: str,
    scope: str,
    topic: str,
    subject: str,
    client_id: str,
    issuer: str,
    audience: str,
    kid: str,
    seconds: int,
) -> None:
    """Print a token: HS256 with a shared key; RS256, ES256, ES384 or EdDSA with a private one."""
    click.echo(
        mint_token(
            key,
            scope=scope,
            topic=topic,
            subject=subject,
            client_id=client_id,
            issuer=issuer,
            audience=audience,
            kid=kid,
            seconds=seconds,
        )
    )


@token.command()
@click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS),
    default="ES256",
    show_default=True,
    help="What the key is for.",
)
@click.option(
    "--private",
    type=click.Path(path_type=Path, dir_okay=False),
    default="key.pem",
    show_default=True,
    help="New file for the private key; only its owner may read it.",
)
@click.option(
    "--jwks",
    type=click.Path(path_type=Path, dir_okay=False),
    default="jwks.json",
    show_default=True,
    help="New file for the key set with the public key.",
)
@click.option("--kid", default="", help="Id of the key; by default a random one.")
def keygen(algorithm: str, private: Path, jwks: Path, kid: str) -> None:
    """Make a key pair: a private key to mint tokens, a key set for the hub."""
    if private.suffix != ".pem":
        raise click.BadParameter("its name must end in .pem", param_hint="--private")
    for path in (private, jwks):
        if path.exists():
            raise click.ClickException(f"{path} is there already; nothing was written")
    kid = kid or secrets.token_hex(4)
    try:
        write_key_pair(algorithm, kid, private, jwks)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    click.echo(f"{private}  private {algorithm} key; keep it to yourself")
    click.echo(f"{jwks}  key set for the hub: fhircast serve --auth jwt --jwks-file {jwks}")
    click.echo(f"a token: fhircast token mint --key {private} --kid {kid}")
