// The test cluster's OpenID provider: npm's certified oidc-provider with the tests' people (accounts.json) and one client.
// All is in memory; the signing key is new at each start.
//
// Usage: node provider.mjs --issuer URL --certificate FILE --key FILE --client ID --secret SECRET
// Without certificate and key it speaks plain HTTP, for tests on loopback.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';

import { Provider } from 'oidc-provider';

import * as pages from './pages.mjs';

const accounts = JSON.parse(readFileSync(new URL('accounts.json', import.meta.url)));
const names = ['issuer', 'certificate', 'key', 'client', 'secret'];
const { values: given } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) });
const missing = names.filter((name) => !given[name] && !['certificate', 'key'].includes(name));
if (Boolean(given.certificate) !== Boolean(given.key)) missing.push(given.key ? 'certificate' : 'key');
if (missing.length) {
  console.error(`missing: ${missing.map((name) => `--${name}`).join(', ')}`);
  process.exit(2);
}

const SCOPES = 'openid profile email groups offline_access';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const signing = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const display = (client) => client.clientName ?? client.clientId;

const provider = new Provider(given.issuer, {
  clients: [
    {
      client_id: given.client,
      client_secret: given.secret,
      client_name: 'Berth',
      grant_types: ['authorization_code', 'refresh_token', DEVICE],
      redirect_uris: ['http://localhost/'],
      post_logout_redirect_uris: ['http://localhost/'],
    },
  ],
  jwks: { keys: [{ ...signing, use: 'sig', alg: 'RS256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: SCOPES.split(' '),
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  // As Keycloak, Okta and Dex do: the ID token has what the scopes ask for, not only `userinfo`.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  findAccount: (ctx, sub) =>
    accounts[sub] && {
      accountId: sub,
      claims: () => ({ sub, preferred_username: sub, ...accounts[sub].claims }),
    },
  // Its people are not asked whether they trust the portal, unless it wants them to be (`prompt=consent`).
  loadExistingGrant: async ({ oidc }) => {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope(SCOPES);
    await grant.save();
    return grant;
  },
  features: {
    devInteractions: { enabled: false },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: (ctx, form, out, problem) => show(ctx, pages.code(form, problem)),
      userCodeConfirmSource: (ctx, form, client, device, userCode) =>
        show(ctx, pages.confirm(form, display(client), userCode)),
      successSource: (ctx) => show(ctx, pages.done('The device is connected')),
    },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => show(ctx, pages.logout(form)),
      postLogoutSuccessSource: (ctx) => show(ctx, pages.done('You are signed out')),
    },
  },
  renderError: (ctx, out) => show(ctx, pages.error(out)),
  ttl: {
    AccessToken: 3600,
    AuthorizationCode: 60,
    DeviceCode: 600,
    Grant: 14 * 24 * 3600,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 14 * 24 * 3600,
    Session: 14 * 24 * 3600,
  },
});

// Portals under test listen on any port of this machine or have a name of the tests'. Real providers compare the whole address.
const LOCAL = [/^localhost$/, /^\[::1\]$/, /^127(\.\d+){3}$/, /^10(\.\d+){3}$/, /^172\.31(\.\d+){2}$/, /\.test$/];
const ofTests = (uri) => {
  const { protocol, hostname } = new URL(uri);
  return /^https?:$/.test(protocol) && LOCAL.some((pattern) => pattern.test(hostname));
};
provider.Client.prototype.redirectUriAllowed = ofTests;
provider.Client.prototype.postLogoutRedirectUriAllowed = ofTests;

function show(ctx, html) {
  ctx.type = 'html';
  ctx.body = html;
}

// Signing in, which the library leaves to whoever uses it.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params } = await provider.interactionDetails(ctx.req, ctx.res);
  const client = display(await provider.Client.find(params.client_id));
  const ask = (name, problem) =>
    show(ctx, prompt.name === 'login' ? pages.login(client, name, problem) : pages.consent(client));
  if (ctx.method === 'GET') return ask(params.login_hint ?? '');

  const form = new URLSearchParams(await text(ctx.req));
  const name = form.get('name') ?? '';
  if (prompt.name === 'login' && (!accounts[name] || accounts[name].password !== form.get('password'))) {
    ctx.status = 401;
    return ask(name, 'Name or password is wrong.');
  }
  const result = prompt.name === 'login' ? { login: { accountId: name } } : { consent: {} };
  ctx.status = 303;
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: true }));
});

provider.on('server_error', (ctx, error) => console.error(error));
for (const event of ['authorization.error', 'grant.error', 'end_session.error']) {
  provider.on(event, (ctx, error) => console.log(event, error.error_detail ?? error.message));
}

const { hostname, port } = new URL(given.issuer);
const server = given.key
  ? createServer({ cert: readFileSync(given.certificate), key: readFileSync(given.key) }, provider.callback())
  : createPlainServer(provider.callback());
server.listen(Number(port), hostname, () => console.log(`listening at ${given.issuer}`));
