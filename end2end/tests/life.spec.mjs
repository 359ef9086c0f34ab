// What a namespace reaches, and a tenant that is put to rest, removed and taken back: with JavaScript and without.
import { expect, expectAccessible, expectNoSideways, image, spec, test } from '../support/fixtures.mjs';

/** A tenant of its own, so that no other test meets a tenant at rest; its app runs. */
async function launch(portal, token, name) {
  const api = (method, path, body) => portal.api(token, method, path, body);
  await api('POST', '/tenants', { name, displayName: name });
  await api('POST', `/tenants/${name}/namespaces`, { name: 'dev' });
  const dev = `/tenants/${name}/namespaces/dev`;
  await api('POST', `${dev}/apps`, { name: 'web', spec: spec(image('web')) });
  const pods = async () => (await api('GET', `${dev}/pods?phase=running`)).total;
  await expect.poll(pods, { timeout: 45_000 }).toBe(2);
  return { api, dev, pods };
}

const own = (info, what) => `${what}-${info.project.name.replace(/[^a-z]/g, '')}`;

test('what is wrong with a range stands at the field; what is right holds', async ({ signedIn: page, portal, shop }, info) => {
  const tenant = own(info, 'fenced');
  await launch(portal, shop.token, tenant);
  const main = page.getByRole('main');
  await page.goto(`/t/${tenant}/n/dev`);
  await page.getByRole('link', { name: 'Network', exact: true }).click();
  await expectAccessible(page, 'a network');
  await main.getByLabel('Pods may reach').selectOption('named');
  const wrong = '203.0.113.1/24 443\n169.254.169.254/32';
  await main.getByLabel('Ranges').fill(wrong);
  await main.getByRole('button', { name: 'Save' }).click();
  await expect(main).toContainText('The range is 203.0.113.0/24');
  await expect(main).toContainText('where machines get their credentials');
  await expect(main.getByLabel('Ranges')).toHaveValue(wrong);
  await expectAccessible(page, 'a network that is refused');
  await main.getByLabel('Ranges').fill('203.0.113.0/24 443,53/udp # payments');
  await main.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('The network of dev is set.')).toBeVisible();
  await expect(main.getByLabel('Ranges')).toHaveValue('203.0.113.0/24 443/TCP,53/UDP # payments');
  await page.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(page, 'a network');
});

test('a tenant rests, goes on, is removed and taken back', async ({ signedIn: page, portal, shop }, info) => {
  const tenant = own(info, 'resting');
  const { api, dev, pods } = await launch(portal, shop.token, tenant);
  const main = page.getByRole('main');
  const settings = async (link) => {
    await page.goto(`/t/${tenant}/settings`);
    await main.getByRole('link', { name: link, exact: true }).click();
  };
  await settings('Suspend');
  await expectAccessible(page, 'a question');
  await main.getByRole('button', { name: 'Suspend', exact: true }).click();
  await expect(main.getByLabel('Why')).toHaveAttribute('aria-invalid', 'true');
  await main.getByLabel('Why').fill('unpaid since spring');
  await main.getByRole('button', { name: 'Suspend', exact: true }).click();
  await page.goto(`/t/${tenant}/n/dev/apps/web`);
  await expect(page.getByText('This tenant is suspended')).toBeVisible();
  await expect(page.getByText('unpaid since spring')).toBeVisible();
  await expectAccessible(page, 'an app at rest');
  await expect.poll(pods, { timeout: 45_000 }).toBe(0);
  await expect(api('POST', `${dev}/apps/web/scale`, { replicas: 3 })).rejects.toThrow(/403 .*suspended.*unpaid since spring/);
  await settings('Resume');
  await main.getByRole('button', { name: 'Resume', exact: true }).click();
  await expect.poll(pods, { timeout: 45_000 }).toBe(2);

  await settings('Remove tenant');
  await main.getByLabel(/Type/).fill('another');
  await main.getByRole('button', { name: 'Remove tenant' }).click();
  await expect(main.getByLabel(/Type/)).toHaveAttribute('aria-invalid', 'true');
  await main.getByLabel(/Type/).fill(tenant);
  await main.getByRole('button', { name: 'Remove tenant' }).click();
  await expect(page.getByText('This tenant is being removed')).toBeVisible();
  await expectAccessible(page, 'a tenant that is being removed');
  await page.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(page, 'a tenant that is being removed');
  await expect.poll(pods, { timeout: 45_000 }).toBe(0);
  await main.getByRole('link', { name: 'Take it back' }).first().click();
  await main.getByRole('button', { name: 'Take it back' }).click();
  await expect(page.getByText('This tenant is being removed')).toBeHidden();
  await expect.poll(pods, { timeout: 45_000 }).toBe(2);
});
