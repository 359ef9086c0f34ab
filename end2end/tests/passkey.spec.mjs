// Passkeys, kept by Chromium's virtual authenticator: added, the second factor, both factors at once, copied, lost. Without
// JavaScript (project `no-js`) there are none, and the page says so.
import { account, collectErrors, expect, expectAccessible, expectNoSideways, PASSWORD, test } from '../support/fixtures.mjs';
import { Portal } from '../support/portal.mjs';

/** A portal, its admin signed in with a password of their own. */
async function scene(browser, info) {
  const portal = await Portal.start({ named: true });
  const { viewport, javaScriptEnabled } = info.project.use;
  const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
  const page = await context.newPage();
  const main = page.getByRole('main');
  const button = (name) => main.getByRole('button', { name, exact: true });
  await page.goto('/sign-in?next=/account/second-factor');
  await page.getByLabel('Name').fill('captain');
  await page.getByLabel('Password').fill(portal.firstPassword);
  await button('Sign in').click();
  await page.getByLabel('One-time password').fill(portal.firstPassword);
  await page.getByLabel('New password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('New password, once more').fill(PASSWORD);
  await button('Set password').click();
  await expect(page).toHaveURL(`${portal.url}/account/second-factor`);
  const end = async () => {
    await context.close();
    await portal.stop();
  };
  const narrow = async (what) => {
    await expectAccessible(page, what);
    await page.setViewportSize({ width: 360, height: 800 });
    await expectNoSideways(page, what);
    await page.setViewportSize(viewport);
  };
  return { portal, context, page, main, button, narrow, end };
}

test('a passkey is added, is the second factor, and opens the account by itself', async ({ browser }, info) => {
  test.skip(info.project.use.javaScriptEnabled === false, 'passkeys need JavaScript');
  const { portal, context, page, main, button, narrow, end } = await scene(browser, info);
  const wrong = collectErrors(page);
  try {
    const cdp = await context.newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    await narrow('no second factor');
    await main.getByLabel('Your password').fill(PASSWORD);
    await button('Add a passkey').click();
    await narrow('a passkey that is to be added');
    await main.getByLabel('Name').fill('Work laptop');
    await button('Make the passkey').click();
    await expect(main).toContainText('These are your recovery codes');
    const codes = (await main.locator('[data-secret]').textContent()).trim().split('\n');
    expect(codes).toHaveLength(10);
    await main.getByRole('link', { name: 'I have kept them' }).click();
    await expect(main.getByRole('row', { name: /Work laptop/ })).toContainText('Never');
    await narrow('a passkey');

    // The same device makes no second one.
    await main.getByLabel('Your password').fill(PASSWORD);
    await button('Add a passkey').click();
    await main.getByLabel('Name').fill('Again');
    await button('Make the passkey').click();
    await expect(main.getByRole('alert')).toHaveText('This device has a passkey for your account already.');

    const leave = async () => {
      await context.clearCookies();
      await page.goto('/sign-in?next=/account/second-factor');
    };
    const withPassword = async () => {
      await leave();
      await page.getByLabel('Name').fill('captain');
      await page.getByLabel('Password').fill(PASSWORD);
      await button('Sign in').click();
      await expect(page).toHaveURL(`${portal.url}/sign-in/code?next=/account/second-factor`);
    };
    const isIn = async () => {
      await expect(page).toHaveURL(`${portal.url}/account/second-factor`);
      await expect(account(page, 'captain')).toBeVisible();
    };
    await withPassword();
    await narrow('a passkey is asked for');
    await button('Use a passkey').click();
    await isIn();
    await expect(main.getByRole('row', { name: /Work laptop/ })).not.toContainText('Never');

    // Without name and password: no button more than the one that says so.
    await leave();
    await narrow('where one signs in');
    await button('Sign in with a passkey').click();
    await isIn();

    // A finger that is not known opens nothing without a password.
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await leave();
    await button('Sign in with a passkey').click();
    await expect(main.getByRole('alert')).toContainText('No passkey came');
    await narrow('no passkey came');
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
    await button('Use a passkey').click();
    await isIn();

    // A copy of it, from when it had been used less often.
    const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId });
    expect(credentials).toHaveLength(1);
    const [{ credentialId }] = credentials;
    await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId });
    await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credentials[0], signCount: 1 } });
    await withPassword();
    await button('Use a passkey').click();
    await expect(main).toContainText('there may be a copy of it');
    // Lost: a recovery code.
    await main.getByLabel('Recovery code').fill(codes[0].toLowerCase());
    await button('Sign in').click();
    await isIn();
    await expect(main).toContainText('9 left');
    await main.getByRole('link', { name: 'Work laptop' }).click();
    await narrow('one passkey');
    await main.getByLabel('Name').fill('Old laptop');
    await button('Rename').click();
    await main.getByRole('link', { name: 'Old laptop' }).click();
    await main.getByLabel('Your password').fill(PASSWORD);
    page.once('dialog', (dialog) => dialog.accept());
    await button('Remove the passkey').click();
    await expect(main).toContainText('The passkey is removed');
    await expect(main).toContainText('No second factor yet');
    expect(wrong, 'errors in the console').toEqual([]);
  } finally {
    await end();
  }
});

test('without JavaScript the page says so and offers the other ways', async ({ browser }, info) => {
  test.skip(info.project.use.javaScriptEnabled !== false, 'for browsers without JavaScript');
  const { page, context, main, button, narrow, end } = await scene(browser, info);
  try {
    await main.getByLabel('Your password').fill(PASSWORD);
    await button('Add a passkey').click();
    await expect(main).toContainText('Passkeys need JavaScript');
    await expect(button('Make the passkey')).toBeHidden();
    await narrow('no passkeys without JavaScript');
    await context.clearCookies();
    await page.goto('/sign-in');
    await button('Sign in with a passkey').click();
    await expect(main).toContainText('Passkeys need JavaScript');
    await main.getByRole('link', { name: 'Sign in otherwise' }).click();
    await expect(page.getByLabel('Password')).toBeVisible();
  } finally {
    await end();
  }
});
