// Mail, by a real mail server: an address is confirmed, the admin hears of a request, a forgotten password is mended.
import { account, collectErrors, expect, expectAccessible, expectNoSideways, PASSWORD, signInFirst, test } from '../support/fixtures.mjs';
import { linkIn, Mailbox } from '../support/mailbox.mjs';
import { Portal } from '../support/portal.mjs';

/** Confirms an address of who is signed in. */
async function confirm(page, mailbox, address) {
  await page.goto('/account');
  await page.getByRole('link', { name: 'E-mail' }).click();
  await page.getByLabel('New address').fill(address);
  await page.getByLabel('Current password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Send the link' }).click();
  await expect(page.getByRole('main')).toContainText('got a link');
  await expect.poll(() => mailbox.to(address, 'Confirm this address').length).toBe(1);
  await page.goto(linkIn(mailbox.to(address, 'Confirm this address')[0]));
  await expect(page.getByRole('heading', { name: 'Confirm your address' })).toBeVisible();
  await expectAccessible(page, 'a link that confirms an address');
  await page.getByRole('button', { name: 'That is my address' }).click();
  await expect(page.getByText(`Mail goes to ${address} now.`)).toBeVisible();
}

test('mail goes where it shall, and brings people back in', async ({ browser }, info) => {
  test.setTimeout(180_000);
  const mailbox = await Mailbox.start();
  const portal = await Portal.start({ named: true, env: mailbox.env });
  const { viewport, javaScriptEnabled } = info.project.use;
  const open = async () => {
    const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
    return context.newPage();
  };
  const [captain, ann] = [await open(), await open()];
  const wrong = [collectErrors(captain), collectErrors(ann)];
  await signInFirst(captain, portal, 'captain', portal.firstPassword);
  await signInFirst(ann, portal, 'ann', await portal.createUser('ann'));
  await confirm(captain, mailbox, 'captain@example.com');
  await confirm(ann, mailbox, 'ann@example.com');

  const main = captain.getByRole('main');
  await captain.goto('/admin/mail');
  await main.getByRole('button', { name: 'Send a test to myself' }).click();
  await expect(captain.getByText('A test is on its way to you.')).toBeVisible();
  await expect.poll(() => mailbox.to('captain@example.com', 'A test').length).toBe(1);
  await captain.goto('/admin/mail');
  await expect(main).toContainText('Works');
  await expectAccessible(captain, 'the platform’s mail');
  for (const page of [captain, ann]) {
    if (page === ann) await ann.goto('/account/mail');
    const name = page === ann ? 'own-mail' : 'platform-mail';
    await expectAccessible(page, name);
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      await expectNoSideways(page, `${name} at ${width}`);
      await page.screenshot({ path: info.outputPath(`${name}-${width}.png`), fullPage: true });
    }
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.screenshot({ path: info.outputPath(`${name}-dark.png`), fullPage: true });
    await page.emulateMedia({ colorScheme: 'light' });
  }

  // Ann asks for more, the captain hears of it, refuses, and she hears of that.
  const [root, token] = [await portal.createToken('captain'), await portal.createToken('ann')];
  await portal.api(root, 'POST', '/tenants', { name: 'shop', displayName: 'Web shop', owner: 'ann' });
  await portal.api(root, 'PUT', '/tenants/shop/quota', { resources: { secrets: '9' } });
  const asked = await portal.api(token, 'POST', '/tenants/shop/quota/requests', { resources: { secrets: '900' }, reason: 'many' });
  await expect.poll(() => mailbox.to('captain@example.com', 'shop: a quota request waits').length).toBe(1);
  const [mail] = mailbox.to('captain@example.com', 'shop: a quota request waits');
  expect(mail.headers.get('auto-submitted')).toBe('auto-generated');
  expect(mail.text).toContain('because you are an admin of the platform');
  await captain.goto(linkIn(mail));
  await expect(captain).toHaveURL(`${portal.url}/t/shop/quota/requests/${asked.id}`);
  await portal.api(root, 'POST', `/tenants/shop/quota/requests/${asked.id}/refuse`, { comment: 'not now' });
  await expect.poll(() => mailbox.to('ann@example.com', 'your quota request is refused').length).toBe(1);

  // She forgets her password: the link comes by itself.
  await ann.context().clearCookies();
  await ann.goto('/forgot');
  await expectAccessible(ann, 'a forgotten password');
  await ann.getByLabel('User name').fill('ann');
  await ann.getByRole('button', { name: 'Send me a link' }).click();
  await expect(ann).toHaveURL(`${portal.url}/sign-in`);
  await expect.poll(() => mailbox.to('ann@example.com', 'A new password').length).toBe(1);
  await ann.goto(linkIn(mailbox.to('ann@example.com', 'A new password')[0]));
  await ann.getByLabel('New password', { exact: true }).fill('another harbour at ten');
  await ann.getByLabel('New password, once more').fill('another harbour at ten');
  await ann.getByRole('button', { name: 'Set password' }).click();
  await ann.getByLabel('Name').fill('ann');
  await ann.getByLabel('Password').fill('another harbour at ten');
  await ann.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(account(ann, 'ann')).toBeVisible();
  expect(wrong.flat(), 'errors in the console').toEqual([]);
  await portal.stop();
  await mailbox.stop();
});
