"""What is found out about a hub before the checks begin, and words for what is no hub."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from fhircast_conformance.bench import FENCE, HubUnderTest
from fhircast_conformance.check import Blocked, NotApplicable
from fhircast_conformance.messages import new_id
from fhircast_conformance.runner import read_well_known
from fhircast_conformance.wire import Wire

if TYPE_CHECKING:
    from fhircast_conformance.bench import Timers
    from fhircast_conformance.check import Profile
    from fhircast_conformance.tokens import Tokens

_MAX_SAID = 120


class NoHub(Exception):
    """There is nothing to judge: no hub at the URL, or it lets the kit do nothing."""


def trust(ca: str | None) -> ssl.SSLContext | bool:
    """Return what TLS trusts: a file of certificates, or what the system trusts.

    Raises:
        ValueError: The file holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca) if ca else True
    except ssl.SSLError:
        raise ValueError(f"--ca {ca}: holds no PEM certificate") from None


async def look_at(
    url: str,
    profile: Profile,
    timers: Timers,
    tokens: Tokens,
    *,
    verify: ssl.SSLContext | bool = True,
    is_balanced: bool = False,
) -> HubUnderTest:
    """Find out what the checks need to know of a hub before they begin.

    Raises:
        NoHub: It cannot be reached, lets nobody subscribe, or there is no token for it.
    """
    url = _hub_url(url)
    try:
        token = await tokens.get(scope="fhircast/*.*", topic="", seconds=3600, subject="")
        document = await read_well_known(url, verify=verify)
        async with Wire(url, token=token, name="probe", verify=verify) as wire:
            takes_unknown_events = await _lets_join(wire)
    except httpx.TimeoutException:
        raise NoHub(f"no hub answers at {url}: no answer came within seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        hint = "; give its certificates with --ca" if "CERTIFICATE" in str(error) else ""
        said = str(error) or type(error).__name__
        raise NoHub(f"no hub answers at {url}: {said}{hint}") from None
    except (Blocked, NotApplicable) as error:
        raise NoHub(str(error)) from None
    return HubUnderTest(
        url=url,
        profile=profile,
        timers=timers,
        tokens=tokens,
        well_known=document,
        verify=verify,
        takes_unknown_events=takes_unknown_events,
        is_balanced=is_balanced,
    )


def _hub_url(url: str) -> str:
    """Return hub.url without a slash at its end.

    Raises:
        NoHub: It is no http(s) URL.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise NoHub(f"{url} is no hub.url: it has to be like https://hub.example.org/api/hub")
    return url.rstrip("/")


async def _lets_join(wire: Wire) -> bool:
    """Subscribe to a new topic; return whether an event that the hub cannot know is taken, too.

    Raises:
        NoHub: Nobody can subscribe, so that every row would be undecided.
    """
    for events in (["Patient-open", FENCE], ["Patient-open"], ["DiagnosticReport-open"]):
        topic = new_id()
        answer = await wire.subscribe(topic, events, name="probe")
        if answer.is_success:
            if "html" in answer.headers.get("content-type", ""):
                break
            if endpoint := _endpoint_in(answer):
                await wire.unsubscribe(topic, endpoint)
            return FENCE in events
        if answer.status_code in {401, 403, 404, 405} or answer.is_redirect:
            break
    raise NoHub(_refusal(wire.hub_url, answer))


def _endpoint_in(answer: httpx.Response) -> str:
    """Return the endpoint, "" if none is named; that is the subject of SUB-14."""
    try:
        value = json.loads(answer.content)
    except ValueError:
        return ""
    return str(value.get("hub.channel.endpoint", "")) if isinstance(value, dict) else ""


def _refusal(url: str, answer: httpx.Response) -> str:
    status = answer.status_code
    kind = answer.headers.get("content-type", "").partition(";")[0]
    said = " ".join(answer.text.split())[:_MAX_SAID] if kind == "text/plain" else kind
    seen = f"a subscribe posted to {url} was answered {status}" + (f" ({said})" if said else "")
    if answer.is_redirect:
        return f"{seen}: give the URL that it leads to, {answer.headers.get('location', '')}"
    if status in {401, 403}:
        return f"{seen}: give a token for fhircast/*.* by --token or --token-cmd"
    if status in {404, 405} or "html" in kind:
        return f"{seen}: is this its hub.url?"
    return f"{seen}; without joining, each check with a new topic, nothing can be judged"
