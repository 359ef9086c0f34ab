// What a namespace takes and uses: numbers side by side, what lies idle, a chart with its table.
import { expect, expectAccessible, expectNoSideways, image, spec, test } from '../support/fixtures.mjs';

test('use, requests, limits and quota stand side by side', async ({ signedIn: page, shop, portal }) => {
  const resources = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '500m', memory: '128Mi' } };
  await shop.deploy('gauge', spec(image('gauge'), { replicas: 2, resources }));
  await shop.phase('gauge', 'Ready');
  const history = () => portal.api(shop.token, 'GET', '/tenants/shop/namespaces/dev/usage/history?step=24h');
  const measured = async () => (await history()).now.find((row) => row.resource === 'cpu')?.used ?? '0';
  await expect.poll(measured, { timeout: 90_000, message: 'metrics are read' }).not.toBe('0');
  await expect.poll(async () => (await history()).hours, { timeout: 60_000, message: 'a first sample' }).toBeGreaterThan(0);
  expect((await history()).points.length).toBe(30);

  const main = page.getByRole('main');
  await page.goto(shop.path);
  await page.getByRole('navigation').getByRole('link', { name: 'Use', exact: true }).click();
  await expect(main.locator('h1')).toHaveText('Use of dev');
  await expect(main.getByRole('row', { name: /^CPU/ }).first()).not.toContainText('not measured');
  await expect(main.getByRole('img', { name: /^CPU over 30 days/ })).toBeVisible();
  await expectAccessible(page, 'what a namespace uses');
  await main.getByText('As a table').first().click();
  await expect(main.getByRole('table').nth(1)).toContainText('no data');
  await expectAccessible(page, 'the table of a chart');
  await page.setViewportSize({ width: 360, height: 740 });
  await expectNoSideways(page, 'what a namespace uses, on a phone');
  await page.setViewportSize({ width: 1280, height: 800 });

  await main.getByRole('link', { name: 'Quota of the tenant' }).click();
  await expect(main.getByRole('img', { name: /^Memory over 30 days/ })).toBeVisible();
  await expectAccessible(page, 'a tenant’s quota with what was used');
  await page.goto('/admin/tenants');
  await main.getByRole('link', { name: 'Idle' }).click();
  await expect(page).toHaveURL(/sort=idle/);
  await expectAccessible(page, 'tenants by what is idle');
});
