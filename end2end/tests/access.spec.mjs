// Roles in one namespace, and asking for one: with JavaScript (project `browser`) and without (`no-js`).
import { expect, expectAccessible, expectNoSideways, signInFirst, test } from '../support/fixtures.mjs';

test('a closed control leads to a request, which is given; a guest sees one namespace', async ({ browser, portal, signedIn: page, shop }, info) => {
  const { viewport, javaScriptEnabled } = info.project.use;
  const own = info.project.name.replace(/[^a-z]/g, '');
  const [vera, gus] = [`vera${own}`, `gus${own}`];
  const api = (method, path, body) => portal.api(shop.token, method, path, body);
  const first = { [vera]: await portal.createUser(vera), [gus]: await portal.createUser(gus) };
  await api('PUT', `/tenants/shop/members/${vera}`, { role: 'viewer' });
  const as = async (name) => {
    const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
    const other = await context.newPage();
    await signInFirst(other, portal, name, first[name]);
    return other;
  };
  const viewer = await as(vera);
  await viewer.goto(shop.path);
  const closed = viewer.getByRole('main').locator('details.closed');
  await closed.locator('summary').click();
  await expect(closed).toContainText('You may not make apps here. This needs the role Developer.');
  await expectAccessible(viewer, 'a closed control');
  await viewer.screenshot({ path: info.outputPath('closed-wide.png') });
  await viewer.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(viewer, 'a closed control');
  await viewer.screenshot({ path: info.outputPath('closed-narrow.png') });
  await viewer.setViewportSize(viewport);
  await closed.getByRole('link', { name: 'Ask for it' }).click();
  const form = viewer.getByRole('main');
  await expect(form.getByLabel('Role')).toHaveValue('developer');
  await expect(form.getByLabel('Where')).toHaveValue('dev');
  await form.getByLabel('What for').fill('I am on call this week');
  await form.getByRole('button', { name: 'Send the request' }).click();
  await expect(form).toContainText('Waiting');
  await expectAccessible(viewer, 'own requests');
  await viewer.screenshot({ path: info.outputPath('asked.png'), fullPage: true });

  const main = page.getByRole('main');
  await page.goto(shop.path);
  await page.getByRole('navigation').getByRole('link', { name: /^Access/ }).click();
  const waiting = main.getByRole('row').filter({ hasText: 'I am on call this week' });
  await expectAccessible(page, 'the inbox');
  await page.screenshot({ path: info.outputPath('inbox.png'), fullPage: true });
  await waiting.getByRole('button', { name: 'Give' }).click();
  await expect(page.getByText(`${vera} is now Developer.`)).toBeVisible();
  await viewer.goto(`${shop.path}/apps/new`);
  await expect(viewer.getByRole('button', { name: 'Deploy' })).toBeVisible();

  await main.getByLabel('User name').fill(gus);
  await main.getByLabel('Role', { exact: true }).selectOption('viewer');
  await main.getByRole('button', { name: 'Give a role here' }).click();
  await expect(main.getByRole('row').filter({ hasText: gus }).first()).toContainText('sees nothing else of the tenant');
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible(page, `access, ${colorScheme}`);
    await page.screenshot({ path: info.outputPath(`access-${colorScheme}.png`), fullPage: true });
  }
  await page.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(page, 'access');
  await page.screenshot({ path: info.outputPath('access-narrow.png'), fullPage: true });

  const guest = await as(gus);
  await guest.goto('/t/shop');
  await expect(guest.getByRole('main').getByRole('link', { name: 'dev', exact: true })).toBeVisible();
  await expect(guest.getByRole('navigation').getByRole('link', { name: 'Members', exact: true })).toHaveCount(0);
  expect((await guest.goto('/t/shop/members')).status()).toBe(403);
  await api('DELETE', `/tenants/shop/namespaces/dev/members/${gus}`);
  expect((await guest.goto('/t/shop')).status()).toBe(404);
  await viewer.context().close();
  await guest.context().close();
});
