// A webhook of a tenant: made, tried, its messages seen. With JavaScript and without.
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';

import { collectErrors, expect, expectAccessible, expectNoSideways, test } from '../support/fixtures.mjs';

/** Keeps what it gets; answers as it is told. */
async function receiver() {
  const got = [];
  const says = { status: 204, body: '' };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += part)).on('end', () => {
      got.push({ headers: request.headers, body });
      response.writeHead(says.status).end(says.body);
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${server.address().port}/berth`;
  return { url, got, says, close: () => new Promise((done) => server.close(done)) };
}

test('a webhook is made, tried and looked after', async ({ portal, signedIn: page }, info) => {
  const wrong = collectErrors(page);
  const main = page.getByRole('main');
  const hook = await receiver();
  const name = `on-call-${info.project.name.replace(/[^a-z]/g, '')}`;
  await page.goto('/t/shop/settings');
  await main.getByRole('link', { name: 'Webhooks' }).click();
  await expectAccessible(page, 'webhooks');
  await main.getByLabel('Name', { exact: true }).fill(name);
  await main.getByLabel('Address').fill('https://10.0.0.1/');
  await main.getByRole('checkbox', { name: 'The tenant is suspended' }).check();
  await main.getByRole('button', { name: 'Make the webhook' }).click();
  await expect(main.getByText('Nothing is sent there').first()).toBeVisible();
  await expect(main.getByRole('checkbox', { name: 'The tenant is suspended' })).toBeChecked();
  await main.getByLabel('Address').fill(hook.url);
  await main.getByRole('button', { name: 'Make the webhook' }).click();
  const secret = await main.locator('[data-secret]').textContent();
  expect(secret).toMatch(/^whsec_/);

  const path = await main.locator('form[action]').first().getAttribute('action');
  await page.goto(path);
  await main.getByRole('button', { name: 'Send a test' }).click();
  await expect.poll(() => hook.got.length).toBe(1);
  const [{ headers, body }] = hook.got;
  const text = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(text).digest('base64')}`);
  expect(JSON.parse(body).type).toBe('webhook.test');
  const messages = main.getByRole('region', { name: 'Last messages' });
  // With scripts the page follows by itself.
  if (info.project.use.javaScriptEnabled === false) await expect.poll(async () => (await page.reload(), messages.innerText())).toContain('Delivered');
  else await expect(messages).toContainText('Delivered');

  Object.assign(hook.says, { status: 500, body: 'the pager is down' });
  await main.getByRole('button', { name: 'Send a test' }).click();
  await expect.poll(() => hook.got.length).toBe(2);
  await expect.poll(async () => (await page.reload(), messages.innerText())).toContain('the pager is down');
  await expect(main.getByText('Nothing has arrived since')).toBeVisible();
  await expectAccessible(page, 'a webhook');
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await expectNoSideways(page, `a webhook at ${width}`);
    await page.screenshot({ path: info.outputPath(`webhook-${width}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.screenshot({ path: info.outputPath('webhook-dark.png'), fullPage: true });
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto('/admin/webhooks');
  await expectAccessible(page, 'the platform’s webhooks');
  await expect(main.getByRole('checkbox', { name: 'Somebody forgot their password' })).toBeVisible();
  await page.goto(`${portal.url}${path}`);
  page.on('dialog', (dialog) => dialog.accept());
  await main.getByRole('button', { name: 'Remove' }).click();
  await expect(main.getByRole('link', { name })).toHaveCount(0);
  expect(wrong, 'errors in the console').toEqual([]);
  await hook.close();
});
