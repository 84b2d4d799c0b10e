"""The token endpoint of the demo: what a code, a refresh token or a secret is good for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt
import pytest
from fhircast_demo.smart import DevelopmentServer, SmartSettings
from fhircast_demo.smart.keys import keys, shared_key
from smart_browser import FHIR, HUB_URL, ORIGIN, Application, Json, authorized, consent, sign_in

if TYPE_CHECKING:
    import httpx
    from smart_browser import ClockAtHand

SERVICE = ("demo-service", "secret-of-the-service")


async def code_of(browser: httpx.AsyncClient, app: Application) -> str:
    await sign_in(browser)
    return (await consent(browser, app.query()))["code"]


async def test_answer_holds_what_it_shall(browser: httpx.AsyncClient) -> None:
    """SMART-03, SMART-04, D-39: token, type, life, granted scopes, hub.url and hub.topic."""
    app = Application()
    answer = await browser.post("/auth/token", data=app.form(await code_of(browser, app)))
    told = answer.json()
    session = (await browser.get("/ehr/session")).json()
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 3600)
    assert set(told["scope"].split()) == {"fhircast/*.*", "user/*.cruds"}
    assert (told["hub.url"], told["hub.topic"]) == (HUB_URL, session["hub.topic"])
    assert "refresh_token" not in told
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


async def test_all_applications_of_a_sign_in_get_one_topic(browser: httpx.AsyncClient) -> None:
    """SMART-03, SEC-01: EHR launches and a standalone launch meet; another sign-in does not."""
    told = await authorized(browser)
    app = Application("demo-viewer", f"{ORIGIN}/viewer", "fhircast/*.read")
    code = (await consent(browser, app.query()))["code"]
    second = (await browser.post("/auth/token", data=app.form(code))).json()
    other = await authorized(browser)
    assert second["hub.topic"] == told["hub.topic"]
    assert other["hub.topic"] != told["hub.topic"]


async def test_without_a_fhircast_scope_there_is_no_session(browser: httpx.AsyncClient) -> None:
    """SMART-03: hub.url and hub.topic come with FHIRcast scopes, in the token as well."""
    told = await authorized(browser, Application(scope="user/Patient.rs"))
    claims = jwt.decode(told["access_token"], options={"verify_signature": False})
    assert not {"hub.url", "hub.topic"} & {*told, *claims}


async def test_scopes_are_a_set_and_narrowed_to_the_user_and_the_client(
    browser: httpx.AsyncClient,
) -> None:
    """SMART-04: a client may send one twice; what is not granted is left out."""
    asked = "fhircast/*.* fhircast/*.* user/*.* user/Patient.cruds offline_access patient/*.read"
    told = await authorized(browser, Application(scope=asked), user="student")
    granted = told["scope"].split()
    assert granted == ["fhircast/*.read", "user/*.read", "user/Patient.rs", "offline_access"]


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "made-up"},
        {"redirect_uri": f"{ORIGIN}/viewer"},
        {"redirect_uri": ""},
        {"client_id": "demo-viewer"},
        {"code_verifier": "x" * 43},
        {"code_verifier": "short"},
        {"code_verifier": ""},
    ],
)
async def test_code_is_bound_to_its_request(
    browser: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    """SMART-05: client, redirect URI and verifier; without one, an error; the code is used."""
    app = Application()
    code = await code_of(browser, app)
    answer = await browser.post("/auth/token", data=app.form(code) | changed)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    if "code" not in changed:
        again = await browser.post("/auth/token", data=app.form(code))
        assert again.json()["error"] == "invalid_grant"


async def test_challenge_is_no_verifier(browser: httpx.AsyncClient) -> None:
    """SMART-05: what went through the browser does not prove anything (no plain)."""
    app = Application()
    code = await code_of(browser, app)
    form = app.form(code, code_verifier=app.query()["code_challenge"])
    assert (await browser.post("/auth/token", data=form)).json()["error"] == "invalid_grant"


async def test_code_is_good_for_a_minute(browser: httpx.AsyncClient, clock: ClockAtHand) -> None:
    """SMART-05: and no longer."""
    app = Application()
    code = await code_of(browser, app)
    clock.seconds += 60
    answer = await browser.post("/auth/token", data=app.form(code))
    assert answer.json()["error"] == "invalid_grant"


async def test_second_use_of_a_code_ends_what_the_first_one_gave(
    browser: httpx.AsyncClient,
) -> None:
    """SMART-05, RFC 6749 4.1.2: one of the two was not the application."""
    app = Application()
    code = await code_of(browser, app)
    told = (await browser.post("/auth/token", data=app.form(code))).json()
    header = {"Authorization": f"Bearer {told['access_token']}"}
    assert (await browser.get("/fhir/Patient", headers=header)).status_code == 200
    again = await browser.post("/auth/token", data=app.form(code))
    assert again.json()["error"] == "invalid_grant"
    assert (await browser.get("/fhir/Patient", headers=header)).status_code == 401


async def refreshed(
    browser: httpx.AsyncClient, token: str, client_id: str = "my-app", scope: str = ""
) -> Json:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
    answer = await browser.post("/auth/token", data=form | ({"scope": scope} if scope else {}))
    told: Json = answer.json()
    return told


@pytest.mark.parametrize("access", ["online_access", "offline_access"])
async def test_refresh_gives_a_new_pair_with_the_same_session(
    browser: httpx.AsyncClient, access: str
) -> None:
    """SMART-03, SMART-04, D-39: hub.url and hub.topic are told again; scopes may be fewer."""
    first = await authorized(browser, Application(scope=f"fhircast/*.* {access}"))
    second = await refreshed(browser, first["refresh_token"])
    assert second["hub.topic"] == first["hub.topic"]
    assert second["refresh_token"] != first["refresh_token"]
    third = await refreshed(browser, second["refresh_token"], scope="fhircast/Patient-open.read")
    assert third["scope"] == "fhircast/Patient-open.read"
    more = await refreshed(browser, third["refresh_token"], scope="user/*.cruds")
    assert more["error"] == "invalid_scope"


async def test_a_used_refresh_token_ends_the_grant(browser: httpx.AsyncClient) -> None:
    """SMART-04: a stolen one is noticed; the rightful holder loses its token, too."""
    first = await authorized(browser, Application(scope="fhircast/*.* online_access"))
    second = await refreshed(browser, first["refresh_token"])
    assert (await refreshed(browser, first["refresh_token"]))["error"] == "invalid_grant"
    assert (await refreshed(browser, second["refresh_token"]))["error"] == "invalid_grant"


async def test_a_refresh_token_is_its_applications_own(browser: httpx.AsyncClient) -> None:
    """SMART-04: another client cannot use it, and does not use it up."""
    first = await authorized(browser, Application(scope="fhircast/*.* online_access"))
    told = await refreshed(browser, first["refresh_token"], "demo-viewer")
    assert told["error"] == "invalid_grant"
    assert "access_token" in await refreshed(browser, first["refresh_token"])


@pytest.mark.parametrize(("access", "works"), [("online_access", False), ("offline_access", True)])
async def test_online_access_ends_with_the_sign_in(
    browser: httpx.AsyncClient, access: str, works: bool
) -> None:
    """SMART-04: offline access goes on after the user has left."""
    first = await authorized(browser, Application(scope=f"fhircast/*.* {access}"))
    await browser.post("/logout")
    assert ("access_token" in await refreshed(browser, first["refresh_token"])) is works


async def test_refresh_token_expires(browser: httpx.AsyncClient, clock: ClockAtHand) -> None:
    """SMART-04: an unused one, too."""
    first = await authorized(browser, Application(scope="fhircast/*.* offline_access"))
    clock.seconds += 12 * 3600
    assert (await refreshed(browser, first["refresh_token"]))["error"] == "invalid_grant"


@pytest.mark.parametrize("field", ["topic", "hub.topic"])
async def test_service_joins_the_topic_it_names(browser: httpx.AsyncClient, field: str) -> None:
    """SMART-03, D-39: clients in the field read `topic`."""
    form = {"grant_type": "client_credentials", field: "t-1"}
    told = (await browser.post("/auth/token", data=form, auth=SERVICE)).json()
    assert (told["hub.topic"], told["topic"], told["hub.url"]) == ("t-1", "t-1", HUB_URL)
    assert told["scope"] == "fhircast/*.* user/*.cruds"


async def test_service_without_a_topic_gets_a_new_one(browser: httpx.AsyncClient) -> None:
    """SEC-01: unique each time; the secret may come in the form."""
    form = {
        "grant_type": "client_credentials",
        "client_id": SERVICE[0],
        "client_secret": SERVICE[1],
        "scope": "fhircast/*.read",
    }
    answers = [(await browser.post("/auth/token", data=form)).json() for _ in range(2)]
    assert answers[0]["hub.topic"] != answers[1]["hub.topic"]
    assert answers[0]["scope"] == "fhircast/*.read"


@pytest.mark.parametrize("auth", [("demo-service", "wrong"), ("demo-service", ""), ("x", "y")])
async def test_wrong_secret_is_401(browser: httpx.AsyncClient, auth: tuple[str, str]) -> None:
    """SMART-04: and the answer names the scheme."""
    form = {"grant_type": "client_credentials"}
    answer = await browser.post("/auth/token", data=form, auth=auth)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert auth[1] not in answer.json()["error_description"] or not auth[1]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "authorization_code"}, "invalid_client"),
        ({"client_id": "my-app"}, "unsupported_grant_type"),
        ({"client_id": "my-app", "grant_type": "password"}, "unsupported_grant_type"),
        ({"client_id": "my-app", "grant_type": "client_credentials"}, "unauthorized_client"),
        ({"client_id": "my-app", "grant_type": "authorization_code"}, "invalid_grant"),
        ({"client_id": "my-app", "grant_type": "refresh_token"}, "invalid_grant"),
        ({"client_id": "my-app", "client_secret": "x"}, "invalid_client"),
        ({"client_id": "demo-service", "grant_type": "client_credentials"}, "invalid_client"),
    ],
)
async def test_wrong_requests_are_told_apart(
    browser: httpx.AsyncClient, form: dict[str, str], error: str
) -> None:
    """SMART-04: with the standard's words, and never kept."""
    answer = await browser.post("/auth/token", data=form)
    assert answer.json()["error"] == error
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ('{"grant_type": "client_credentials"}', "application/json", 400),
        ("grant_type=a&grant_type=b", "application/x-www-form-urlencoded", 400),
        (b"grant_type=\xff", "application/x-www-form-urlencoded", 400),
        ("a=b&" * 51, "application/x-www-form-urlencoded", 400),
        ("a=" + "b" * 40_000, "application/x-www-form-urlencoded", 413),
    ],
    ids=["json", "twice", "not-utf8", "many", "large"],
)
async def test_only_a_decent_form_is_read(
    browser: httpx.AsyncClient, body: str | bytes, content_type: str, status: int
) -> None:
    """SMART-04: form-encoded, each parameter once, bounded."""
    headers = {"Content-Type": content_type}
    answer = await browser.post("/auth/token", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("Bearer x", {}),
        ("Basic !", {}),
        ("Basic bm9jb2xvbg==", {}),
        ("Basic ZGVtby1zZXJ2aWNlOng=", {"client_id": "my-app"}),
        ("Basic ZGVtby1zZXJ2aWNlOng=", {"client_secret": "x"}),
    ],
)
async def test_a_client_proves_itself_in_one_way(
    browser: httpx.AsyncClient, header: str, form: dict[str, str]
) -> None:
    """SMART-04: a header that cannot be read, or says something else than the form."""
    form = {"grant_type": "client_credentials", **form}
    answer = await browser.post("/auth/token", data=form, headers={"Authorization": header})
    assert answer.json()["error"] in ("invalid_client", "invalid_request")


async def test_token_says_who_may_what_where_and_is_signed_with_a_published_key(
    browser: httpx.AsyncClient, clock: ClockAtHand
) -> None:
    """SMART-06, SMART-07: ES256 by the key of the JWKS; claims as the hub reads them."""
    told = await authorized(browser)
    published = jwt.PyJWKSet.from_dict((await browser.get("/auth/jwks")).json())
    header = jwt.get_unverified_header(told["access_token"])
    key = published[header["kid"]]
    claims = jwt.decode(
        told["access_token"],
        key,
        algorithms=["ES256"],
        audience=HUB_URL,
        issuer=f"{ORIGIN}/auth",
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert header["alg"] == "ES256"
    assert claims["aud"] == [HUB_URL, FHIR]
    assert (claims["sub"], claims["client_id"]) == ("radiologist", "my-app")
    assert claims["hub.topic"] == told["hub.topic"]
    assert claims["exp"] - claims["iat"] == 3600
    assert "d" not in (await browser.get("/auth/jwks")).json()["keys"][0]


async def test_id_token_says_who_signed_in(browser: httpx.AsyncClient) -> None:
    """SMART-04: with openid; nonce echoed, fhirUser can be read."""
    app = Application(scope="openid fhirUser profile user/Practitioner.rs")
    await sign_in(browser)
    code = (await consent(browser, app.query(nonce="n-1")))["code"]
    told = (await browser.post("/auth/token", data=app.form(code))).json()
    claims = jwt.decode(told["id_token"], options={"verify_signature": False})
    assert (claims["aud"], claims["nonce"], claims["name"]) == ("my-app", "n-1", "Dr. Ada Reader")
    header = {"Authorization": f"Bearer {told['access_token']}"}
    practitioner = (await browser.get(claims["fhirUser"], headers=header)).json()
    assert practitioner["name"][0]["family"] == "Reader"


def test_a_shared_key_signs_for_the_hub_and_is_not_published() -> None:
    """SMART-07: HS256; id tokens keep a key that applications can check."""
    secret = "a-key-that-hub-and-demo-share-0123"
    made = keys(shared_key(secret))
    smart = DevelopmentServer(SmartSettings(ORIGIN, HUB_URL, "s"), made)
    claims = jwt.decode(
        smart.own_client()["access_token"], secret, algorithms=["HS256"], audience=HUB_URL
    )
    assert claims["scope"] == "fhircast/*.* user/*.cruds"
    assert [it["kty"] for it in made.jwks()["keys"]] == ["EC"]
    assert secret not in repr(made)
