// The main job, start to end, as a person does it: with JavaScript (project `browser`) and without (`no-js`).
import { account, expect, signInFirst, test } from '../support/fixtures.mjs';

const GOOD = 'registry.example/shop/web:1.0.0';
const MISSING = 'registry.example/shop/web:missing';

/** Without JavaScript a page shows news when it is asked again; with it, by itself. */
async function until(page, noJs, check) {
  if (!noJs) return check({ timeout: 45_000 });
  await expect(async () => {
    await page.reload();
    await check({ timeout: 500 });
  }).toPass({ timeout: 45_000 });
}

test('from the first sign-in to an app that is deployed, watched, mended, changed and deleted', async ({ page, portal }, info) => {
  test.setTimeout(240_000);
  const noJs = info.project.use.javaScriptEnabled === false;
  const [captain, tenant] = noJs ? ['mate', 'quiet'] : ['captain', 'lively'];
  const oneTime = noJs ? await portal.createUser('mate', '--platform-admin') : portal.firstPassword;
  const main = page.getByRole('main');
  const eventually = (check) => until(page, noJs, check);
  const here = `${portal.url}/t/${tenant}/n/dev`;

  await test.step('sign in with the one-time password and set a new one', async () => {
    await signInFirst(page, portal, captain, oneTime);
  });

  await test.step('make a tenant and a namespace', async () => {
    await page.goto(`${portal.url}/admin/tenants/new`);
    await main.getByLabel('Name in URLs').fill(tenant);
    await main.getByLabel('Display name').fill(`The ${tenant} team`);
    await main.getByRole('button', { name: 'Create tenant' }).click();
    await page.goto(`${portal.url}/t/${tenant}/namespaces/new`);
    await main.getByLabel('Name', { exact: true }).fill('dev');
    await main.getByRole('button', { name: 'Create namespace' }).click();
    await page.goto(`${here}/apps`);
    await expect(main).toContainText('No apps here yet');
  });

  await test.step('a wrong name keeps what was typed and changes nothing', async () => {
    await main.getByRole('link', { name: 'Deploy your first app' }).click();
    await main.getByLabel('Name', { exact: true }).fill('Web Shop');
    await main.getByLabel('Image', { exact: true }).fill(GOOD);
    await main.getByRole('button', { name: 'Deploy', exact: true }).click();
    await expect(main.getByLabel('Name', { exact: true })).toHaveValue('Web Shop');
    await expect(main.getByLabel('Name', { exact: true })).toHaveAttribute('aria-invalid', 'true');
    await expect(main.getByLabel('Image', { exact: true })).toHaveValue(GOOD);
  });

  await test.step('deploy from an image and see its pods come up', async () => {
    await main.getByLabel('Name', { exact: true }).fill('web');
    await main.getByLabel('Pods', { exact: true }).fill('2');
    await main.getByRole('button', { name: 'Deploy', exact: true }).click();
    await expect(page).toHaveURL(`${here}/apps/web`);
    await eventually((within) => expect(main).toContainText('2 of 2 ready', within));
    await eventually((within) => expect(main.locator('#app-state')).toContainText('Ready', within));
    // The page was made before there was a pod to read from.
    await eventually((within) => expect(main.getByLabel('Last lines')).toContainText(/\d\d:\d\d:\d\d/, within));
  });

  await test.step('look at a pod, its events and its log', async () => {
    await sides(page).getByRole('link', { name: 'Pods' }).click();
    await expect(main.getByRole('table').getByRole('link', { name: /^web-/ })).toHaveCount(2);
    await sides(page).getByRole('link', { name: 'Events' }).click();
    await expect(main).toContainText('Scheduled');
    await sides(page).getByRole('link', { name: 'Logs' }).click();
    await expect(main.getByRole('log').or(main.locator('pre')).first()).toContainText(/\S/);
  });

  await test.step('an image that does not exist: the cause is a sentence', async () => {
    await main.getByRole('link', { name: 'Edit', exact: true }).click();
    await main.getByLabel('Image', { exact: true }).fill(MISSING);
    await main.getByRole('button', { name: 'Save' }).click();
    await page.goto(`${here}/apps/web`);
    await eventually((within) => expect(main.locator('#app-state')).toContainText('Degraded', within));
    await eventually((within) => expect(main).toContainText(`The image ${MISSING} cannot be pulled`, within));
    // What ran before goes on running.
    await expect(main).toContainText(/[12] of 2 ready/);
  });

  await test.step('roll back by the button beside the cause', async () => {
    await main.getByRole('link', { name: 'Back to revision 1' }).click();
    await expect(main).toContainText(`image: ${MISSING}`);
    await main.getByRole('button', { name: 'Back to revision 1' }).click();
    await expect(page).toHaveURL(new RegExp(`${here}/apps/web`));
    await eventually((within) => expect(main.locator('#app-state')).toContainText('Ready', within));
    await sides(page).getByRole('link', { name: 'Revisions' }).click();
    await expect(main.getByRole('row', { name: /current/ })).toContainText('3');
  });

  await test.step('scale', async () => {
    await main.getByRole('link', { name: 'Scale' }).click();
    await main.getByLabel('Pods', { exact: true }).fill('3');
    await main.getByRole('button', { name: 'Scale', exact: true }).click();
    await page.goto(`${here}/apps/web`);
    await eventually((within) => expect(main).toContainText('3 of 3 ready', within));
  });

  await test.step('change it in the form: an environment variable', async () => {
    await main.getByRole('link', { name: 'Edit', exact: true }).click();
    const variables = main.getByLabel('Variables');
    if (!(await variables.isVisible())) await main.locator('summary', { hasText: 'Environment' }).click();
    await variables.fill('GREETING=ahoy');
    await main.getByRole('button', { name: 'Save' }).click();
    await sides(page).getByRole('link', { name: 'YAML' }).click();
    await expect(main.getByLabel('The app as YAML')).toHaveValue(/GREETING/);
    await expect(main.getByLabel('The app as YAML')).toHaveValue(/replicas: 3/);
  });

  await test.step('delete it, after typing its name', async () => {
    await page.goto(`${here}/apps/web/delete`);
    await main.getByRole('button', { name: 'Delete this app' }).click();
    await expect(page).toHaveURL(/\/delete$/);
    await main.getByLabel('Type web to confirm').fill('web');
    await main.getByRole('button', { name: 'Delete this app' }).click();
    await page.goto(`${here}/apps`);
    await eventually((within) => expect(main).toContainText('No apps here yet', within));
  });

  await test.step('sign out', async () => {
    await page.goto(`${portal.url}/account`);
    await account(page, captain).click();
    await page.getByRole('banner').getByRole('button', { name: 'Sign out', exact: true }).click();
    await expect(page).toHaveURL(/\/sign-in/);
    await page.goto(`${here}/apps`);
    await expect(page).toHaveURL(/\/sign-in/);
  });
});

function sides(page) {
  return page.getByRole('navigation', { name: 'Sides of this app' });
}
