// A cluster in a process of its own, which goes away and comes back.
import { expect, image, spec, test } from '../support/fixtures.mjs';

test.use({ apart: true });

test('pages go on from the cache and say how old they are', async ({ signedIn: page, shop, portal }) => {
  test.setTimeout(180_000);
  await shop.deploy('web', spec(image('web')));
  await shop.phase('web', 'Ready');
  await page.goto(`${shop.path}/apps`);
  await portal.freezeCluster();
  try {
    // Rendered by the server, not only told by the stream: so the page is asked for anew.
    await expect(async () => {
      const answer = await page.goto(`${shop.path}/apps`);
      expect(answer.status()).toBe(200);
      await expect(page.locator('#stale')).toContainText(/as of \d\d:\d\d:\d\d/, { timeout: 500 });
    }).toPass({ timeout: 120_000 });
    await expect(page.getByRole('main').getByRole('link', { name: 'web' })).toBeVisible();
    // The page's own stream lives on; that makes nothing on it newer.
    await expect(page.locator('#live')).toContainText('reconnecting');
  } finally {
    await portal.thawCluster();
  }
  await expect(page.locator('#stale')).toBeEmpty({ timeout: 60_000 });
  await expect(page.locator('#live')).toContainText('live');
});
