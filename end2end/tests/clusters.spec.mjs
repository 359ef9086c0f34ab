// A second cluster is tried, registered, chosen for a namespace, closed and forgotten.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, expectAccessible, expectNoSideways, test } from '../support/fixtures.mjs';
import { startCluster, stopCluster } from '../support/portal.mjs';

test.skip(Boolean(process.env.BERTH_TEST_KUBECONFIG), 'it registers an embedded cluster beside the real one');

test('a cluster is registered, and a namespace is made in it', async ({ signedIn: page, shop: _shop }) => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-e2e-moon-'));
  const moon = await startCluster(folder);
  const main = page.getByRole('main');
  try {
    await page.goto('/admin/clusters');
    await expect(main.getByRole('row')).toHaveCount(2);
    await expectAccessible(page, 'clusters');
    await main.getByRole('link', { name: 'Register a cluster' }).click();
    await main.getByLabel('Name', { exact: true }).fill('moon');
    await main.getByLabel('Called').fill('Far side');
    await main.getByLabel('Labels').fill('region=moon\ntier=gold');
    const kubeconfig = main.getByLabel('Kubeconfig');
    // What runs a program is refused at its line; what was typed beside it stays.
    await kubeconfig.fill("kind: Config\nclusters:\n- {name: c, cluster: {server: 'https://a'}}\nusers:\n- name: u\n  user:\n    exec: {command: aws}\n" +
      'contexts:\n- {name: x, context: {cluster: c, user: u}}\ncurrent-context: x\n');
    await main.getByRole('button', { name: 'Register', exact: true }).click();
    await expect(main).toContainText('Line 7: it runs a program');
    await expect(main.getByLabel('Called')).toHaveValue('Far side');
    await expectAccessible(page, 'a kubeconfig that is refused');

    await kubeconfig.fill(await readFile(moon.kubeconfig, 'utf8'));
    await main.getByRole('button', { name: 'Try it' }).click();
    await expect(main).toContainText('Nothing is kept yet');
    await expect(main).toContainText('Rights of the controller');
    await expect(kubeconfig).toHaveValue('');
    await expectAccessible(page, 'what was found');
    await page.setViewportSize({ width: 360, height: 740 });
    await expectNoSideways(page, 'what was found, on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });
    await main.getByRole('button', { name: 'Register', exact: true }).click();
    await expect(page.getByText('The cluster Far side is registered.')).toBeVisible();
    await expect(main.locator('h1')).toContainText('Far side');
    await expect(main.locator('h1')).toContainText('Live', { timeout: 30_000 });
    await expectAccessible(page, 'a cluster');
    if (process.env.BERTH_SHOTS) {
      for (const [name, width] of [['wide', 1280], ['narrow', 360]]) {
        for (const colorScheme of ['light', 'dark']) {
          await page.setViewportSize({ width, height: 900 });
          await page.emulateMedia({ colorScheme });
          await page.screenshot({ path: join(process.env.BERTH_SHOTS, `cluster-${name}-${colorScheme}.png`), fullPage: true });
        }
      }
      await page.emulateMedia({ colorScheme: 'light' });
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.goto('/admin/clusters');
      await page.screenshot({ path: join(process.env.BERTH_SHOTS, 'clusters-wide.png'), fullPage: true });
    }

    await page.goto('/t/shop/namespaces/new');
    await main.getByLabel('Name', { exact: true }).fill('crater');
    await main.getByLabel('Cluster').selectOption({ label: 'Far side (moon; region=moon; tier=gold)' });
    await main.getByRole('button', { name: 'Create namespace' }).click();
    await expect(page).toHaveURL(/\/t\/shop\/n\/crater$/);

    await page.goto('/admin/clusters/moon');
    await expect(main.locator('#cluster-body')).toContainText('crater');
    await main.getByLabel('Takes').selectOption('draining');
    await main.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByText('The cluster is changed.')).toBeVisible();
    await expect(main).toContainText('Nothing is moved by itself: tenants');
    await page.setViewportSize({ width: 360, height: 740 });
    await expectNoSideways(page, 'a cluster, on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto('/t/shop/namespaces/new');
    await expect(main.getByLabel('Cluster')).toHaveCount(0);
  } finally {
    await stopCluster(moon);
    await rm(folder, { recursive: true, force: true });
  }
  // It is away now: its page says so, the other cluster's things go on, and it can be forgotten.
  await page.goto('/admin/clusters/moon');
  await expect(main.locator('h1')).toContainText('Does not answer', { timeout: 30_000 });
  await main.getByLabel(/Type moon/).fill('moon');
  await main.getByRole('button', { name: 'Forget the cluster' }).click();
  await expect(page.getByText('The cluster moon is forgotten.')).toBeVisible();
  await expect(main.getByRole('row')).toHaveCount(2);
});
