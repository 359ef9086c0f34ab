// Every page: accessible in both themes, nothing sideways on a phone, no errors in the console.
import { expect, COLOURS, expectAccessible, expectNoSideways, image, spec, test } from '../support/fixtures.mjs';

test.describe.configure({ mode: 'parallel' });

const NARROW = { width: 360, height: 740 };

test.beforeAll(async ({ shop }) => {
  test.setTimeout(120_000);
  await shop.deploy('web', spec(image('web')));
  await shop.deploy('broken', spec(image('broken', 'missing')));
  await shop.phase('web', 'Ready');
  await shop.phase('broken', 'Degraded');
});

const PAGES = {
  home: () => '/',
  account: () => '/account',
  'API tokens': () => '/account/tokens',
  sessions: () => '/account/sessions',
  search: () => '/search?q=web',
  tenant: () => '/t/shop',
  members: () => '/t/shop/members',
  quota: () => '/t/shop/quota',
  'move quota': () => '/t/shop/quota/move',
  'quota requests': () => '/t/shop/quota/requests',
  'ask for quota': () => '/t/shop/quota/requests/new',
  'new namespace': () => '/t/shop/namespaces/new',
  'adopt a namespace': () => '/t/shop/adopt',
  kubectl: () => '/t/shop/kubectl',
  namespace: ({ path }) => path,
  'access to a namespace': ({ path }) => `${path}/members`,
  'asking for a role': () => '/t/shop/access',
  'share of a namespace': ({ path }) => `${path}/quota`,
  apps: ({ path }) => `${path}/apps`,
  'apps, none fits': ({ path }) => `${path}/apps?q=nothing-is-called-that`,
  'pods of a namespace': ({ path }) => `${path}/pods`,
  'pods, none fits': ({ path }) => `${path}/pods?q=nothing-is-called-that`,
  'new app': ({ path }) => `${path}/apps/new`,
  'new app as YAML': ({ path }) => `${path}/apps/new?view=yaml`,
  'app that is well': ({ path }) => `${path}/apps/web`,
  'app that fails': ({ path }) => `${path}/apps/broken`,
  pods: ({ path }) => `${path}/apps/web/pods`,
  events: ({ path }) => `${path}/apps/broken/events`,
  logs: ({ path }) => `${path}/apps/web/logs`,
  configuration: ({ path }) => `${path}/apps/web/configuration`,
  YAML: ({ path }) => `${path}/apps/web/yaml`,
  revisions: ({ path }) => `${path}/apps/web/revisions`,
  scale: ({ path }) => `${path}/apps/web/scale`,
  delete: ({ path }) => `${path}/apps/web/delete`,
  'admin console': () => '/admin',
  people: () => '/admin/people',
  'new person': () => '/admin/people/new',
  tenants: () => '/admin/tenants',
  'new tenant': () => '/admin/tenants/new',
  'quota of a tenant': () => '/admin/tenants/shop/quota',
  plans: () => '/admin/plans',
  announcements: () => '/admin/announcements',
  'new announcement': () => '/admin/announcements/new',
  capacity: () => '/admin/capacity',
  nodes: () => '/admin/nodes',
  'nodes, none fits': () => '/admin/nodes?q=nothing-is-called-that',
  'inbox of quota requests': () => '/admin/requests',
  'new plan': () => '/admin/plans/new',
  'identity providers': () => '/admin/sign-in',
  'new identity provider': () => '/admin/sign-in/new',
  'ways to sign in': () => '/account/connections',
  'audit log': () => '/admin/audit',
  'audit log, none fits': () => '/admin/audit?actor=nobody&since=2026-01-01T00:00',
  'audit entry': () => '/admin/audit/1',
};

for (const [name, path] of Object.entries(PAGES)) {
  test(`${name}: accessible, fits a phone`, async ({ signedIn: page, shop }) => {
    const answer = await page.goto(path(shop));
    expect(answer.status()).toBe(200);
    await expect(page.locator('h1')).toHaveCount(1);
    await expectNoSideways(page, `${name}, wide`);
    await expectAccessible(page, `${name}, light`);
    await page.emulateMedia({ colorScheme: 'dark' });
    await expectAccessible(page, `${name}, dark`, COLOURS);
    await page.setViewportSize(NARROW);
    await expectNoSideways(page, name);
    await expectAccessible(page, `${name}, narrow`);
  });
}

test('sign-in: accessible, fits a phone', async ({ page, portal }) => {
  await page.goto(`${portal.url}/sign-in`);
  await expectAccessible(page, 'sign-in');
  await page.emulateMedia({ colorScheme: 'dark' });
  await expectAccessible(page, 'sign-in, dark');
  await page.setViewportSize(NARROW);
  await expectNoSideways(page, 'sign-in');
});

test('a page that does not exist says so, with a way out', async ({ signedIn: page }) => {
  const answer = await page.goto('/t/nobody/n/nowhere/apps');
  expect(answer.status()).toBe(404);
  await expect(page.getByRole('main').getByRole('link').first()).toBeVisible();
  await expectAccessible(page, 'not found');
});

test('the REST API has its own reference', async ({ page, portal }) => {
  const answer = await page.goto(`${portal.url}/api/docs`);
  expect(answer.status()).toBe(200);
  await expect(page.locator('h1').first()).toBeVisible();
  await page.setViewportSize(NARROW);
  await expectNoSideways(page, 'API reference');
});

test('the first page after sign-in transfers at most 100 KB, everything in it', async ({ browser, shop, portal }) => {
  const context = await browser.newContext({ storageState: shop.state, baseURL: portal.url });
  const page = await context.newPage();
  const client = await context.newCDPSession(page);
  await client.send('Network.enable');
  let bytes = 0;
  client.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
  await page.goto('/', { waitUntil: 'load' });
  // The browser part is fetched after the page: it is counted too.
  const scripts = await page.locator('script[type=module]').count();
  if (scripts > 0) await expect.poll(() => page.evaluate(() => performance.getEntriesByType('resource').some((r) => r.name.endsWith('.wasm') && r.responseEnd > 0))).toBe(true);
  await context.close();
  expect(bytes).toBeGreaterThan(1_000);
  expect(bytes).toBeLessThanOrEqual(100_000);
});

test('languages: the same page in English and in Chinese, kept for the next page', async ({ signedIn: page, shop }) => {
  await page.goto(`${shop.path}/apps`);
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await page.getByRole('button', { name: '中文' }).or(page.getByRole('button', { name: '简体中文' })).first().click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await page.goto(`${shop.path}/apps/broken`);
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await expectAccessible(page, 'app that fails, in Chinese');
  await page.setViewportSize(NARROW);
  await expectNoSideways(page, 'app that fails, in Chinese');
});

test('colours: chosen ones win over the system, also on the next page', async ({ signedIn: page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto('/');
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.getByRole('button', { name: 'Switch to dark' }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  expect(await background()).not.toBe(light);
  await page.goto('/account');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});
