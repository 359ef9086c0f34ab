// The README's pictures, and one of every other page for those who review them (in test-results).
// Made by `cargo xtask regenerate --screenshots`.
import { fileURLToPath } from 'node:url';

import { expect, image, spec, test } from '../support/fixtures.mjs';

const FOLDER = fileURLToPath(new URL('../screenshots/', import.meta.url));
/** These are committed. */
const README = ['apps', 'app-degraded', 'deploy'];
const SIZES = { wide: { width: 1280, height: 860 }, narrow: { width: 360, height: 740 } };

test('pictures', async ({ browser, shop, portal }, info) => {
  test.setTimeout(300_000);
  const well = { web: 3, catalog: 2, search: 2, recommendations: 1, 'image-resizer': 2, notifications: 1, sessions: 1 };
  for (const [name, replicas] of Object.entries(well)) {
    await shop.deploy(name, spec(image(name, `2.${name.length}.0`), { replicas, resources: { requests: { cpu: '50m', memory: '64Mi' } } }));
  }
  await shop.deploy('payments', spec(image('payments', '4.1.2'), { env: [{ name: 'DB_HOST', value: 'db.shop.internal' }] }));
  await shop.phase('payments', 'Ready');
  await shop.change('payments', spec('registry.example/shop/no-db:4.2.0', { env: [{ name: 'DB_HOST', value: 'db-payments' }] }));
  await shop.deploy('mailer', spec(image('mailer', 'missing'), { replicas: 1 }));
  for (const name of ['payments', 'mailer']) await shop.phase(name, 'Degraded');
  for (const name of Object.keys(well)) await shop.phase(name, 'Ready');

  const pages = {
    home: '/',
    apps: `${shop.path}/apps`,
    pods: `${shop.path}/pods`,
    'app-degraded': `${shop.path}/apps/payments`,
    app: `${shop.path}/apps/web`,
    deploy: `${shop.path}/apps/new`,
    logs: `${shop.path}/apps/web/logs`,
    revisions: `${shop.path}/apps/payments/revisions`,
    usage: `${shop.path}/usage`,
    admin: '/admin',
  };
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark']) {
      const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB', storageState: shop.state, baseURL: portal.url });
      const page = await context.newPage();
      for (const [name, path] of Object.entries(pages)) {
        await page.goto(path);
        await expect(page.locator('h1')).toBeVisible();
        const file = `${name}-${size}-${colorScheme}.png`;
        await page.screenshot({ path: README.includes(name) ? FOLDER + file : info.outputPath(file) });
      }
      await context.close();
    }
  }
  for (const [size, viewport] of Object.entries(SIZES)) {
    const context = await browser.newContext({ viewport, locale: 'zh-CN', storageState: shop.state, baseURL: portal.url });
    const page = await context.newPage();
    // What the sign-in said is said once.
    await page.goto(pages.home);
    await page.goto(pages.apps);
    await page.screenshot({ path: `${FOLDER}apps-${size}-chinese.png` });
    await context.close();
  }
});
