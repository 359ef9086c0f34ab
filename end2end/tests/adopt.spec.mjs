// A namespace that the cluster has already becomes a tenant's, with what runs in it: with JavaScript and without.
import { expect, expectAccessible, expectNoSideways, test } from '../support/fixtures.mjs';

// Somebody makes things in the cluster past the portal.
test.use({ apart: true });

const container = { name: 'main', image: 'registry.example/old:1', resources: { requests: { cpu: '100m', memory: '64Mi' } } };

test('what was there before is looked at, adopted, and runs on', async ({ signedIn: page, portal, shop }, info) => {
  const legacy = `legacy-${info.project.name.replace(/[^a-z]/g, '')}`;
  const name = `old-${info.project.name.replace(/[^a-z]/g, '')}`;
  const labels = { app: 'web' };
  await portal.make('/api/v1/namespaces', { metadata: { name: legacy } });
  await portal.make(`/apis/apps/v1/namespaces/${legacy}/deployments`, {
    metadata: { name: 'web' },
    spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [container] } } },
  });
  const main = page.getByRole('main');
  await page.goto('/t/shop');
  await main.getByRole('link', { name: 'Adopt a namespace' }).click();
  await main.getByLabel('Namespace in the cluster').fill('kube-system');
  await main.getByLabel('Name within shop').fill(name);
  await main.getByRole('button', { name: 'Look what is in it' }).click();
  await expect(main).toContainText("the cluster's or the platform's own");
  await main.getByLabel('Namespace in the cluster').fill(legacy);
  // Its pods come a moment after it.
  await expect(async () => {
    await main.getByRole('button', { name: 'Look what is in it' }).click();
    await expect(main.getByRole('row', { name: /web.*Deployment.*2/ })).toBeVisible({ timeout: 1_000 });
  }).toPass();
  await expect(main).toContainText('runAsNonRoot != true');
  await expectAccessible(page, 'an adoption');
  await page.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(page, 'an adoption');
  await page.setViewportSize({ width: 1280, height: 900 });
  await main.getByRole('button', { name: 'Adopt', exact: true }).click();
  await expect(main).toContainText(`Type ${legacy} to confirm.`);
  await main.getByLabel(`Type ${legacy} to adopt it`).fill(legacy);
  await main.getByRole('button', { name: 'Adopt', exact: true }).click();
  await expect(page.getByText(`${legacy} is now ${name}.`)).toBeVisible();
  const pods = async () => (await portal.api(shop.token, 'GET', `/tenants/shop/namespaces/${name}/pods`)).total;
  await expect.poll(pods).toBe(2);
});
