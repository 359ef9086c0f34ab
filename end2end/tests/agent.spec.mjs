// A cluster is registered by an agent, which calls; its page moves by itself.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, expectAccessible, expectNoSideways, test } from '../support/fixtures.mjs';
import { startAgent, startCluster, stopAgent, stopCluster } from '../support/portal.mjs';

test.skip(Boolean(process.env.BERTH_TEST_KUBECONFIG), 'it registers an embedded cluster beside the real one');

async function shots(page, name) {
  if (!process.env.BERTH_SHOTS) return;
  for (const [size, width] of [['wide', 1280], ['narrow', 360]]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(process.env.BERTH_SHOTS, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 800 });
}

test('an agent calls, and its cluster turns green by itself', async ({ signedIn: page, portal }) => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-e2e-agent-'));
  const moon = await startCluster(folder);
  const main = page.getByRole('main');
  let agent;
  try {
    await page.goto('/admin/clusters/new');
    await main.getByRole('link', { name: 'By an agent instead' }).click();
    await expectAccessible(page, 'registering by an agent');
    await main.getByLabel('Name', { exact: true }).fill('orbit');
    await main.getByLabel('Called').fill('In orbit');
    await main.getByRole('button', { name: 'Register', exact: true }).click();
    await expect(main.locator('h1')).toContainText('The agent of In orbit');
    const token = await main.locator('[data-secret]').innerText();
    expect(token).toMatch(/^berth_agent_/);
    await expect(main.locator('[data-manifest]')).toContainText(token);
    await expectAccessible(page, 'a token of an agent');
    const [download] = await Promise.all([page.waitForEvent('download'), main.getByRole('link', { name: 'Download' }).click()]);
    expect(download.suggestedFilename()).toBe('berth-agent.yaml');
    await shots(page, 'agent-token');
    await page.setViewportSize({ width: 360, height: 740 });
    await expectNoSideways(page, 'a token of an agent, on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });

    await main.getByRole('link', { name: 'To the cluster' }).click();
    await expect(main).toContainText('Has not called yet');
    await expect(main).not.toContainText(token);
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, token);
    agent = startAgent(portal.url, tokenFile, moon);
    // Nobody loads the page anew.
    await expect(main.locator('h1')).toContainText('Live', { timeout: 30_000 });
    await expect(main.locator('#cluster-body')).toContainText('1 of 1 replicas of Berth', { timeout: 30_000 });
    await expectAccessible(page, 'a cluster with an agent');
    await shots(page, 'agent-cluster');
    await page.setViewportSize({ width: 360, height: 740 });
    await expectNoSideways(page, 'a cluster with an agent, on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });

    await main.getByRole('button', { name: 'Revoke the token' }).click();
    await expect(page.getByText('The token is revoked.')).toBeVisible();
    await expect(main.locator('h1')).toContainText('Does not answer', { timeout: 30_000 });
    await expect(main.locator('#cluster-head')).toContainText('its agent does not call');
    await main.getByRole('button', { name: 'Remove the cluster' }).click();
    await expect(page.getByText('The cluster orbit is removed.')).toBeVisible();
  } finally {
    if (agent) await stopAgent(agent);
    await stopCluster(moon);
    await rm(folder, { recursive: true, force: true });
  }
});
