// Robots of a tenant: made, given a token for some actions, used, disabled, removed; jobs that come in as one. With JavaScript and without.
import { execFile, execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';

import { collectErrors, expect, expectAccessible, expectNoSideways, test } from '../support/fixtures.mjs';

test('a robot gets a token for some actions and is stopped', async ({ portal, request, signedIn: page }, info) => {
  const wrong = collectErrors(page);
  const main = page.getByRole('main');
  const name = `deploy-${info.project.name.replace(/[^a-z]/g, '')}`;
  await page.goto('/t/shop/members');
  await main.getByRole('link', { name: 'Robots' }).click();
  await main.getByLabel('Name', { exact: true }).fill(name);
  await main.getByLabel('What it is for').fill('Releases');
  await main.getByRole('button', { name: 'Make the robot' }).click();
  await expect(page).toHaveURL(`${portal.url}/t/shop/robots/${name}`);
  await expectAccessible(page, 'a robot');

  await main.getByLabel('What for').fill('pipeline');
  await main.getByText('Only some actions').click();
  await main.getByRole('checkbox', { name: 'app.update' }).check();
  await expectAccessible(page, 'the actions of a token');
  await main.getByRole('button', { name: 'Create token' }).click();
  const token = await main.locator('[data-secret]').textContent();
  await expect(main.getByRole('cell', { name: 'app.update', exact: true })).toBeVisible();
  const ask = (path, method = 'GET') =>
    request.fetch(`${portal.url}/api/v1${path}`, { method, headers: { Authorization: `Bearer ${token}` } });
  const me = await (await ask('/me')).json();
  expect(me.name).toBe(`robot:shop/${name}`);
  expect((await ask('/tenants/shop/members')).status()).toBe(403);

  await page.goto('/t/shop/members');
  await expect(main.getByRole('row', { name: `robot:shop/${name}` })).toContainText('Robot');
  await main.getByRole('link', { name: `robot:shop/${name}` }).click();
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await expectNoSideways(page, `a robot at ${width}`);
  }
  await main.getByLabel('Disabled').check();
  await main.getByRole('button', { name: 'Save' }).click();
  await expect(main.getByRole('heading', { level: 1 })).toContainText(name);
  expect((await ask('/me')).status()).toBe(401);

  await page.goto('/t/shop/robots');
  await expectAccessible(page, 'robots');
  await page.goto('/admin/ci');
  await expectAccessible(page, 'CI systems');
  await page.goto(`/t/shop/robots/${name}`);
  page.on('dialog', (dialog) => dialog.accept());
  await main.getByRole('button', { name: 'Remove robot' }).click();
  await expect(page).toHaveURL(`${portal.url}/t/shop/robots`);
  await expect(main.getByRole('link', { name })).toHaveCount(0);
  expect(wrong, 'errors in the console').toEqual([]);
});

/** A CI system that signs a token for whatever job asks, as GitHub's runners do: with the audience of the query. */
async function issuer() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  let url;
  const jwt = (aud) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: url, aud, sub: 'repo:acme/web:ref:refs/heads/main', jti: randomUUID(), iat: now, exp: now + 300 };
    const text = `${part({ alg: 'ES256', kid: 'k1', typ: 'JWT' })}.${part(claims)}`;
    return `${text}.${sign('sha256', text, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const server = createServer((request, response) => {
    const asked = new URL(request.url, url);
    const says = {
      '/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/keys` },
      '/keys': { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'ES256' }] },
      '/job': { value: jwt(asked.searchParams.get('audience')) },
    };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(says[asked.pathname] ?? {}));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${server.address().port}`;
  return { url, jwt, close: () => new Promise((done) => server.close(done)) };
}

/** Without it the pipelines are not run here: they use it, and nothing else does. */
function hasJq() {
  try {
    execFileSync('jq', ['--version']);
    return true;
  } catch {
    return false;
  }
}

/** The script of a pipeline, as a runner would run it, and what it prints. */
async function pipeline(text, env) {
  const [, script] = text.split(/- (?:run: )?\|\n/);
  const { stdout } = await promisify(execFile)('bash', ['-euc', script], { env: { ...process.env, ...env } });
  return JSON.parse(stdout);
}

test('jobs of a CI system come in as a robot', async ({ portal, signedIn: page }, info) => {
  const main = page.getByRole('main');
  const ci = await issuer();
  const name = `ci-${info.project.name.replace(/[^a-z]/g, '')}`;
  await page.goto('/admin/sign-in');
  await main.getByRole('link', { name: 'CI systems' }).click();
  await main.getByLabel('Name', { exact: true }).fill(name);
  await main.getByLabel('Issuer').fill(ci.url);
  await main.getByRole('button', { name: 'Add CI system' }).click();
  await expect(main.getByRole('cell', { name: ci.url })).toBeVisible();
  await expectAccessible(page, 'a CI system');

  await page.goto('/t/shop/robots');
  await main.getByLabel('Name', { exact: true }).fill(name);
  await main.getByRole('button', { name: 'Make the robot' }).click();
  await main.getByLabel('CI system').selectOption(name);
  await main.getByLabel('Value 1').fill('repo:acme*');
  await main.getByRole('button', { name: 'Trust these jobs' }).click();
  await expect(main).toContainText('Any job of this CI system would come in');
  await main.getByLabel('Value 1').fill('repo:acme/web:*');
  await main.getByRole('button', { name: 'Trust these jobs' }).click();
  await expect(main.getByRole('cell', { name: 'sub = repo:acme/web:*' })).toBeVisible();
  await expect(main.getByRole('region', { name: 'GitHub Actions' })).toContainText(`${portal.url}/api/v1/ci/token`);
  await expectAccessible(page, 'a robot with jobs that come in');
  if (hasJq()) {
    const said = (label) => main.getByRole('region', { name: label }).textContent();
    const github = { ACTIONS_ID_TOKEN_REQUEST_URL: `${ci.url}/job?x=1`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' };
    expect((await pipeline(await said('GitHub Actions'), github)).name).toBe(`robot:shop/${name}`);
    const gitlab = { BERTH_JWT: ci.jwt(portal.url) };
    expect((await pipeline(await said('GitLab CI'), gitlab)).name).toBe(`robot:shop/${name}`);
    await expect(pipeline(await said('GitLab CI'), gitlab), 'a token of a job counts once').rejects.toThrow();
  }
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await expectNoSideways(page, `a robot with jobs that come in at ${width}`);
  }
  page.on('dialog', (dialog) => dialog.accept());
  await main.getByRole('row', { name: 'sub = repo:acme/web:*' }).getByRole('button', { name: 'Remove' }).click();
  await expect(main).toContainText('No jobs come in');
  await ci.close();
});
