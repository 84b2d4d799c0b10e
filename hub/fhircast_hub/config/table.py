"""The table: every setting with its default and what it is good for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
    audit_file: str = _setting(
        "", "File of the audit trail: every request as a chained line; empty: none."
    )
    audit_max_bytes: int = _count(
        67_108_864, "Size beyond which a new audit file is begun.", least=65_536
    )
    audit_keep: int = _count(30, "Rotated audit files kept, the newest; 0 keeps all.", least=0)
    audit_fhir_url: str = _setting(
        "", "FHIR server that gets every entry as an AuditEvent; empty: none.", kind="url"
    )
    audit_queue: int = _count(10_000, "Audit entries that may wait to be written.", least=2)
    audit_required: bool = _setting(
        False, "Refuse with 503 what the audit trail cannot record.", kind="switch"
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
