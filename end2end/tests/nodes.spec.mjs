// A machine is emptied: looked at first, then asked for by its name, then watched, then given back.
import { expect, expectAccessible, expectNoSideways, image, spec, test } from '../support/fixtures.mjs';

test.skip(Boolean(process.env.BERTH_TEST_KUBECONFIG), 'it empties a node on which other tests have their pods');

test('a node is cordoned, drained and takes pods again', async ({ signedIn: page, shop }) => {
  await shop.deploy('buoy', spec(image('buoy'), { replicas: 6 }));
  await expect.poll(async () => (await shop.app('buoy')).status?.ready, { timeout: 45_000 }).toBe('6/6');

  const main = page.getByRole('main');
  await page.goto('/admin/nodes');
  await expect(main.getByRole('row')).toHaveCount(4);
  await main.getByRole('link', { name: 'node-b' }).click();
  await expect(main.locator('h1')).toContainText('node-b');
  await expect(main).toContainText('shop / dev');
  await expectAccessible(page, 'a node');
  await expectNoSideways(page, 'a node');
  await main.getByRole('button', { name: 'Cordon', exact: true }).click();
  await expect(page.getByText('node-b takes no new pods.')).toBeVisible();
  await expect(main.locator('h1')).toContainText('Cordoned');

  await main.getByRole('link', { name: 'Drain', exact: true }).click();
  await expect(main.locator('h1')).toHaveText('Drain node-b');
  await expect(main.locator('#drain-pods')).toContainText('Moves');
  await expectAccessible(page, 'what a drain does');
  await page.setViewportSize({ width: 360, height: 740 });
  await expectNoSideways(page, 'what a drain does, on a phone');
  await page.setViewportSize({ width: 1280, height: 800 });
  await main.getByLabel(/Type node-b/).fill('node-a');
  await main.getByRole('button', { name: 'Drain this node' }).click();
  await expect(main).toContainText('Type node-b to confirm.');
  await main.getByLabel(/Type node-b/).fill('node-b');
  for (const box of await main.getByRole('checkbox').all()) await box.check();
  await main.getByRole('button', { name: 'Drain this node' }).click();
  await expect(async () => {
    if (!(await main.textContent()).includes('The node is drained')) await page.reload();
    await expect(main).toContainText('The node is drained', { timeout: 1_000 });
  }).toPass({ timeout: 60_000 });
  await expectAccessible(page, 'a node that is drained');
  await expect.poll(async () => (await shop.app('buoy')).status?.ready, { timeout: 45_000 }).toBe('6/6');

  await page.goto('/admin/nodes/node-b');
  await main.getByRole('button', { name: 'Uncordon' }).click();
  await expect(page.getByText('node-b takes new pods again.')).toBeVisible();
  await expect(main.locator('h1')).toContainText('Ready');
});
