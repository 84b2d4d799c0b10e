"""`fhircast demo`: the whole workflow on one machine."""

from __future__ import annotations

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
@click.option("--topic", default="", help="Topic of the session; a new one by default.")
def demo(port: int, hub_port: int, host: str, hub_url: str, jwt_key: str, topic: str) -> None:
    """Run hub, demo EHR, images and the three applications until Ctrl-C.

    It prints the page to open, and hub URL, topic and token for a client of your own. All patients
    are made up; the images are public samples.
    """
    try:
        from fhircast_demo.launcher import DemoOptions, run
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is missing: install the extra, pip install 'fhircast-hub[demo]'"
        ) from None
    from fhircast_hub.config import is_loopback

    if not is_loopback(host):
        raise click.UsageError("--host: the demo hands out tokens to everybody: loopback only")
    if hub_url and not jwt_key:
        raise click.UsageError("--hub needs --jwt-key, the key of that hub")
    run(DemoOptions(host, port, hub_port, hub_url, jwt_key, topic), click.echo)
