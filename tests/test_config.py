"""Settings: defaults, what is allowed, and the one line that a wrong value gets."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from fhircast_hub.config import (
    SettingError,
    Settings,
    is_loopback,
    load_settings,
    unknown_variables,
    variable_of,
)
from fhircast_hub.config.names import names_a_file
from fhircast_hub.protocol.dialects import Dialect

if TYPE_CHECKING:
    from pathlib import Path

KEY = "k" * 32

WRONG = [
    ("port", "-1"),
    ("port", "65536"),
    ("port", "http"),
    ("port", "80.5"),
    ("public_url", "hub.example.org"),
    ("public_url", "https://hub.example.org/"),
    ("public_url", "ftp://hub.example.org"),
    ("jwks_url", "http://as.example/jwks"),
    ("jwks_url", "https://as.example/jwks#keys"),
    ("jwks_url", "https:///jwks"),
    ("jwks_url", "https://[as.example/jwks"),
    ("jwks_url", "https://as.example/my keys"),
    ("jwks_url", "https://as.example:port/jwks"),
    ("jwks_url", "https://as.example:0/jwks"),
    ("jwks_url", "jwks.json"),
    ("introspection_url", "http://as.example/introspect"),
    ("introspection_seconds", "0"),
    ("jwt_algorithms", "RS256,none"),
    ("jwt_algorithms", "HS256"),
    ("max_token_bytes", "0"),
    ("public_url", "http://["),
    ("public_url", "https://:443"),
    ("audit_fhir_url", "http://127.0.0.1:bad/fhir"),
    ("audit_fhir_url", "https://fhir.example:65536/r4"),
    ("audit_fhir_url", "https://fhir.example:0/r4"),
    ("audit_fhir_url", "https://fhir example/r4"),
    ("audit_fhir_url", "https://fhir.example/r4\x7f"),
    ("public_url", "https:hub.example.org"),
    ("hub_path", "api"),
    ("hub_path", "/api/"),
    ("backend", "postgres://x"),
    ("backend", "redis://"),
    ("backend", "redis://127.0.0.1/zero"),
    ("backend", "redis://127.0.0.1:0"),
    ("backend", "redis+cluster://127.0.0.1/1"),
    ("backend", "redis+sentinel://127.0.0.1,127.0.0.2"),
    ("backend", "redis://127.0.0.1,127.0.0.2"),
    ("backend", "redis+other://127.0.0.1"),
    ("backend", "redis+cluster://one,"),
    ("backend", "redis+cluster://one:0,two"),
    ("backend", "redis+sentinel://one/"),
    ("backend", "redis+sentinel://one/sessions/zero"),
    ("backend", "unix://"),
    ("redis_timeout_seconds", "0"),
    ("auth", "basic"),
    ("allow_insecure", "perhaps"),
    ("profile", "IRA"),
    ("ack_policy", "lenient"),
    ("ack_timeout_seconds", "0"),
    ("ack_timeout_seconds", "ten"),
    ("ack_timeout_seconds", "nan"),
    ("ack_timeout_seconds", "inf"),
    ("unresponsive_after", "0"),
    ("reconnect_grace_seconds", "-1"),
    ("lease_default_seconds", "0"),
    ("lease_max_seconds", "1.5"),
    ("endpoint_unused_seconds", "0.5"),
    ("topic_idle_seconds", "-0.1"),
    ("max_event_bytes", "1023"),
    ("max_outbox_bytes", "1"),
    ("max_outbox_events", "0"),
    ("max_subscribers_per_topic", "0"),
    ("max_topics", "many"),
    ("ping_seconds", "0"),
    ("log_format", "xml"),
    ("derive", "some"),
    ("common_events", "maybe"),
    ("reject", "never"),
    ("mounts", "/fhircast/STU3,fhircast"),
    ("mounts", "/"),
    ("allowed_origins", "https://app.example/"),
    ("allowed_origins", "https://app.example,app.example"),
    ("allowed_origins", "https://App.example"),
    ("allowed_origins", "https://app.example/viewer"),
    ("dialects", "open-without-report,post"),
    ("dialects", "Open-Without-Report"),
    ("strict", "everything"),
    ("max_ended_endpoints", "0"),
    ("max_unknown_upgrades_per_minute", "-1"),
    ("max_header_bytes", "100"),
    ("header_timeout_seconds", "0"),
    ("trusted_proxies", "10.0.0.0/99"),
    ("trusted_proxies", "10.0.0.1/8"),
    ("trusted_proxies", "proxy.example"),
    ("forwarded_header", "via"),
    ("tls_self_signed", "maybe"),
    ("ended_endpoint_seconds", "-1"),
    ("audit_max_bytes", "1000"),
    ("audit_keep", "-1"),
    ("audit_fhir_url", "repository.example"),
    ("audit_fhir_url", "http://10.1.2.3/fhir"),
    ("audit_queue", "1"),
    ("audit_required", "1"),
]


def test_the_defaults_are_complete_and_allowed() -> None:
    """An empty environment is a hub for trying things out, on loopback."""
    settings = load_settings({})
    assert (settings.host, settings.auth, settings.profile) == ("127.0.0.1", "none", "base")
    assert None not in [getattr(settings, it.name) for it in fields(Settings)]


def test_the_base_profile_follows_the_field() -> None:
    """D-41, D-45, D-50: adaptive, a grace of 5 s, a ping every 15 s."""
    settings = load_settings({})
    assert settings.ack_policy == "adaptive"
    assert (settings.reconnect_grace_seconds, settings.ping_seconds) == (5, 15)


def test_the_ira_profile_brings_its_own_defaults() -> None:
    """D-41, D-45, D-50: strict, no grace, a ping every 5 s."""
    settings = load_settings({"FHIRCAST_PROFILE": "ira"})
    assert settings.is_ira
    assert settings.ack_policy == "strict"
    assert (settings.reconnect_grace_seconds, settings.ping_seconds) == (0, 5)


def test_a_value_given_wins_over_the_profile() -> None:
    settings = load_settings(
        {"FHIRCAST_PROFILE": "ira", "FHIRCAST_RECONNECT_GRACE_SECONDS": "2.5"},
        {"ack_policy": "adaptive"},
    )
    assert (settings.reconnect_grace_seconds, settings.ack_policy) == (2.5, "adaptive")


def test_a_flag_wins_over_the_environment() -> None:
    assert load_settings({"FHIRCAST_PORT": "1"}, {"port": "2"}).port == 2


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_gets_one_line(name: str, value: str) -> None:
    """It names the variable, the value and what is allowed."""
    with pytest.raises(SettingError) as refused:
        load_settings({variable_of(name): value})
    line = str(refused.value)
    assert line.startswith(f"{variable_of(name)}={value!r}: allowed is ")
    assert "\n" not in line
    assert refused.value.variable == variable_of(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("public_url", "https://hub.example.org"),
        ("jwt_key", "k" * 32),
        ("jwks_file", "jwks.json"),
        ("introspection_url", "https://as.example/introspect"),
    ],
)
def test_nobody_is_let_in_because_auth_was_forgotten(name: str, value: str) -> None:
    """SEC-02: a key, or an address that others reach, says that tokens were meant."""
    with pytest.raises(SettingError, match=variable_of(name)) as refused:
        load_settings({variable_of(name): value})
    assert refused.value.variable == "FHIRCAST_AUTH"


def test_a_refused_url_keeps_its_password_to_itself() -> None:
    """SEC-03: the line may end in a log."""
    with pytest.raises(SettingError) as refused:
        load_settings({"FHIRCAST_JWKS_URL": "https://user:S3CRET@as.example/jwks"})
    assert "S3CRET" not in str(refused.value)
    assert "as.example" in str(refused.value)


@pytest.mark.parametrize("name", ["jwt_key", "jwks_file", "jwks_url", "issuers_file"])
def test_who_asks_the_issuer_has_no_use_for_keys(name: str) -> None:
    """SMART-07: one of two ways would be passed over in silence."""
    settings = {
        "FHIRCAST_AUTH": "introspection",
        "FHIRCAST_INTROSPECTION_URL": "https://as.example/introspect",
        variable_of(name): "https://as.example/jwks",
    }
    with pytest.raises(SettingError) as refused:
        load_settings(settings)
    assert refused.value.variable == variable_of(name)


@pytest.mark.parametrize(
    ("key", "is_file"),
    [
        ("/etc/fhircast/keys/hospital-issuer-public", True),
        ("keys/hospital-issuer-of-2026.pub", True),
        ("../issuer.CERTIFICATE/that/is/none", True),
        ("a/base64+secret/of/48/characters==", False),
        ("x" * 5000, False),
        ("a\0b", False),
    ],
)
def test_a_path_is_no_secret(key: str, *, is_file: bool) -> None:
    """SUB-10: who guesses the path could sign tokens with it."""
    assert names_a_file(key) is is_file


def test_every_kind_of_setting_is_tried() -> None:
    """A new kind needs a row in the table above."""
    kinds = {it.name: it.metadata.get("kind", "text") for it in fields(Settings)}
    assert set(kinds.values()) - {"text"} == {kinds[name] for name, _ in WRONG}


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("1", True), ("true", True), ("YES", True), ("0", False), ("no", False), ("", False)],
)
def test_a_switch(text: str, *, allowed: bool) -> None:
    assert load_settings({"FHIRCAST_ALLOW_INSECURE": text}).allow_insecure is allowed


def test_a_list_is_comma_separated() -> None:
    settings = load_settings({"FHIRCAST_ALLOWED_ORIGINS": " https://a.example, ,https://b.example"})
    assert settings.allowed_origins == ("https://a.example", "https://b.example")


def test_spaces_around_a_value_do_no_harm() -> None:
    assert load_settings({"FHIRCAST_PORT": " 80 "}).port == 80


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "hub.example.org"])
def test_nobody_is_let_in_unasked_beyond_loopback(host: str) -> None:
    """Security: auth none elsewhere needs a word of its own; the line says which."""
    with pytest.raises(SettingError, match="FHIRCAST_ALLOW_INSECURE=1"):
        load_settings({"FHIRCAST_HOST": host})
    assert load_settings({"FHIRCAST_HOST": host, "FHIRCAST_ALLOW_INSECURE": "1"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    assert load_settings({"FHIRCAST_HOST": host}).auth == "none"


def test_tokens_need_a_key() -> None:
    """A short secret can be guessed; the line does not repeat it."""
    for key in ("", "too-short-secret"):
        with pytest.raises(SettingError, match="FHIRCAST_JWT_KEY") as refused:
            load_settings({"FHIRCAST_AUTH": "jwt", "FHIRCAST_JWT_KEY": key})
        assert not key or key not in str(refused.value)
    for key in ("k" * 32, "key.pem"):
        assert load_settings({"FHIRCAST_AUTH": "jwt", "FHIRCAST_JWT_KEY": key}).jwt_key == key


@pytest.mark.parametrize(
    "keys",
    [
        {"jwks_url": "https://as.example/jwks"},
        {"jwks_url": "http://127.0.0.1:9/jwks"},
        {"jwks_file": "jwks.json"},
        {"issuers_file": "issuers.toml"},
        {"issuers_file": "issuers.toml", "jwt_key": KEY},
    ],
)
def test_keys_may_come_from_elsewhere(keys: dict[str, str]) -> None:
    """SUB-10."""
    assert load_settings({"FHIRCAST_AUTH": "jwt"}, keys).auth == "jwt"


def test_keys_come_from_one_place() -> None:
    """SUB-10: two would have to be merged, or one passed over in silence."""
    given = {"jwks_url": "https://as.example/jwks", "jwks_file": "jwks.json"}
    with pytest.raises(SettingError, match="FHIRCAST_JWKS_FILE"):
        load_settings({"FHIRCAST_AUTH": "jwt"}, given)


def test_introspection_needs_somebody_to_ask() -> None:
    """SMART-07."""
    with pytest.raises(SettingError, match="FHIRCAST_INTROSPECTION_URL"):
        load_settings({"FHIRCAST_AUTH": "introspection"})


def test_a_topic_cannot_be_demanded_of_nobody() -> None:
    """SMART-08: without tokens there is nothing that could be bound."""
    with pytest.raises(SettingError, match="FHIRCAST_REQUIRE_TOPIC"):
        load_settings({"FHIRCAST_REQUIRE_TOPIC": "1"})


def test_a_late_rejection_needs_to_know_the_requester() -> None:
    """EVT-06: with auth none everybody is the same."""
    with pytest.raises(SettingError, match=r"FHIRCAST_REJECT='late'.*FHIRCAST_AUTH=none"):
        load_settings({"FHIRCAST_REJECT": "late"})
    settings = load_settings({"FHIRCAST_AUTH": "jwt", "FHIRCAST_REJECT": "late"}, {"jwt_key": KEY})
    assert settings.reject == "late"


def test_http_beyond_loopback_needs_a_word() -> None:
    """GEN-01, GEN-02: TLS by the hub, TLS by a proxy, or insecure on purpose."""
    beyond = {"FHIRCAST_HOST": "192.0.2.1", "FHIRCAST_AUTH": "jwt", "FHIRCAST_JWT_KEY": "k" * 32}
    for public_url in ("", "http://hub.example.org"):
        with pytest.raises(SettingError, match="FHIRCAST_TLS_CERT") as refused:
            load_settings({**beyond, "FHIRCAST_PUBLIC_URL": public_url})
        assert refused.value.variable == "FHIRCAST_HOST"
    for word in (
        {"FHIRCAST_PUBLIC_URL": "https://hub.example.org"},
        {"FHIRCAST_ALLOW_INSECURE": "1"},
    ):
        assert load_settings({**beyond, **word}).host == "192.0.2.1"


@pytest.mark.parametrize(
    ("given", "missing"), [("tls_cert", "FHIRCAST_TLS_KEY"), ("tls_key", "FHIRCAST_TLS_CERT")]
)
def test_certificate_and_key_come_together(given: str, missing: str) -> None:
    """GEN-01: the line names the one that is missing."""
    with pytest.raises(SettingError) as refused:
        load_settings({variable_of(given): "x.pem"})
    assert refused.value.variable == missing


def test_a_certificate_of_its_own_is_tls() -> None:
    """GEN-01: then the hub may listen anywhere; beside another certificate it makes no sense."""
    beyond = {"FHIRCAST_HOST": "192.0.2.1", "FHIRCAST_AUTH": "jwt", "FHIRCAST_JWT_KEY": KEY}
    assert load_settings({**beyond, "FHIRCAST_TLS_SELF_SIGNED": "1"}).does_tls
    with pytest.raises(SettingError, match="FHIRCAST_TLS_SELF_SIGNED"):
        load_settings({}, {"tls_self_signed": "1", "tls_cert": "x.pem", "tls_key": "x.pem"})


def test_a_certificate_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """GEN-01: not at the first connection; in one line."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for path in (str(broken), str(tmp_path / "missing.pem")):
        with pytest.raises(SettingError) as refused:
            load_settings({"FHIRCAST_TLS_CERT": path, "FHIRCAST_TLS_KEY": path})
        assert refused.value.variable == "FHIRCAST_TLS_CERT"
        assert "\n" not in str(refused.value)


def test_lists_of_names_and_paths() -> None:
    """D-47, D-49, D-05, D-31."""
    settings = load_settings(
        {
            "FHIRCAST_MOUNTS": " /hub ,/api/sync/fhircast",
            "FHIRCAST_DIALECTS": "post-without-id, open-without-report",
            "FHIRCAST_STRICT": "profiles",
        }
    )
    assert settings.mounts == ("/hub", "/api/sync/fhircast")
    assert settings.dialects == ("post-without-id", "open-without-report")
    assert settings.strict == ("profiles",)
    assert load_settings({"FHIRCAST_MOUNTS": ""}).mounts == ()


def test_the_dialects_are_those_of_the_core() -> None:
    """D-49: settings import no room, so the names stand there twice."""
    [it] = [it for it in fields(Settings) if it.name == "dialects"]
    assert set(it.metadata["choices"]) == {it.value for it in Dialect}


def test_a_post_cannot_be_refused_and_completed() -> None:
    """D-05, D-49."""
    with pytest.raises(SettingError, match="FHIRCAST_STRICT"):
        load_settings({"FHIRCAST_STRICT": "post", "FHIRCAST_DIALECTS": "post-without-id"})


def test_the_default_lease_fits_under_the_longest() -> None:
    """SUB-08."""
    with pytest.raises(SettingError, match="FHIRCAST_LEASE_MAX_SECONDS"):
        load_settings({"FHIRCAST_LEASE_MAX_SECONDS": "60"})


def test_an_unknown_variable_gets_the_nearest_name() -> None:
    """A misspelt setting must not be passed over in silence."""
    warnings = unknown_variables({"FHIRCAST_PROFIL": "ira", "FHIRCAST_PORT": "1", "PATH": "/"})
    assert warnings == ["FHIRCAST_PROFIL is no setting of the hub; did you mean FHIRCAST_PROFILE?"]


def test_an_unknown_variable_that_is_near_to_none() -> None:
    assert unknown_variables({"FHIRCAST_XQZ": "1"}) == ["FHIRCAST_XQZ is no setting of the hub"]


def test_every_setting_says_what_it_is_good_for() -> None:
    """It is the help of its flag."""
    assert [it.name for it in fields(Settings) if len(it.metadata["help"]) < 10] == []


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "redis://127.0.0.1",
        "redis://user:secret@redis.example:6380/2",
        "rediss://redis.example/0?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/valkey.sock",
    ],
)
def test_where_sessions_may_be_kept(url: str) -> None:
    """SUB-13: one process, or a server that several share."""
    assert load_settings({"FHIRCAST_BACKEND": url}).backend == url
