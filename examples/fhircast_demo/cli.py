"""`fhircast demo`: the whole workflow on one machine."""

from __future__ import annotations

from typing import Literal

import click


@click.command()
@click.option(
    "--port",
    default=8000,
    show_default=True,
    envvar="FHIRCAST_DEMO_PORT",
    help="Port of the pages; another one is taken if it is not free.",
)
@click.option(
    "--hub-port",
    default=8080,
    show_default=True,
    envvar="FHIRCAST_PORT",
    help="Port of the hub; another one is taken if it is not free.  [FHIRCAST_PORT]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to use.")
@click.option("--hub", "hub_url", default="", help="hub.url of a hub that runs already.")
@click.option(
    "--jwt-key",
    default="",
    envvar="FHIRCAST_JWT_KEY",
    help="Key that this hub checks tokens with.  [FHIRCAST_JWT_KEY]",
)
@click.option("--topic", default="", help="Topic of the first sign-in; a new one by default.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    help="Exact redirect URI of your own SMART application (client my-app); may be repeated.",
)
@click.option(
    "--log-level",
    default="warning",
    show_default=True,
    envvar="FHIRCAST_LOG_LEVEL",
    type=click.Choice(["debug", "info", "warning"]),
    help="The least of what is logged on standard error.  [FHIRCAST_LOG_LEVEL]",
)
def demo(
    port: int,
    hub_port: int,
    host: str,
    hub_url: str,
    jwt_key: str,
    topic: str,
    redirect_uris: tuple[str, ...],
    log_level: Literal["debug", "info", "warning"],
) -> None:
    """Run hub, demo EHR, images and the three applications until Ctrl-C.

    It prints the page to open, hub URL, topic and token for a client of your own, and client id and
    secret for a service. All people are made up; the images are public samples.
    """
    try:
        from fhircast_demo.launcher import DemoOptions, run
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is missing: install the extra, pip install 'fhircast-hub[demo]'"
        ) from None
    from fhircast_hub.config import is_loopback
    from fhircast_hub.observability.logs import configure

    if not is_loopback(host):
        raise click.UsageError("--host: the demo hands out tokens to everybody: loopback only")
    if hub_url and not jwt_key:
        raise click.UsageError("--hub needs --jwt-key, the key of that hub")
    for uri in redirect_uris:
        if "#" in uri or not uri.partition("://")[2]:
            raise click.UsageError(f"--redirect-uri {uri}: an absolute URL without a fragment")
    configure("text", log_level)
    run(DemoOptions(host, port, hub_port, hub_url, jwt_key, topic, redirect_uris), click.echo)
