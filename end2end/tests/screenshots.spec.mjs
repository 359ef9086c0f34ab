// The README's pictures, and one of every other page for those who review them (in test-results).
// Made by `cargo xtask regenerate --screenshots`.
import { fileURLToPath } from 'node:url';

import { expect, image, spec, test } from '../support/fixtures.mjs';

const FOLDER = fileURLToPath(new URL('../screenshots/', import.meta.url));
/** These are committed. */
const README = ['apps', 'app-degraded', 'deploy', 'admin-tenants', 'admin-requests'];
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

  // A quota with a share of it, other tenants beside, and somebody who asks for more.
  const api = (method, path, body) => portal.api(shop.token, method, path, body);
  const limits = (cpu, memory, pods) => ({ resources: { 'requests.cpu': cpu, 'requests.memory': memory, pods } });
  await api('PUT', '/tenants/shop/namespaces/dev/quota', limits('2', '3Gi', '30'));
  await api('PUT', '/tenants/shop/quota', limits('8', '8Gi', '60'));
  const tenants = { billing: ['2', 3, '500m'], search: ['4', 2, '250m'], 'data-science': ['16', 1, '1'], mobile: ['1', 2, '400m'] };
  for (const [name, [cpu, replicas, each]] of Object.entries(tenants)) {
    await api('POST', '/tenants', { name });
    await api('POST', `/tenants/${name}/namespaces`, { name: 'prod' });
    await api('PUT', `/tenants/${name}/quota`, limits(cpu, '8Gi', '40'));
    await api('PUT', `/tenants/${name}/namespaces/prod/quota`, limits(cpu, '8Gi', '40'));
    const running = spec(image(name), { replicas, resources: { requests: { cpu: each, memory: '256Mi' } } });
    await api('POST', `/tenants/${name}/namespaces/prod/apps`, { name: 'main', spec: running });
    const ready = async () => (await api('GET', `/tenants/${name}/namespaces/prod/apps/main`)).status?.phase;
    await expect.poll(ready, { timeout: 45_000, message: `${name} runs` }).toBe('Ready');
  }
  const asks = { billing: ['8', 'Invoices of the whole year are made in December'], mobile: ['3', 'The new version is out on Monday'] };
  for (const [name, [cpu, reason]] of Object.entries(asks)) {
    await api('POST', `/tenants/${name}/quota/requests`, { resources: { 'requests.cpu': cpu }, reason, namespace: 'prod' });
  }

  const pages = {
    home: '/',
    quota: '/t/shop/quota',
    scale: `${shop.path}/apps/web/scale`,
    'admin-tenants': '/admin/tenants?sort=-pressure',
    'admin-requests': '/admin/requests',
    'admin-capacity': '/admin/capacity',
    'admin-clusters': '/admin/clusters',
    'admin-agent': '/admin/clusters/-/agent',
    'admin-people': '/admin/people',
    'admin-mail': '/admin/mail',
    'admin-audit': '/admin/audit',
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
