// A kubeconfig for kubectl: downloaded, used as kubectl would, revoked; with JavaScript and without.
import { readFile } from 'node:fs/promises';

import { expect, test } from '../support/fixtures.mjs';

test('a kubeconfig is downloaded, opens what it says, and ends when it is revoked', async ({ signedIn: page, portal, shop }) => {
  const main = page.getByRole('main');
  await page.goto('/t/shop/n/dev');
  await main.getByRole('link', { name: 'kubectl' }).click();
  await expect(main.getByLabel('Namespaces')).toHaveValue('dev');
  await expect(main).toContainText('kubectl sends no token');
  await main.getByLabel('Good for').selectOption('1 hour');
  const [download] = await Promise.all([page.waitForEvent('download'), main.getByRole('button', { name: 'Download' }).click()]);
  expect(download.suggestedFilename()).toMatch(/^shop-dev-until-\d{4}-\d\d-\d\dT\d{4}Z\.kubeconfig$/);
  const file = await readFile(await download.path(), 'utf8');
  expect(file).toContain('It ends by itself at ');
  expect(file).toContain(`server: "${portal.url}/k8s/local"`);
  expect(file).toContain('current-context: "shop-dev"');
  const token = /token: "(berth_[\w-]+)"/.exec(file)[1];
  const prefix = token.slice(0, 12);

  // As kubectl asks, which would insist on https.
  const ask = (path, bearer = token) => fetch(`${portal.url}${path}`, { headers: { authorization: `Bearer ${bearer}` } });
  const apps = '/k8s/local/apis/berth.dev/v1alpha1/namespaces/shop-dev/apps';
  const list = await ask(apps);
  expect([list.status, (await list.json()).kind]).toEqual([200, 'AppList']);
  expect((await ask('/k8s/local/api/v1/namespaces/kube-system/pods')).status).toBe(403);
  expect((await ask('/api/v1/me')).status, 'good for kubectl alone').toBe(401);
  expect((await ask(apps, shop.token)).status, 'an API token is no kubeconfig').toBe(401);

  // It stands among those that are good, and among the tokens, where it is revoked.
  await page.reload();
  await expect(main.getByRole('row', { name: prefix })).toBeVisible();
  await main.getByRole('link', { name: 'Revoke one under API tokens' }).click();
  const row = main.getByRole('row', { name: prefix });
  await expect(row).toContainText('kubectl alone');
  page.on('dialog', (dialog) => dialog.accept());
  await row.getByRole('button', { name: 'Revoke' }).click();
  await expect(row).toHaveCount(0);
  expect((await ask(apps)).status).toBe(401);
});

test('what is wrong is said on a page', async ({ signedIn: page }) => {
  await page.goto('/t/shop/kubectl');
  // As who has meddled with the form.
  const sent = await page.request.post('/t/shop/kubectl/file', {
    form: { hours: '99' },
    headers: { origin: new URL(page.url()).origin },
  });
  expect(sent.status()).toBe(422);
  expect(sent.headers()['content-type']).toContain('text/html');
  expect(await sent.text()).not.toContain('token:');
});

test('in a protected namespace kubectl only reads', async ({ signedIn: page, portal, shop }) => {
  const main = page.getByRole('main');
  await page.goto('/t/shop/kubectl');
  const [download] = await Promise.all([page.waitForEvent('download'), main.getByRole('button', { name: 'Download' }).click()]);
  const token = /token: "(berth_[\w-]+)"/.exec(await readFile(await download.path(), 'utf8'))[1];
  const apps = `${portal.url}/k8s/local/apis/berth.dev/v1alpha1/namespaces/shop-dev/apps`;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const remove = () => fetch(`${apps}/absent`, { method: 'DELETE', headers });
  expect((await remove()).status, 'the cluster is asked').toBe(404);

  await page.goto('/t/shop/n/dev/members');
  await main.getByRole('button', { name: 'Protect the namespace' }).click();
  await expect(page.getByText('dev is protected: kubectl only reads there.')).toBeVisible();
  const refused = await remove();
  expect([refused.status, (await refused.json()).message]).toEqual([
    403, expect.stringMatching(/shop\/dev is protected, and is changed in Berth alone$/),
  ]);
  expect((await fetch(apps, { headers })).status).toBe(200);
  // The pages and the API go on.
  const app = await fetch(`${portal.url}/api/v1/tenants/shop/namespaces/dev`, { headers: { authorization: `Bearer ${shop.token}` } });
  expect((await app.json()).protected).toBe(true);
  await page.goto('/t/shop/kubectl');
  await expect(main).toContainText('kubectl only reads there: dev.');
  await page.goto('/t/shop/n/dev');
  await expect(main.getByText('protected', { exact: true })).toBeVisible();

  await page.goto('/t/shop/n/dev/members');
  page.on('dialog', (dialog) => dialog.accept());
  await main.getByRole('button', { name: 'Let kubectl change things again' }).click();
  await expect(page.getByText('kubectl may change things in dev again.')).toBeVisible();
  expect((await remove()).status).toBe(404);
});
