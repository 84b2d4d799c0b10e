"""Several requests of a page refused with one token: pure modules, run in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

# The EHR of this script knows only the newest token. The second 401 is held until the first one
# has brought a fresh token: that is how two answers on two connections may come.
_REFUSE_TWICE = """async () => {
  const { SmartClient } = await import('/static/smart.js');
  const { HubRequests } = await import('/static/requests.js');
  const iss = 'https://ehr.example';
  const grant = {
    iss, tokenEndpoint: `${iss}/token`, accessToken: 'old', refreshToken: 'r0', scope: '',
    issuedAt: 0, expiresAt: null, hubUrl: `${iss}/hub`, topic: 't',
  };
  let newest = 'new-0'; let exchanges = 0; let release;
  const exchanged = new Promise(resolve => { release = resolve; });
  const answer = (status, body = {}) => new Response(JSON.stringify(body), { status });
  const fetch = async (url, options) => {
    if (url === grant.tokenEndpoint) {
      exchanges += 1;
      newest = `new-${exchanges}`;
      return answer(200, { access_token: newest, token_type: 'bearer', refresh_token: newest });
    }
    const isGood = options.headers.Authorization === `Bearer ${newest}`;
    if (!isGood && url.includes('/late')) await exchanged;
    return answer(isGood ? 200 : 401);
  };
  const smart = new SmartClient({
    clientId: 'page', servers: [iss], fetch,
    storage: { getItem: () => JSON.stringify(grant), setItem() {}, removeItem() {} },
  });
  await smart.begin(`${iss}/page`);
  const getToken = refused => smart.token(refused);
  const requests = new HubRequests({ hubUrl: `${iss}/hub`, topic: 'late', getToken, fetch });
  const late = [smart.fetch(`${iss}/late`), requests.currentContext()];
  const early = await smart.fetch(`${iss}/early`);
  release();
  const statuses = [early, ...await Promise.all(late)].map(({ status }) => status);
  return { statuses, exchanges };
}"""


def test_one_fresh_token_serves_all_that_were_refused_with_the_old_one(blank: Page) -> None:
    """SMART-04: a refresh token is used once, however many requests its access token ended."""
    assert blank.evaluate(_REFUSE_TWICE) == {"statuses": [200, 200, 200], "exchanges": 1}
