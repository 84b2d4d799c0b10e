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


def _rate(default: int, help_text: str) -> Any:
    return _setting(default, f"{help_text} 0 is no limit.", kind="count", least=0)


def _names(help_text: str, *choices: str) -> Any:
    return _setting((), help_text, kind="names", choices=choices)


def _choice(default: str | None, help_text: str, *choices: str) -> Any:
    return _setting(default, help_text, kind="choice", choices=choices)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator of the hub can decide. Times are seconds and take decimals."""

    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8080, "Port to listen on; 0 takes any free one.", kind="port")
    workers: int = _count(1, "Processes on this machine; more than one need sessions in Redis.")
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
    tls_self_signed: bool = _setting(
        False,
        "TLS with a certificate made at the start, for trying things out.",
        kind="switch",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "Addresses and networks of proxies, comma separated, that say who their client is.",
        kind="networks",
    )
    forwarded_header: str = _choice(
        "x-forwarded",
        "Where trusted proxies say it: X-Forwarded-For, -Proto and -Host, or Forwarded.",
        "x-forwarded",
        "forwarded",
    )
    backend: str = _setting(
        "memory://",
        "Where sessions are kept: memory://, or for several hubs redis://, unix://, "
        "redis+sentinel:// or redis+cluster://; with rediss it is TLS.",
        kind="backend",
    )
    redis_timeout_seconds: float = _seconds(
        2, "Time for Redis to answer, before a request gets 503.", least=0.05
    )
    redis_away_seconds: float = _seconds(
        10, "How long Redis may be away before subscribers are told to connect again.", least=0.05
    )
    redis_hold_seconds: float = _seconds(
        60, "How long a subscriber may be without a hub before the others are told.", least=0.5
    )
    auth: str = _choice("none", "How callers prove who they are.", "none", "jwt", "introspection")
    allow_insecure: bool = _setting(
        False, "Allow auth none, and http, on an address that is not loopback.", kind="switch"
    )
    jwt_key: str = _setting(
        "", "HS256 secret (32 characters or more) or path of a PEM public key.", secret=True
    )
    jwks_file: str = _setting("", "File with the issuer's keys (JWKS), read again when it changes.")
    jwks_url: str = _setting(
        "", "URL of the issuer's keys (JWKS); https, or http on loopback.", kind="secure-url"
    )
    jwks_seconds: float = _seconds(300, "How long fetched keys are used without asking again.")
    jwks_retry_seconds: float = _seconds(
        10, "Least time between two fetches, however many tokens name unknown keys."
    )
    jwks_stale_seconds: float = _seconds(
        86_400, "How long fetched keys are used while they cannot be fetched again."
    )
    issuers_file: str = _setting(
        "", "TOML or JSON file with further issuers, each with its keys and audience."
    )
    jwt_algorithms: tuple[str, ...] = _names(
        "Algorithms allowed for public keys, comma separated; empty: all that fit the key.",
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    )
    issuer: str = _setting("", "The iss that tokens must carry; empty: any.")
    audience: str = _setting("", "The aud that tokens must carry; empty: any.")
    introspection_url: str = _setting(
        "", "Where opaque tokens are asked about (RFC 7662).", kind="secure-url"
    )
    introspection_client_id: str = _setting("", "Name of the hub at that URL; empty: none.")
    introspection_client_secret: str = _setting("", "Its secret.", secret=True)
    introspection_seconds: float = _seconds(
        60,
        "How long an answer holds, and how often tokens of subscriptions are asked about again.",
        least=0.1,
    )
    token_leeway_seconds: float = _seconds(
        30, "How far nbf and iat of a token may lie ahead; its end has no leeway."
    )
    require_topic: bool = _setting(
        False, "Refuse tokens that are bound to no topic (hub.topic).", kind="switch"
    )
    policy: str = _setting(
        "", "A site's own rules, as package.module:attribute; they can only take away."
    )
    max_token_bytes: int = _count(8192, "Length of a token; a longer one is refused unread.")
    max_cached_tokens: int = _count(10_000, "Verified tokens remembered until they end.")
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
        "to the requester after a 202 (not with auth none).",
        "at-once",
        "late",
    )
    ended_endpoint_seconds: float = _seconds(
        3600, "How long the denial of an ended endpoint can name its topic and events."
    )
    max_ended_endpoints: int = _count(10_000, "Endpoints remembered for that.")
    max_subscribes_per_minute: int = _rate(
        6000, "Subscribe and unsubscribe requests from one address."
    )
    max_subscribes_per_minute_and_token: int = _rate(1200, "The same, of one token's holder.")
    max_publishes_per_minute: int = _rate(600_000, "Context change requests from one address.")
    max_publishes_per_minute_and_token: int = _rate(300_000, "The same, of one token's holder.")
    max_reads_per_minute: int = _rate(600_000, "GETs of the current context from one address.")
    max_reads_per_minute_and_token: int = _rate(60_000, "The same, of one token's holder.")
    max_upgrades_per_minute: int = _rate(12_000, "WebSocket connections from one address.")
    max_unknown_upgrades_per_minute: int = _rate(
        600, "Connections to unknown endpoints from one address."
    )
    max_bad_tokens_per_minute: int = _rate(
        6000, "Different bad tokens from one address, before tokens not yet known are put off."
    )
    max_connections: int = _rate(18_000, "Connections at a time.")
    max_connections_per_peer: int = _rate(
        16_000, "Connections at a time from one address; trusted proxies are not counted."
    )
    max_subscriptions_per_token: int = _rate(2000, "Subscriptions at a time of one token's holder.")
    max_topics_per_token: int = _rate(1000, "Topics at a time made by one token's holder.")
    max_header_bytes: int = _count(32_768, "Size of a request's header block.", least=1024)
    max_frames_per_second: int = _rate(
        100, "Frames from one subscriber, beyond one for each frame that it was sent."
    )
    header_timeout_seconds: float = _seconds(
        10, "Time for the header block of a request to come in.", least=0.1
    )
    body_timeout_seconds: float = _seconds(
        30, "Time for a request body, or a WebSocket message in fragments, to come in.", least=0.1
    )
    idle_timeout_seconds: float = _seconds(
        75, "Life of an HTTP connection without a request.", least=0.1
    )
    write_timeout_seconds: float = _seconds(
        30, "Time for a peer to read when the buffer to it is full, or at the end.", least=0.1
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
    log_level: str = _choice("info", "The least of what is logged.", "debug", "info", "warning")
    audit_file: str = _setting(
        "", "File of the audit trail: every request as a chained line; empty: none."
    )
    audit_max_bytes: int = _count(
        67_108_864, "Size beyond which a new audit file is begun.", least=65_536
    )
    audit_keep: int = _count(30, "Rotated audit files kept, the newest; 0 keeps all.", least=0)
    audit_fhir_url: str = _setting(
        "",
        "FHIR server that gets each entry as an AuditEvent (https; http on loopback); empty: none.",
        kind="secure-url",
    )
    audit_queue: int = _count(10_000, "Audit entries that may wait to be written.", least=2)
    audit_required: bool = _setting(
        False, "Refuse with 503 what the audit trail cannot record.", kind="switch"
    )
    drain_seconds: float = _seconds(
        0, "How long a hub that stops still takes requests, while /readyz says 503."
    )
    send_away_seconds: float = _seconds(
        5,
        "Time over which a hub that stops closes its subscribers' sockets, if there are many "
        "(500 a second; Redis only).",
    )
    log_format: str = _choice("text", "Form of the log on standard error.", "text", "json")

    @property
    def does_tls(self) -> bool:
        """Whether the hub itself speaks https and wss."""
        return bool(self.tls_cert) or self.tls_self_signed

    @property
    def is_ira(self) -> bool:
        """Whether the IRA profile binds."""
        return self.profile == "ira"
