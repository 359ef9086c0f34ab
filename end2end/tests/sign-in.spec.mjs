// Signing in by an identity provider, in the browser: there and back, with JavaScript (project `browser`) and without (`no-js`).
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { account, collectErrors, expect, expectAccessible, expectNoSideways, PASSWORD, signInFirst, test } from '../support/fixtures.mjs';
import { Portal } from '../support/portal.mjs';
import { CLIENT, installed, Provider, SECRET } from '../support/provider.mjs';

test('an admin adds a provider, its people come in with their groups, and passwords go', async ({ browser }, info) => {
  test.skip(!installed(), 'no packages of the provider: npm ci --ignore-scripts in end2end/cluster/services/oidc');
  const secrets = join(tmpdir(), `berth-secrets-${process.pid}-${info.project.name}`);
  await mkdir(secrets, { recursive: true });
  await writeFile(join(secrets, 'corp'), SECRET);
  const provider = await Provider.start();
  const portal = await Portal.start({ env: { BERTH_PROVIDER_SECRETS: secrets } });
  const { viewport, javaScriptEnabled } = info.project.use;
  const someone = async () => {
    const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
    const page = await context.newPage();
    return { page, wrong: collectErrors(page) };
  };
  try {
    const captain = await someone();
    const { page } = captain;
    const main = page.getByRole('main');
    const button = (name) => main.getByRole('button', { name, exact: true });
    await signInFirst(page, portal, 'captain', portal.firstPassword);
    await portal.api(await portal.createToken('captain'), 'POST', '/tenants', { name: 'shop', displayName: 'Web shop' });
    await page.goto('/admin/sign-in');
    await expectAccessible(page, 'no providers');
    await page.getByRole('link', { name: 'Add a provider' }).click();
    await main.getByLabel('Name in URLs').fill('corp');
    await main.getByLabel('Name on the button').fill('Corp');
    await main.getByLabel('Issuer').fill('http://127.0.0.1:1');
    await main.getByLabel('Client ID').fill(CLIENT);
    await main.getByLabel('File with the client secret').fill('corp');
    await button('Add a provider').click();
    // Tried before it is kept; what was typed stays.
    await expect(main.getByLabel('Issuer')).toHaveAttribute('aria-invalid', 'true');
    await expect(main).toContainText('The provider does not answer as it should');
    await expect(main.getByLabel('File with the client secret')).toHaveValue('corp');
    await main.getByLabel('Issuer').fill(provider.issuer);
    await button('Add a provider').click();
    await expect(page.getByRole('heading', { name: 'Corp', level: 1 })).toBeVisible();
    await main.getByLabel('Group', { exact: true }).fill('team-a');
    await main.getByLabel('Tenant').fill('shop');
    await button('Give the role').click();
    await expect(page.getByRole('cell', { name: 'team-a' })).toBeVisible();
    await expectAccessible(page, 'a provider');
    await page.setViewportSize({ width: 360, height: 800 });
    await expectNoSideways(page, 'a provider');

    // Somebody who was never here.
    const ada = await someone();
    await ada.page.goto('/t/shop');
    await expectAccessible(ada.page, 'sign-in with a provider');
    await ada.page.getByRole('button', { name: 'Sign in with Corp' }).click();
    await ada.page.getByLabel('Name').fill('ada');
    await ada.page.getByLabel('Password').fill('ada-for-tests');
    await ada.page.getByRole('button', { name: 'Sign in' }).click();
    await expect(ada.page).toHaveURL(`${portal.url}/t/shop`);
    await expect(account(ada.page, 'Ada Lovelace')).toBeVisible();
    await ada.page.goto('/account/connections');
    await expect(ada.page.getByRole('main')).toContainText(provider.issuer);

    // The captain connects, and closes the other door.
    await page.goto('/account/connections');
    await expectAccessible(page, 'ways to sign in');
    await main.getByLabel('Your password').fill('not my password at all');
    await button('Connect Corp').click();
    await expect(main).toContainText('That was not your password');
    await main.getByLabel('Your password').fill(PASSWORD);
    await button('Connect Corp').click();
    await page.getByLabel('Name').fill('grace');
    await page.getByLabel('Password').fill('grace-for-tests');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page).toHaveURL(`${portal.url}/account/connections`);
    await expect(page.getByRole('cell', { name: 'grace', exact: true })).toBeVisible();
    await page.goto('/admin/sign-in');
    page.on('dialog', (dialog) => dialog.accept());
    await button('Switch passwords off').click();
    await expect(main).toContainText('Only identity providers open the door');
    const late = await someone();
    await late.page.goto('/sign-in');
    await expect(late.page.getByLabel('Password')).toHaveCount(0);
    await expect(late.page.getByRole('button', { name: 'Sign in with Corp' })).toBeVisible();
    await expectAccessible(late.page, 'sign-in with a provider alone');
    for (const { wrong } of [captain, ada, late]) expect(wrong, 'errors in the console').toEqual([]);
  } finally {
    await portal.stop();
    await provider.stop();
  }
});

test('a provider of plain OAuth 2.0: forms are filled in, tried, and bring people in', async ({ browser }, info) => {
  test.skip(!installed(), 'no packages of the provider: npm ci --ignore-scripts in end2end/cluster/services/oidc');
  const secrets = join(tmpdir(), `berth-oauth-secrets-${process.pid}-${info.project.name}`);
  await mkdir(secrets, { recursive: true });
  await writeFile(join(secrets, 'hub'), SECRET);
  await writeFile(join(secrets, 'other'), 'not the secret');
  const provider = await Provider.start();
  const portal = await Portal.start({ env: { BERTH_PROVIDER_SECRETS: secrets } });
  const { viewport, javaScriptEnabled } = info.project.use;
  const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
  const page = await context.newPage();
  const wrong = collectErrors(page);
  const main = page.getByRole('main');
  try {
    await signInFirst(page, portal, 'captain', portal.firstPassword);
    await page.goto('/admin/sign-in/new');
    await main.getByRole('link', { name: 'GitHub' }).click();
    await expect(main.getByLabel('Address of one’s groups')).toHaveValue('https://api.github.com/user/orgs?per_page=100');
    await expectAccessible(page, 'GitHub');
    await page.setViewportSize({ width: 360, height: 800 });
    await expectNoSideways(page, 'GitHub');
    await page.setViewportSize(viewport);
    await main.getByRole('link', { name: 'Other OAuth 2.0' }).click();
    const fill = async (fields) => {
      for (const [label, value] of Object.entries(fields)) await main.getByLabel(label, { exact: true }).fill(value);
    };
    await fill({
      'Name in URLs': 'hub',
      'Name on the button': 'Hub',
      Issuer: provider.issuer,
      'Client ID': CLIENT,
      'File with the client secret': 'other',
      Scopes: 'openid profile email groups',
      'Authorization address': `${provider.issuer}/auth`,
      'Token address': `${provider.issuer}/token`,
      'Address of one’s own account': `${provider.issuer}/me`,
      'Field with the id': 'email',
      'Field with the login': 'preferred_username',
    });
    const add = main.getByRole('button', { name: 'Add a provider', exact: true });
    await add.click();
    await expect(main).toContainText('Not the e-mail address');
    await fill({ 'Field with the id': 'sub' });
    await add.click();
    // Tried before it is kept.
    await expect(main.getByLabel('Client ID', { exact: true })).toHaveAttribute('aria-invalid', 'true');
    await expect(main).toContainText('does not know this client, or its secret is another one');
    await fill({ 'File with the client secret': 'hub' });
    await main.getByLabel('The secret goes into a header').check();
    await add.click();
    await expect(page.getByRole('heading', { name: 'Hub', level: 1 })).toBeVisible();
    await expectAccessible(page, 'a provider of plain OAuth 2.0');

    const ada = await (await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url })).newPage();
    await ada.goto('/sign-in');
    await ada.getByRole('button', { name: 'Sign in with Hub' }).click();
    await ada.getByLabel('Name').fill('ada');
    await ada.getByLabel('Password').fill('ada-for-tests');
    await ada.getByRole('button', { name: 'Sign in' }).click();
    await expect(account(ada, 'Ada Lovelace')).toBeVisible();
    await ada.context().close();
    expect(wrong, 'errors in the console').toEqual([]);
  } finally {
    await context.close();
    await portal.stop();
    await provider.stop();
    await rm(secrets, { recursive: true, force: true });
  }
});
