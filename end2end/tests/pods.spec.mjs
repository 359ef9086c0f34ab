// The pods of a whole namespace.
import { expect, image, spec, test } from '../support/fixtures.mjs';

test.beforeAll(async ({ shop }) => {
  test.setTimeout(120_000);
  await shop.deploy('pods-web', spec(image('web')));
  await shop.deploy('pods-broken', spec(image('broken', 'missing'), { replicas: 1 }));
  await shop.phase('pods-web', 'Ready');
  await shop.phase('pods-broken', 'Degraded');
});

test('who needs help comes first; filter by phase and text, sort, and on to a pod and its app', async ({ signedIn: page, shop }) => {
  await page.goto(`${shop.path}/apps`);
  await page.getByRole('navigation', { name: 'Namespace' }).getByRole('link', { name: /^Pods/ }).click();
  await expect(page).toHaveURL(`${shop.path}/pods`);
  const main = page.getByRole('main');
  const rows = main.getByRole('table').getByRole('row');
  // The first row is the heading. Other tests have pods here that fail, too.
  await expect(rows.nth(1)).toContainText('Failing');
  await main.getByRole('link', { name: /^Running/ }).click();
  await expect(main.getByRole('table')).not.toContainText('pods-broken');
  await expect(main.getByRole('table')).toContainText('pods-web');
  await main.getByRole('link', { name: /^Running/ }).click();
  await expect(main.getByRole('table')).toContainText('pods-broken');
  await main.getByRole('searchbox').fill('pods-broken');
  await main.getByRole('button', { name: 'Filter' }).click();
  await expect(rows).toHaveCount(2);
  await page.goto(`${shop.path}/pods?q=pods-`);
  await main.getByRole('columnheader', { name: 'Name' }).getByRole('link').click();
  await main.getByRole('columnheader', { name: 'Name' }).getByRole('link').click();
  await expect(main.getByRole('columnheader', { name: 'Name' })).toHaveAttribute('aria-sort', 'descending');
  await expect(rows.nth(1)).toContainText('pods-web');
  await rows.nth(1).getByRole('link', { name: /^pods-web-/ }).click();
  await expect(page).toHaveURL(new RegExp(`${shop.path}/pods/pods-web-`));
  await main.getByRole('link', { name: 'pods-web', exact: true }).click();
  await expect(page).toHaveURL(new RegExp(`${shop.path}/apps/pods-web$`));
});

test('it follows the cluster', async ({ signedIn: page, shop }) => {
  await page.goto(`${shop.path}/pods`);
  const main = page.getByRole('main');
  await expect(main).not.toContainText('pods-late');
  await shop.deploy('pods-late', spec(image('late'), { replicas: 1 }));
  await expect(main.getByRole('link', { name: /^pods-late-/ })).toBeVisible({ timeout: 30_000 });
});

test('the palette finds it', async ({ signedIn: page, shop }) => {
  await page.goto('/');
  await page.keyboard.press('Control+k');
  const palette = page.getByRole('dialog');
  await palette.getByRole('combobox').or(palette.getByRole('searchbox')).first().fill('pods');
  await expect(palette.getByRole('option', { name: /Pods.*shop \/ dev/ })).toBeVisible();
  await palette.getByRole('option', { name: /Pods.*shop \/ dev/ }).click();
  await expect(page).toHaveURL(new RegExp(`${shop.path}/pods$`));
});
