// A second factor: added, asked for, lost; with JavaScript (project `browser`) and without (`no-js`).
import { createHmac } from 'node:crypto';

import { account, collectErrors, expect, expectAccessible, expectNoSideways, PASSWORD, test } from '../support/fixtures.mjs';
import { Portal } from '../support/portal.mjs';

/** The code that an authenticator app shows (RFC 6238); `ahead`: so many steps later. */
function codeOf(secret, ahead = 0) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const tag = createHmac('sha1', key).update(step).digest();
  return String((tag.readUInt32BE(tag[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

test('an admin adds the second factor that is required, comes in with it, and without the phone', async ({ browser }, info) => {
  const portal = await Portal.start({ env: { BERTH_REQUIRE_SECOND_FACTOR: 'admins' } });
  const { viewport, javaScriptEnabled } = info.project.use;
  const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
  const page = await context.newPage();
  const wrong = collectErrors(page);
  const main = page.getByRole('main');
  const button = (name) => main.getByRole('button', { name, exact: true });
  const narrow = async (what) => {
    await page.setViewportSize({ width: 360, height: 800 });
    await expectNoSideways(page, what);
    await page.setViewportSize(viewport);
  };
  try {
    await page.goto('/sign-in');
    await page.getByLabel('Name').fill('captain');
    await page.getByLabel('Password').fill(portal.firstPassword);
    await button('Sign in').click();
    await page.getByLabel('One-time password').fill(portal.firstPassword);
    await page.getByLabel('New password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('New password, once more').fill(PASSWORD);
    await button('Set password').click();
    // Nothing else opens.
    await expect(page).toHaveURL(/\/account\/second-factor/);
    await page.goto('/admin/people');
    await expect(page).toHaveURL(`${portal.url}/account/second-factor?next=/admin/people`);
    await expect(main).toContainText('Berth asks this of you before anything else opens');
    await expectAccessible(page, 'a second factor that is required');
    await narrow('required');
    await main.getByLabel('Your password').fill(PASSWORD);
    await button('Add an authenticator app').click();
    await expect(main.getByRole('img', { name: 'QR code for your authenticator app' })).toBeVisible();
    await expectAccessible(page, 'an app that is to be added');
    await narrow('enrolment');
    const secret = await main.locator('[data-secret]').textContent();
    await main.getByLabel('Code that the app shows').fill('12');
    await button('Confirm').click();
    await expect(main).toContainText('This is not the code that the app shows now');
    expect(await main.locator('[data-secret]').textContent()).toBe(secret);
    await main.getByLabel('Code that the app shows').fill(codeOf(secret));
    await button('Confirm').click();
    await expect(main).toContainText('These are your recovery codes');
    await expectAccessible(page, 'recovery codes');
    await narrow('recovery-codes');
    const codes = (await main.locator('[data-secret]').textContent()).trim().split('\n');
    expect(codes).toHaveLength(10);
    await main.getByRole('link', { name: 'I have kept them' }).click();
    await expect(page).toHaveURL(`${portal.url}/admin/people`);
    await expect(main.getByRole('row', { name: /captain/ })).toContainText('second factor');
    await page.goto('/account/second-factor');
    await expect(main).toContainText('10 left');
    await expectAccessible(page, 'a second factor');
    await narrow('there');

    const enter = async () => {
      await context.clearCookies();
      await page.goto('/sign-in?next=/admin/people');
      await page.getByLabel('Name').fill('captain');
      await page.getByLabel('Password').fill(PASSWORD);
      await button('Sign in').click();
      await expect(page).toHaveURL(`${portal.url}/sign-in/code?next=/admin/people`);
    };
    await enter();
    await expectAccessible(page, 'a code');
    await narrow('code');
    await main.getByLabel('Code').fill('000');
    await button('Sign in').click();
    await expect(main.getByLabel('Code')).toHaveAttribute('aria-invalid', 'true');
    // The code of this half minute was used when the app was added: the next one counts already.
    await main.getByLabel('Code').fill(codeOf(secret, 1));
    await button('Sign in').click();
    await expect(page).toHaveURL(`${portal.url}/admin/people`);
    await expect(account(page, 'captain')).toBeVisible();

    await enter();
    await main.getByLabel('Code').fill(codes[0].toLowerCase());
    await button('Sign in').click();
    await expect(page).toHaveURL(`${portal.url}/admin/people`);
    await page.goto('/account/second-factor');
    await expect(main).toContainText('9 left');
    expect(wrong, 'errors in the console').toEqual([]);
  } finally {
    await context.close();
    await portal.stop();
  }
});
