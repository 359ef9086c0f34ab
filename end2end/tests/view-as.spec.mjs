// An admin sees the portal as somebody else has it; with JavaScript (project `browser`) and without (`no-js`).
import { account, collectErrors, expect, expectAccessible, expectNoSideways, signInFirst, test } from '../support/fixtures.mjs';

test('an admin views as a developer, changes nothing, and both find it in the end', async ({ browser, signedIn: page, shop, portal }, info) => {
  const { viewport, javaScriptEnabled } = info.project.use;
  const name = javaScriptEnabled === false ? 'bosun' : 'deckhand';
  const oneTime = await portal.createUser(name);
  await portal.api(shop.token, 'PUT', `/tenants/shop/members/${name}`, { role: 'developer' });
  const main = page.getByRole('main');
  const bar = page.getByRole('region', { name: 'Viewing as somebody else' });

  await page.goto(`/admin/people/${name}`);
  await expectAccessible(page, 'a person who can be viewed as');
  await main.getByLabel('Why').fill('look');
  await main.getByRole('button', { name: 'View as this person' }).click();
  await expect(main).toContainText('A few words: 10 to 300 characters');
  await main.getByLabel('Why').fill('Cannot find the app that the team speaks of');
  await main.getByRole('button', { name: 'View as this person' }).click();

  // All is theirs: the tenants, the role, what is closed; and the bar says who is looking.
  await expect(bar).toContainText(`You see the portal as ${name} has it.`);
  await expect(bar).toContainText('You are harbourmaster.');
  await expect(account(page, name)).toBeVisible();
  await expect(page.getByRole('link', { name: 'Web shop' }).first()).toBeVisible();
  expect((await page.goto('/admin/people')).status()).toBe(404);
  await expect(bar).toBeVisible();
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of [[360, 640], [viewport.width, viewport.height]]) {
      await page.setViewportSize({ width, height });
      await page.goto(`${shop.path}/apps/new`);
      await expectNoSideways(page, `${colorScheme} ${width}`);
      await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
      await expect(bar).toBeInViewport({ ratio: 1 });
      await page.screenshot({ path: info.outputPath(`viewing-${colorScheme}-${width}.png`) });
      await page.evaluate(() => window.scrollTo(0, 0));
      await page.screenshot({ path: info.outputPath(`viewing-${colorScheme}-${width}-top.png`) });
    }
    await expectAccessible(page, `viewing, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: null });

  // Whatever is sent is refused, and what opens the account is not shown.
  await main.getByLabel('Name', { exact: true }).first().fill('smuggled');
  await main.getByLabel('Image').first().fill('registry.example/shop/smuggled:1');
  await main.getByRole('button', { name: /^(Deploy|Create)/ }).click();
  await expect(main).toContainText('Only to be looked at');
  await expect(main).toContainText('Nothing was done');
  for (const hidden of ['/account/sessions', '/account/tokens', '/account/second-factor', '/t/shop/kubectl']) {
    expect((await page.goto(hidden)).status(), hidden).toBe(403);
    await expect(bar).toBeVisible();
  }

  // A page that stays open behind the end of it sends nothing as the admin.
  const tab = await page.context().newPage();
  const wrong = collectErrors(tab);
  await tab.route('**/live?**', (route) => route.abort());
  await tab.goto('/t/shop/access');
  await bar.getByRole('button', { name: 'End' }).click();
  await expect(page).toHaveURL(`${portal.url}/admin/people/${name}`);
  await expect(bar).toHaveCount(0);
  await expect(main).toContainText('Cannot find the app that the team speaks of');
  await expect(main).toContainText('until ended');
  await tab.getByRole('region', { name: 'Viewing as somebody else' }).getByRole('button', { name: 'End' }).click();
  await expect(tab.getByRole('main')).toContainText('this page is from when you did');
  await tab.close();
  expect(wrong.filter((text) => !text.includes('ERR_FAILED'))).toEqual([]);

  await page.goto('/admin/audit?actor=harbourmaster');
  const log = main.getByRole('region', { name: 'Audit log' });
  for (const [what, how] of [['view.end', 'Done'], ['app.create', 'Denied'], ['view.begin', 'Done']]) {
    const row = log.getByRole('row').filter({ hasText: what }).first();
    await expect(row).toContainText(how);
    if (what !== 'view.begin') await expect(row).toContainText(`as ${name}`);
  }

  // They read who looked, and why.
  const context = await browser.newContext({ viewport, javaScriptEnabled, baseURL: portal.url });
  const theirs = await context.newPage();
  await signInFirst(theirs, portal, name, oneTime);
  await theirs.goto('/account');
  await expect(theirs.getByRole('main')).toContainText('Who looked as you');
  const look = theirs.getByRole('row').filter({ hasText: 'harbourmaster' });
  await expect(look).toContainText('Cannot find the app that the team speaks of');
  await expectAccessible(theirs, 'who looked');
  await theirs.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(theirs, 'who looked');
  await theirs.screenshot({ path: info.outputPath('who-looked.png') });
  await context.close();
});
