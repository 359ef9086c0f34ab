// Tries the provider as a portal and its people would: NODE_EXTRA_CA_CERTS=CA node try.mjs ISSUER CLIENT SECRET
// Says what went wrong and exits with 1, or prints what it tried.

import assert from 'node:assert/strict';

import * as oidc from 'openid-client';

const [issuer, client, secret] = process.argv.slice(2);
const CALLBACK = 'http://127.0.0.1:8080/callback';
const GOODBYE = 'http://127.0.0.1:8080/goodbye';
const SCOPE = 'openid profile email groups offline_access';

/** A browser without a screen: cookies, redirects, forms. */
class Browser {
  #cookies = new Map();

  async open(url, form) {
    for (let hops = 0; hops < 20; hops += 1) {
      if (!url.startsWith(issuer)) return { url };
      const headers = { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
      const answer = await fetch(url, { method: form ? 'POST' : 'GET', body: form, headers, redirect: 'manual' });
      for (const cookie of answer.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
        value ? this.#cookies.set(name, value) : this.#cookies.delete(name);
      }
      const to = answer.headers.get('location');
      if (!to) return { url, status: answer.status, html: await answer.text() };
      [url, form] = [new URL(to, url).href, undefined];
    }
    throw new Error(`too many redirects, the last to ${url}`);
  }

  /** Sends the page's form with its hidden fields and these. */
  submit(page, fields) {
    const form = new URLSearchParams(fields);
    for (const [, input] of page.html.matchAll(/<input([^>]*type="hidden"[^>]*)>/g)) {
      form.append(/name="([^"]*)"/.exec(input)[1], /value="([^"]*)"/.exec(input)[1]);
    }
    const action = /<form[^>]*action="([^"]*)"/.exec(page.html)?.[1] ?? page.url;
    return this.open(new URL(action, page.url).href, form);
  }

  async signIn(page, name) {
    assert.match(page.html, /<label for="name">/, 'no page to sign in');
    const refused = await this.submit(page, { name, password: 'wrong' });
    assert.equal(refused.status, 401);
    assert.match(refused.html, /role="alert"/);
    return this.submit(refused, { name, password: `${name}-for-tests` });
  }
}

const config = await oidc.discovery(new URL(issuer), client, secret, oidc.ClientSecretBasic(secret));
// Otherwise the ID token's signature is not looked at, as it comes straight from the provider.
oidc.enableNonRepudiationChecks(config);

/** Signs somebody in with the code flow. */
async function codeFlow(browser, name, extra = {}) {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const nonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: SCOPE,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...extra,
  });
  let page = await browser.signIn(await browser.open(url.href), name);
  if (extra.prompt === 'consent') page = await browser.submit(page, { consent: 'yes' });
  assert.ok(page.url.startsWith(CALLBACK), `sent to ${page.url}`);
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  return oidc.authorizationCodeGrant(config, new URL(page.url), checks);
}

const tries = {
  'code flow with PKCE': async () => {
    const tokens = await codeFlow(new Browser(), 'ada');
    const { sub, email, email_verified: verified, name, groups } = tokens.claims();
    const expected = { sub: 'ada', email: 'ada@berth.test', verified: true, name: 'Ada Lovelace', groups: ['team-a'] };
    assert.deepEqual({ sub, email, verified, name, groups }, expected);
    const info = await oidc.fetchUserInfo(config, tokens.access_token, sub);
    assert.deepEqual(info.groups, ['team-a']);
  },
  'no PKCE, no code': async () => {
    const url = oidc.buildAuthorizationUrl(config, { redirect_uri: CALLBACK, scope: 'openid' });
    const page = await new Browser().open(url.href);
    assert.equal(new URL(page.url).searchParams.get('error'), 'invalid_request');
  },
  'an address of a stranger': async () => {
    const url = oidc.buildAuthorizationUrl(config, { redirect_uri: 'https://evil.example/', scope: 'openid' });
    const page = await new Browser().open(url.href);
    assert.equal(page.status, 400);
  },
  'refresh after consent': async () => {
    const tokens = await codeFlow(new Browser(), 'grace', { prompt: 'consent' });
    const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    assert.deepEqual(fresh.claims().groups, ['platform-admins']);
  },
  'signing out': async () => {
    const browser = new Browser();
    const tokens = await codeFlow(browser, 'ada');
    const url = oidc.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: GOODBYE,
      state: 'bye',
    });
    const page = await browser.submit(await browser.open(url.href), { logout: 'yes' });
    assert.equal(page.url, `${GOODBYE}?state=bye`);
    // The session is over: the password is asked for again, or this fails.
    await codeFlow(browser, 'ada');
  },
  'device flow': async () => {
    const browser = new Browser();
    const device = await oidc.initiateDeviceAuthorization(config, { scope: 'openid groups' });
    const granted = oidc.pollDeviceAuthorizationGrant(config, device);
    let page = await browser.open(device.verification_uri);
    page = await browser.submit(page, { user_code: device.user_code });
    assert.match(page.html, new RegExp(device.user_code), 'the code is not shown again');
    page = await browser.signIn(await browser.submit(page, {}), 'grace');
    assert.match(page.html, /The device is connected/);
    assert.equal((await granted).claims().sub, 'grace');
  },
};

for (const [name, attempt] of Object.entries(tries)) {
  await attempt().catch((error) => {
    throw new Error(name, { cause: error });
  });
  console.log(`${name}: yes`);
}
