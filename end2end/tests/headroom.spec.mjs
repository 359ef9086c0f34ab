// What is left of the quota, while one fills in a form. With JavaScript (project `browser`) it follows what is typed; without
// (`no-js`) it is counted when the page is made, by “Check”, and whenever something is refused.
import { expect, expectAccessible, expectNoSideways, image, spec, test } from '../support/fixtures.mjs';

test.use({ apart: true });
test.skip(Boolean(process.env.BERTH_TEST_KUBECONFIG), 'it puts a quota past the portal into a cluster of its own');

const resources = { requests: { cpu: '500m', memory: '64Mi' } };
const named = (name, info) => `${name}-${info.project.name.replace(/[^a-z]/g, '')}`;
const scripts = (info) => info.project.use.javaScriptEnabled !== false;

test('what is left follows what is typed; what cannot fit is refused and kept', async ({ signedIn: page, shop, portal }, info) => {
  const main = page.getByRole('main');
  const panel = main.getByRole('region', { name: 'What is left after this' });
  const verdict = panel.getByRole('status').first();
  const field = (label) => main.getByLabel(label, { exact: true });
  const submit = (name) => main.getByRole('button', { name, exact: true }).click();
  /** With scripts the panel follows by itself; without, it is asked. */
  const counted = async () => {
    if (!scripts(info)) await submit('Check');
  };

  await page.goto(`${shop.path}/apps/new`);
  await expect(verdict).toHaveText('This namespace has no quota.');
  await portal.make('/api/v1/namespaces/shop-dev/resourcequotas', {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'berth-e2e' },
    spec: { hard: { 'requests.cpu': '4', 'requests.memory': '4Gi', pods: '20' } },
  });
  await expect.poll(async () => (await page.goto(`${shop.path}/apps/new`)) && panel.innerText()).toContain('of 4 cores');

  // A new app: 3 pods of half a core, and one more while they are replaced.
  const name = named('room', info);
  await field('Name').fill(name);
  await field('Image').fill(image('room'));
  await field('CPU each').fill('500m');
  await field('Memory each').fill('64Mi');
  await field('Pods').fill('3');
  await counted();
  await expect(panel).toContainText('peaks at 2 of 4 cores');
  await expect(verdict).toContainText('It fits');
  // 8 fit, but not the two more of a rollout.
  await field('Pods').fill('8');
  await counted();
  await expect(verdict).toContainText('not while it changes: CPU peaks at 5 of 4 cores, 1 too much');
  await field('Pods').fill('9');
  await counted();
  await expect(verdict).toContainText('It does not fit: CPU peaks at 6 of 4 cores, 2 too much');
  await expectAccessible(page, 'a form that asks for too much');
  await expectNoSideways(page, 'a form that asks for too much');

  await submit('Deploy');
  await expect(main).toContainText('9 pods need 4500m of requests.cpu, and 4 of 4 is free for them. 8 fit.');
  await expect(field('Pods')).toHaveValue('9');
  await expect(field('Pods')).toHaveAttribute('aria-invalid', 'true');
  await expect(field('Image')).toHaveValue(image('room'));
  await expect(panel).toContainText('peaks at 6 of 4 cores');
  expect((await page.request.get(`${shop.path}/apps/${name}`)).status(), 'nothing was made').toBe(404);

  // The suggestion fills in what fits.
  await main.getByRole('button', { name: '8', exact: true }).click();
  await expect(field('Pods')).toHaveValue('8');
  await expect(verdict).toContainText('not while it changes');
  await field('Pods').fill('2');
  await submit('Deploy');
  await expect(page).toHaveURL(new RegExp(`/apps/${name}$`));
  await shop.phase(name, 'Ready');

  // Its own pods are not in its way: 2 of them, and 8 fit.
  await page.goto(`${shop.path}/apps/${name}/scale`);
  await expect(panel).toContainText('this app 1 now');
  await field('Pods').fill('12');
  await counted();
  await expect(verdict).toContainText('It does not fit');
  await submit('Scale');
  await expect(main).toContainText('12 pods need 6 of requests.cpu, and 4 of 4 is free for them. 8 fit.');
  await expect(field('Pods')).toHaveValue('12');
  expect((await shop.app(name)).spec.components[0].replicas).toBe(2);
  await page.setViewportSize({ width: 360, height: 800 });
  await expectNoSideways(page, 'scaling beyond the quota on a phone');
});

test('the REST API says the same, and lets itself be told otherwise', async ({ shop, portal }, info) => {
  test.skip(!scripts(info), 'it needs no page');
  const apps = '/tenants/shop/namespaces/dev/apps';
  const big = spec(image('big'), { replicas: 40, resources });
  const tried = await portal.api(shop.token, 'POST', `${apps}/preflight`, { spec: big });
  expect(tried.passes).toBe(false);
  expect(tried.policyAsked).toBe(true);
  expect(tried.errors.map((e) => [e.field, e.code])).toContainEqual(['spec.components[0].replicas', 'quota_replicas']);
  expect(tried.headroom.find((key) => key.resource === 'pods')).toMatchObject({ limit: '20', rest: '40', peak: '50' });
  await expect(portal.api(shop.token, 'POST', apps, { name: 'big', spec: big })).rejects.toThrow(/403 .*quota-exceeded/);
  await portal.api(shop.token, 'POST', `${apps}?preflight=skip`, { name: 'big', spec: big });
  await portal.api(shop.token, 'DELETE', `${apps}/big`);
});
