"""The server's own pages: sign-in, consent, errors. No script at all."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, Response

from fhircast_demo.smart.http import NO_STORE
from fhircast_demo.smart.scopes import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_demo.smart.clients import Client
    from fhircast_demo.smart.users import User

_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{title} · FHIRcast demo</title>
    <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/static/theme.css">
    <link rel="stylesheet" href="/static/signin.css">
  </head>
  <body>
    <div id="app">
      <header class="bar">
        <h1 class="app">FHIRcast demo · development authorization server</h1>
      </header>
      <main class="sheet"><h2>{title}</h2>
{body}
      </main>
      <footer class="foot muted">
        For trying, not for use: all people and patients are made up.
      </footer>
    </div>
  </body>
</html>
"""


def page(title: str, body: str, *, status: int = 200, form_goes_to: str = "") -> Response:
    """Return a page.

    Args:
        title: Heading, as text.
        body: The rest, as HTML.
        status: HTTP status.
        form_goes_to: Redirect URI that the answer to the page's form leads to: browsers hold
            redirects after a form against the policy too.
    """
    target = urlsplit(form_goes_to)
    elsewhere = f" {target.scheme}://{target.netloc}" if target.netloc else ""
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        f"frame-ancestors 'self'; form-action 'self'{elsewhere}"
    )
    # With no-referrer a browser would send the form with an Origin of null.
    headers = {
        **NO_STORE,
        "Content-Security-Policy": policy,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), status, headers)


def sign_in_page(users: Iterable[User], next_path: str) -> Response:
    """Return the page on which a made-up user is chosen."""
    buttons = "".join(
        f'<li><button class="person" name="user" value="{escape(it.id)}" '
        f'data-testid="user-{escape(it.id)}"><strong>{escape(it.name)}</strong> '
        f'<span class="muted">{escape(it.role)}</span></button></li>'
        for it in users
    )
    body = (
        "<p>Development sign-in: all people are made up, there is no password. "
        "Whom do you want to be?</p>"
        f'<form method="post" action="/login" data-testid="sign-in">'
        f'<input type="hidden" name="next" value="{escape(next_path)}">'
        f'<ul class="people">{buttons}</ul></form>'
    )
    return page("Sign in", body)


def consent_page(
    client: Client,
    user: User,
    *,
    granted: Iterable[str],
    refused: Iterable[str],
    request_id: str,
    csrf: str,
    redirect_uri: str,
) -> Response:
    """Return the page on which the user allows an application in, or does not."""
    body = (
        f"<p><strong>{escape(client.name)}</strong> (<code>{escape(client.client_id)}</code>) "
        f"asks {escape(user.name)} for leave to:</p>{_list(granted, 'granted')}"
    )
    refused = tuple(refused)
    if refused:
        body += "<p>It asked for more, which it does not get, or not in full:</p>"
        body += _list(refused, "refused")
    body += (
        f"<p>The answer goes to <code>{escape(redirect_uri)}</code>.</p>"
        '<form method="post" action="/auth/consent" data-testid="consent">'
        f'<input type="hidden" name="request" value="{escape(request_id)}">'
        f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
        '<p class="answers">'
        '<button class="primary" name="decision" value="allow" data-testid="allow">Allow</button> '
        '<button name="decision" value="deny" data-testid="deny">Deny</button></p></form>'
    )
    return page("Allow this application?", body, form_goes_to=redirect_uri)


def _list(scopes: Iterable[str], name: str) -> str:
    items = "".join(f"<li>{escape(in_words(it))} <code>{escape(it)}</code></li>" for it in scopes)
    return f'<ul class="scopes" data-testid="{name}">{items}</ul>'


def error_page(reason: str, status: int = 400) -> Response:
    """Return a page for an error that cannot be told to the application."""
    body = (
        f'<p data-testid="reason">{escape(reason)}</p>'
        '<p>Nothing was handed out. <a href="/">Back to the demo</a></p>'
    )
    return page("This cannot go on", body, status=status)
