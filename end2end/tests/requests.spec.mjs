// From a form that does not fit to a quota that does: the link, the request, the rule that approves it, and back.
import { expect, expectAccessible, expectNoSideways, image, spec, test } from '../support/fixtures.mjs';

test.skip(Boolean(process.env.BERTH_TEST_KUBECONFIG), 'it fills a quota, which takes its time in a cluster of its own');

test('what is lacking is asked for where it failed, and what was typed stays', async ({ signedIn: page, shop, portal }) => {
  const api = (method, path, body) => portal.api(shop.token, method, path, body);
  const dock = '/tenants/dock/namespaces/dev';
  await api('POST', '/tenants', { name: 'dock' });
  await api('POST', '/tenants/dock/namespaces', { name: 'dev' });
  await api('PUT', `${dock}/quota`, { resources: { pods: '4' } });
  await api('PUT', '/tenants/dock/quota', { resources: { pods: '4' } });
  await api('POST', `${dock}/apps`, { name: 'crane', spec: { ...spec(image('crane'), { replicas: 4 }) } });
  const used = async () => (await api('GET', '/tenants/dock/quota')).items[0].resources[0].used;
  await expect.poll(used, { timeout: 45_000, message: 'the quota is full' }).toBe('4');

  const main = page.getByRole('main');
  await page.goto('/t/dock/n/dev/apps/crane/scale');
  await main.getByLabel('Pods', { exact: true }).fill('6');
  await main.getByRole('button', { name: 'Check', exact: true }).click();
  const opened = page.context().waitForEvent('page');
  await main.getByRole('link', { name: /Ask for more quota/ }).click();
  const form = await opened;
  const asked = form.getByRole('main');
  await expect(asked).toContainText('Pods: 2 is lacking, 0 is left to share out.');
  await expect(asked.getByLabel('Pods', { exact: true })).toHaveValue('6');
  await expect(asked.getByLabel('For which namespace')).toHaveValue('dev');
  await expectAccessible(form, 'the form that asks');
  await asked.getByLabel('Reason').fill('The sale begins');
  await asked.getByRole('button', { name: 'Send request' }).click();
  await expect(asked).toContainText('Approved: the quota is set.');
  await expect(asked).toContainText('by rule: one step up');
  await expect(asked.locator('h1')).toHaveText('Pods 4 → 6');
  await expectAccessible(form, 'a request');
  await form.setViewportSize({ width: 360, height: 740 });
  await expectNoSideways(form, 'a request on a phone');
  await form.close();

  // The first tab still holds what was typed, and now it fits.
  await expect(main.getByLabel('Pods', { exact: true })).toHaveValue('6');
  await expect(async () => {
    await main.getByRole('button', { name: 'Check', exact: true }).click();
    await expect(main.getByRole('status').first()).toContainText('It fits', { timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
});
