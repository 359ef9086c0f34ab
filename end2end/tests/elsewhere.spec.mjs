// What others, and the cluster, do to what is on screen.
import { expect, image, PASSWORD, signInFirst, spec, test } from '../support/fixtures.mjs';

test('a shell is typed into, ends, and is opened again', async ({ signedIn: page, shop }) => {
  await shop.deploy('shell', spec(image('shell'), { replicas: 1 }));
  await shop.phase('shell', 'Ready');
  await page.goto(`${shop.path}/pods?q=shell-`);
  await page.getByRole('link', { name: /^shell-/ }).first().click();
  await page.getByRole('link', { name: 'Terminal' }).click();
  const typed = page.getByLabel('Command');
  const printed = page.getByRole('log', { name: 'Output' });
  const run = async (command) => {
    await typed.fill(command);
    await typed.press('Enter');
  };
  // What is typed before the connection stands is not lost.
  await expect(async () => {
    await run('echo one-$((1))');
    await expect(printed).toContainText('one-', { timeout: 1_000 });
  }).toPass();
  await typed.press('ArrowUp');
  await expect(typed).toHaveValue('echo one-$((1))');
  await run('exit');
  await expect(page.getByRole('status')).toContainText('The shell has ended');
  await expect(typed).toBeHidden();
  await expect(printed).toContainText('one-');
  await page.getByRole('button', { name: 'Open again' }).click();
  await expect(typed).toBeFocused();
  await expect(async () => {
    await run('echo two');
    await expect(printed).toContainText('two', { timeout: 1_000 });
  }).toPass();
});

test('last lines follow the pod that is there', async ({ signedIn: page, shop }) => {
  await shop.deploy('chatty', spec(image('chatty'), { replicas: 1 }));
  await shop.phase('chatty', 'Ready');
  await page.goto(`${shop.path}/apps/chatty`);
  const card = page.getByRole('region', { name: 'Last lines' });
  const pod = card.locator('header .mono');
  await expect(card.locator('.log > div').first()).toBeVisible();
  const before = await pod.textContent();
  await shop.change('chatty', spec(image('chatty', '2.0.0'), { replicas: 1 }));
  await expect(pod).not.toHaveText(before, { timeout: 30_000 });
  await expect(card.locator('.log > div').first()).toBeVisible();
  expect(await card.locator('.log > div').count()).toBeLessThanOrEqual(12);
});

test('what is deleted elsewhere says so, and keeps what was typed', async ({ signedIn: page, shop, portal }) => {
  await shop.deploy('doomed', spec(image('doomed'), { replicas: 1 }));
  await page.goto(`${shop.path}/apps/doomed/configuration`);
  await page.getByLabel('Image').fill('registry.example/shop/mine:7');
  await portal.api(shop.token, 'DELETE', '/tenants/shop/namespaces/dev/apps/doomed');
  await expect(page.getByRole('alert')).toContainText('not here any more', { timeout: 30_000 });
  await expect(page.getByLabel('Image')).toHaveValue('registry.example/shop/mine:7');
  await expect(page.getByRole('button', { name: 'Save' })).toBeDisabled();
});

test('a viewer reads the settings and is offered nothing else', async ({ browser, portal, shop }) => {
  await shop.deploy('settled', spec(image('settled'), { env: [{ name: 'LOG_LEVEL', value: 'info' }] }));
  const oneTime = await portal.createUser('vera');
  await portal.api(shop.token, 'PUT', '/tenants/shop/members/vera', { role: 'viewer' });
  const context = await browser.newContext({ baseURL: portal.url });
  const page = await context.newPage();
  await signInFirst(page, portal, 'vera', oneTime);
  await page.goto(`${shop.path}/apps/settled/configuration`);
  await expect(page.getByLabel('Image')).toHaveValue(image('settled'));
  await expect(page.getByLabel('Image')).toBeDisabled();
  await expect(page.getByLabel('Variables')).toHaveValue('LOG_LEVEL=info');
  await expect(page.getByRole('button', { name: 'Save' })).toHaveCount(0);
  await context.close();
});

test('suspending asks first', async ({ signedIn: page, shop }) => {
  await shop.deploy('pausing', spec(image('pausing'), { replicas: 1 }));
  await shop.phase('pausing', 'Ready');
  await page.goto(`${shop.path}/apps/pausing`);
  await page.getByLabel('More', { exact: true }).click();
  await page.getByRole('link', { name: 'Suspend…' }).click();
  await expect(page.getByRole('heading', { name: 'Suspend pausing?' })).toBeVisible();
  expect((await shop.app('pausing')).status.phase).toBe('Ready');
  await page.getByRole('main').getByRole('button', { name: 'Suspend' }).click();
  await shop.phase('pausing', 'Suspended');
});

test('Ctrl-C ends what runs in the shell', async ({ signedIn: page, shop }) => {
  await shop.deploy('busy', spec(image('busy'), { replicas: 1 }));
  await shop.phase('busy', 'Ready');
  await page.goto(`${shop.path}/pods?q=busy-`);
  await page.getByRole('link', { name: /^busy-/ }).first().click();
  await page.getByRole('link', { name: 'Terminal' }).click();
  const typed = page.getByLabel('Command');
  const printed = page.getByRole('log', { name: 'Output' });
  await expect(printed).toContainText(/[$#]/);
  await typed.fill('sleep 600');
  await typed.press('Enter');
  await expect(printed).toContainText('sleep 600');
  await typed.press('Control+c');
  await typed.fill('echo still-$((1 + 1))');
  await typed.press('Enter');
  await expect(printed).toContainText('still-');
});

test('who was signed out while filling in a form keeps what they typed', async ({ browser, portal, shop }) => {
  const oneTime = await portal.createUser('nora');
  await portal.api(shop.token, 'PUT', '/tenants/shop/members/nora', { role: 'developer' });
  const context = await browser.newContext({ baseURL: portal.url });
  const page = await context.newPage();
  await signInFirst(page, portal, 'nora', oneTime);
  await page.goto(`${shop.path}/apps/new`);
  await page.getByLabel('Name', { exact: true }).fill('kept');
  await page.getByLabel('Image').fill(image('kept'));
  await context.clearCookies();
  await page.getByRole('button', { name: 'Deploy' }).click();
  await expect(page.getByRole('heading', { name: 'You are signed out' })).toBeVisible();
  const [beside] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: /Sign in again/ }).click()]);
  await beside.getByLabel('Name').fill('nora');
  await beside.getByLabel('Password').fill(PASSWORD);
  await beside.getByRole('button', { name: 'Sign in' }).click();
  await expect(beside.getByLabel('Account of nora')).toBeVisible();
  await page.getByRole('button', { name: 'Send it again' }).click();
  await expect(page).toHaveURL(new RegExp(`${shop.path}/apps/kept$`));
  await context.close();
});
