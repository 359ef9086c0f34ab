// Roles that a tenant makes: with JavaScript (project `browser`) and without (`no-js`).
import { expect, expectAccessible, expectNoSideways, signInFirst, test } from '../support/fixtures.mjs';

test('a role is made, says what comes along, is given, and stays while somebody has it', async ({ browser, portal, signedIn: page, shop }, info) => {
  const { viewport, javaScriptEnabled } = info.project.use;
  const own = info.project.name.replace(/[^a-z]/g, '');
  const [role, mia] = [`releaser-${own}`, `mia${own}`];
  const first = await portal.createUser(mia);
  const main = page.getByRole('main');

  await page.goto('/t/shop/members');
  await main.getByRole('link', { name: 'Roles', exact: true }).click();
  await main.getByLabel('Name', { exact: true }).fill(role);
  await main.getByLabel('What people call it').fill(`Releaser ${own}`);
  await main.getByLabel('What it is for').fill('Deploys and restarts, without a terminal');
  await main.getByRole('button', { name: 'Make the role' }).click();
  await expect(main).toContainText('Choose an action, or a role that it includes.');
  await main.getByRole('checkbox', { name: 'app.update' }).check();
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible(page, `a new role, ${colorScheme}`);
    await page.screenshot({ path: info.outputPath(`new-${colorScheme}.png`), fullPage: true });
  }
  await page.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(page, 'a new role');
  await page.screenshot({ path: info.outputPath('new-narrow.png'), fullPage: true });
  await page.setViewportSize(viewport);
  await main.getByRole('button', { name: 'Make the role' }).click();
  await expect(page).toHaveURL(new RegExp(`/t/shop/roles/${role}$`));
  const gives = main.getByRole('region', { name: 'What it gives' });
  await expect(gives.getByRole('row').filter({ hasText: 'workload.read' })).toContainText('app.update makes no sense without it');

  await page.goto('/t/shop/members');
  await main.getByLabel('User name').fill(mia);
  await main.getByLabel('Role', { exact: true }).selectOption(role);
  await main.getByRole('button', { name: 'Add a member' }).click();
  const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
  const releaser = await context.newPage();
  await signInFirst(releaser, portal, mia, first);
  await releaser.goto(`${shop.path}/apps`);
  await expect(releaser.getByRole('main')).toContainText('You may not make apps here.');
  expect((await releaser.goto('/t/shop/robots')).status()).toBe(403);

  await page.goto(`/t/shop/roles/${role}`);
  await expect(main).toContainText('A change counts at once for 1 holder');
  await expectAccessible(page, 'a role');
  await page.screenshot({ path: info.outputPath('role.png'), fullPage: true });
  await page.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(page, 'a role');
  await page.screenshot({ path: info.outputPath('role-narrow.png'), fullPage: true });
  await page.setViewportSize(viewport);
  page.on('dialog', (dialog) => dialog.accept());
  await main.getByRole('button', { name: 'Remove role' }).click();
  await expect(main).toContainText(`In use by ${mia}.`);
  await portal.api(shop.token, 'DELETE', `/tenants/shop/members/${mia}`);
  expect((await releaser.goto(`${shop.path}/apps`)).status()).toBe(404);
  await main.getByRole('button', { name: 'Remove role' }).click();
  await expect(page.getByText(`Role ${role} is removed.`)).toBeVisible();
  await context.close();
});
