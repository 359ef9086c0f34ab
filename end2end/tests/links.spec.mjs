// Invitations and lost passwords: links that are passed on, with JavaScript (project `browser`) and without (`no-js`).
import { account, collectErrors, expect, expectAccessible, expectNoSideways, PASSWORD, test } from '../support/fixtures.mjs';

test('a link brings somebody in, and another gives them a new password', async ({ browser, portal, signedIn: page }, info) => {
  const { viewport, javaScriptEnabled } = info.project.use;
  const name = `zoe-${info.project.name.replace(/[^a-z]/g, '')}`;
  const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
  const guest = await context.newPage();
  const wrong = collectErrors(guest);
  const main = page.getByRole('main');
  await page.goto('/t/shop/members');
  await main.getByRole('link', { name: 'Invite by link' }).click();
  await expectAccessible(page, 'invitations');
  await main.getByLabel('E-mail').fill(`${name}@example.com`);
  await main.getByLabel('Role').selectOption('developer');
  await main.getByRole('button', { name: 'Make a link' }).click();
  const link = await main.locator('[data-secret]').textContent();
  expect(link.startsWith(`${portal.url}/join/`), link).toBe(true);
  await expect(main.getByRole('cell', { name: `${name}@example.com` })).toBeVisible();

  await guest.goto(link);
  await expect(guest).toHaveURL(`${portal.url}/join`);
  await expect(guest.getByRole('heading', { name: 'Join Web shop' })).toBeVisible();
  await expectAccessible(guest, 'an invitation');
  await guest.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(guest, 'an invitation');
  await guest.getByLabel('User name').fill(name);
  await guest.getByLabel('Display name').fill(name);
  await guest.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await guest.getByLabel('Password, once more').fill(PASSWORD);
  await guest.getByRole('button', { name: 'Make account' }).click();
  await expect(guest).toHaveURL(`${portal.url}/t/shop`);
  await expect(account(guest, name)).toBeVisible();
  await guest.goto(link);
  await expect(guest.getByRole('main')).toContainText('This link was used already');

  await context.clearCookies();
  await guest.goto('/sign-in');
  await guest.getByRole('link', { name: 'Forgot your password?' }).click();
  await expectAccessible(guest, 'a forgotten password');
  await guest.getByLabel('User name').fill(name);
  await guest.getByRole('button', { name: 'Tell the admins' }).click();
  await expect(guest).toHaveURL(`${portal.url}/sign-in`);
  await page.goto(`/admin/people/${name}`);
  await main.getByRole('button', { name: 'Make a link' }).click();
  await guest.goto(await main.locator('[data-secret]').textContent());
  await expectAccessible(guest, 'a new password');
  await guest.getByLabel('New password', { exact: true }).fill('another harbour at ten');
  await guest.getByLabel('New password, once more').fill('another harbour at ten');
  await guest.getByRole('button', { name: 'Set password' }).click();
  await guest.getByLabel('Name').fill(name);
  await guest.getByLabel('Password').fill('another harbour at ten');
  await guest.getByRole('button', { name: 'Sign in' }).click();
  await expect(account(guest, name)).toBeVisible();
  await context.close();
  expect(wrong, 'errors in the console').toEqual([]);
});
