"""Settings: one table of names, defaults, allowed values and what they are good for.

Every setting is a field of `Settings`, a variable `FHIRCAST_…` and a flag of `fhircast serve`. A
wrong value stops the start with one line that says which and what is allowed.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import ssl
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "FHIRCAST_"
_OTHER_VERBS = frozenset({"FHIRCAST_HUB", "FHIRCAST_TOKEN", "FHIRCAST_DEMO_PORT"})
"""Variables that the other verbs of `fhircast` read."""


class SettingError(ValueError):
    """A setting has a value that is not allowed.

    Attributes:
        variable: Name of the variable.
    """

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        super().__init__(f"{variable}={value!r}: allowed is {allowed}")
        self.variable = variable


def _setting(default: Any, help_text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **metadata})


def _seconds(default: float | None, help_text: str, *, least: float = 0) -> Any:
    return _setting(default, help_text, kind="seconds", least=least)


def _count(default: int, help_text: str, *, least: int = 1) -> Any:
    return _setting(default, help_text, kind="count", least=least)


def _names(help_text: str, *choices: str) -> Any:
    return _setting((), help_text, kind="names", choices=choices)


def _choice(default: str | None, help_text: str, *choices: str) -> Any:
    return _setting(default, help_text, kind="choice", choices=choices)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator of the hub can decide. Times are seconds and take decimals."""

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8080, "Port to listen on; 0 takes any free one.", kind="port")
    public_url: str = _setting(
        "", "Origin (and path prefix) under which clients reach the hub.", kind="url"
    )
    hub_path: str = _setting("/api/hub", "Path of hub.url.", kind="path")
    mounts: tuple[str, ...] = _setting(
        ("/fhircast/STU3", "/fhircast/STU2"),
        "Further paths of the hub, comma separated; one ending in STU2 answers a GET as STU2 did.",
        kind="paths",
    )
    tls_cert: str = _setting("", "PEM file of the certificate (chain): the hub does TLS itself.")
    tls_key: str = _setting("", "PEM file of its private key.")
    backend: str = _setting("memory://", "Where sessions are kept.", kind="backend")
    auth: str = _choice("none", "How callers prove who they are.", "none", "jwt")
    allow_insecure: bool = _setting(
        False, "Allow auth none, and http, on an address that is not loopback.", kind="switch"
    )
    jwt_key: str = _setting(
        "", "HS256 secret (32 characters or more) or path of a PEM public key.", secret=True
    )
    issuer: str = _setting("", "The iss that tokens must carry; empty: any.")
    audience: str = _setting("", "The aud that tokens must carry; empty: any.")
    profile: str = _choice("base", "Rules that bind: FHIRcast, or IHE IRA too.", "base", "ira")
    dialects: tuple[str, ...] = _names(
        "Ways of deployed applications to understand, comma separated.",
        "open-without-report",
        "update-without-version",
        "post-without-id",
    )
    strict: tuple[str, ...] = _names(
        "Refuse what is otherwise forwarded: POST entries, faults of opens and closes.",
        "post",
        "profiles",
    )
    non_current_updates: bool = _setting(
        True, "Take updates of open contexts that are not current.", kind="switch"
    )
    ack_policy: str | None = _choice(
        None, "Whom the acknowledgement rule binds (ira: strict).", "adaptive", "strict"
    )
    ack_timeout_seconds: float = _seconds(10, "Time for an acknowledgement.", least=0.05)
    unresponsive_after: int = _count(3, "Missing acknowledgements that end a subscription.")
    reconnect_grace_seconds: float | None = _seconds(
        None, "Time for a lost connection to come back (5; ira: 0)."
    )
    lease_default_seconds: int = _count(7200, "Lease of a subscription that asks for none.")
    lease_max_seconds: int = _count(86_400, "The longest lease granted.")
    endpoint_unused_seconds: float = _seconds(
        60, "Life of an endpoint nobody connects to.", least=1
    )
    topic_idle_seconds: float = _seconds(600, "Life of a topic after its last subscription.")
    derive: str = _choice(
        "missing",
        "Who gets opens of the patient, encounter and study in an open: who does not get that open "
        "itself, everybody, or nobody (then all subscribers of a topic need the same events).",
        "missing",
        "all",
        "off",
    )
    common_events: bool = _setting(
        False,
        "Refuse a subscribe whose events differ from the topic's subscribers'.",
        kind="switch",
    )
    reject: str = _choice(
        "at-once",
        "When a request that does not fit the state is refused: with the answer, or by a SyncError "
        "to the requester after a 202 (needs auth jwt).",
        "at-once",
        "late",
    )
    ended_endpoint_seconds: float = _seconds(
        3600, "How long the denial of an ended endpoint can name its topic and events."
    )
    max_ended_endpoints: int = _count(10_000, "Endpoints remembered for that.")
    max_unknown_upgrades_per_minute: int = _count(
        600, "Connections to unknown endpoints from one address."
    )
    max_clock_ahead_seconds: float = _seconds(300, "How far a timestamp may lie ahead.")
    max_event_bytes: int = _count(1_048_576, "Size of a request body.", least=1024)
    max_outbox_bytes: int = _count(
        4_194_304, "Bytes waiting for a subscriber that does not read.", least=1024
    )
    max_outbox_events: int = _count(1000, "Frames waiting for a subscriber that does not read.")
    max_subscribers_per_topic: int = _count(1000, "Subscriptions of one topic.")
    max_topics: int = _count(10_000, "Topics at a time.")
    max_open_contexts: int = _count(64, "Open contexts of one topic.")
    max_content_resources: int = _count(10_000, "Resources shared in one context.")
    ping_seconds: float | None = _seconds(
        None, "Interval of WebSocket pings (15; ira: 5).", least=0.1
    )
    allowed_origins: tuple[str, ...] = _setting(
        (),
        "Origins of browser pages that may call the hub, comma separated; * for all.",
        kind="origins",
    )
    log_format: str = _choice("text", "Form of the log on standard error.", "text", "json")

    @property
    def does_tls(self) -> bool:
        """Whether the hub itself speaks https and wss."""
        return bool(self.tls_cert)

    @property
    def is_ira(self) -> bool:
        """Whether the IRA profile binds."""
        return self.profile == "ira"


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def load_settings(
    environment: Mapping[str, str], overrides: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of an environment, with those given by flags on top.

    Args:
        environment: The process's environment.
        overrides: Setting's name -> text, for settings given by flag.

    Raises:
        SettingError: A value is not allowed, or two settings do not fit together.
    """
    values: dict[str, Any] = {}
    for it in fields(Settings):
        variable = variable_of(it.name)
        text = (overrides or {}).get(it.name, environment.get(variable))
        if text is not None:
            values[it.name] = _parse(variable, text.strip(), it.metadata)
    return _check(_with_profile_defaults(Settings(**values)))


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a warning for each `FHIRCAST_…` variable that is no setting, with the nearest one."""
    bare = [it.name.upper() for it in fields(Settings)]
    known = [PREFIX + it for it in bare]
    warnings = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in _OTHER_VERBS.union(known):
            # Without the prefix, which would make every name near to every other.
            near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
            hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
            warnings.append(f"{name} is no setting of the hub{hint}")
    return warnings


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _with_profile_defaults(settings: Settings) -> Settings:
    ira = settings.is_ira
    defaults: dict[str, Any] = {
        "ack_policy": "strict" if ira else "adaptive",
        "reconnect_grace_seconds": 0.0 if ira else 5.0,
        "ping_seconds": 5.0 if ira else 15.0,
    }
    missing = {name: it for name, it in defaults.items() if getattr(settings, name) is None}
    return replace(settings, **missing)


def _check(settings: Settings) -> Settings:
    _check_access(settings)
    _check_tls(settings)
    if settings.lease_default_seconds > settings.lease_max_seconds:
        raise SettingError(
            variable_of("lease_default_seconds"),
            str(settings.lease_default_seconds),
            f"at most {variable_of('lease_max_seconds')} ({settings.lease_max_seconds})",
        )
    if "post" in settings.strict and "post-without-id" in settings.dialects:
        raise SettingError(
            variable_of("strict"),
            "post",
            f"profiles only, beside {variable_of('dialects')}=post-without-id",
        )
    return settings


def _check_access(settings: Settings) -> None:
    if settings.auth == "none" and not (settings.allow_insecure or is_loopback(settings.host)):
        raise SettingError(
            variable_of("auth"),
            "none",
            f"jwt on {settings.host}, or {variable_of('allow_insecure')}=1 to let everybody in",
        )
    if settings.auth == "none" and settings.reject == "late":
        raise SettingError(
            variable_of("reject"),
            "late",
            f"at-once with {variable_of('auth')}=none, where requesters cannot be told apart",
        )
    key = settings.jwt_key
    if settings.auth == "jwt" and not (key.endswith(".pem") or len(key) >= 32):
        raise SettingError(
            variable_of("jwt_key"), "…", "a secret of 32 characters or more, or a .pem file"
        )


def _check_tls(settings: Settings) -> None:
    """GEN-01, GEN-02: beyond this machine, https and wss only, unless somebody says otherwise."""
    cert, key = settings.tls_cert, settings.tls_key
    if bool(cert) != bool(key):
        name, other = ("tls_key", "tls_cert") if cert else ("tls_cert", "tls_key")
        raise SettingError(variable_of(name), "", f"a PEM file, beside {variable_of(other)}")
    if cert:
        try:
            # A key with a password would ask for it on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_none)
        except (OSError, ValueError):
            allowed = f"a PEM certificate that fits the key in {variable_of('tls_key')}"
            raise SettingError(variable_of("tls_cert"), cert, allowed) from None
    elif not (
        settings.allow_insecure
        or is_loopback(settings.host)
        or settings.public_url.startswith("https://")
    ):
        raise SettingError(
            variable_of("host"),
            settings.host,
            f"loopback, or any with {variable_of('tls_cert')} and {variable_of('tls_key')}, with "
            f"{variable_of('public_url')}=https://… if a proxy does TLS, or with "
            f"{variable_of('allow_insecure')}=1",
        )


def _none() -> str:
    return ""


def _parse(variable: str, text: str, metadata: Mapping[str, Any]) -> Any:
    kind = metadata.get("kind", "text")
    match kind:
        case "seconds" | "count" | "port":
            return _parse_number(variable, text, kind, metadata.get("least", 0))
        case "choice":
            if text not in metadata["choices"]:
                raise SettingError(variable, text, " or ".join(metadata["choices"]))
        case "switch":
            if text.lower() not in {"0", "1", "true", "false", "yes", "no", ""}:
                raise SettingError(variable, text, "1 or 0")
            return text.lower() in {"1", "true", "yes"}
        case "names" | "paths" | "origins":
            return _parse_list(variable, text, kind, metadata)
        case "path":
            if not _is_path(text):
                raise SettingError(variable, text, "a path that starts and does not end with /")
        case "url":
            if text and not _is_url(text):
                raise SettingError(variable, text, "an http(s) URL that does not end with /")
        case "backend":
            if text != "memory://":
                raise SettingError(variable, text, "memory://")
        case _:
            pass
    return text


def _parse_list(
    variable: str, text: str, kind: str, metadata: Mapping[str, Any]
) -> tuple[str, ...]:
    parts = tuple(filter(None, (part.strip() for part in text.split(","))))
    if kind == "names" and not set(parts) <= set(metadata["choices"]):
        allowed = ", ".join(metadata["choices"])
        raise SettingError(variable, text, f"a comma separated list of {allowed}")
    if kind == "paths" and not all(map(_is_path, parts)):
        raise SettingError(
            variable, text, "a comma separated list of paths that start and do not end with /"
        )
    if kind == "origins" and not all(map(_is_origin, parts)):
        raise SettingError(
            variable, text, "a comma separated list of origins (https://host:port, no path), or *"
        )
    return parts


def _is_origin(text: str) -> bool:
    # What does not look like what a browser sends would never match, and nobody would know why.
    scheme, _, rest = text.partition("://")
    return text in {"*", "null"} or bool(
        scheme and rest and text == text.lower() and not set(rest) & set("/?#@ ")
    )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket without its other half
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and not text.endswith("/")


def _is_path(text: str) -> bool:
    return text.startswith("/") and not text.endswith("/")


def _parse_number(variable: str, text: str, kind: str, least: float) -> float:
    most = 65_535 if kind == "port" else math.inf
    try:
        number = float(text) if kind == "seconds" else int(text)
    except ValueError:
        number = math.nan
    if not (least <= number <= most) or number == math.inf:
        unit = "a number of seconds" if kind == "seconds" else "a whole number"
        raise SettingError(
            variable, text, f"{unit} from {least:g}" + (f" to {most:g}" if kind == "port" else "")
        )
    return number
