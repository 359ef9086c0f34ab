// Forms and YAML: what is wrong stands at its field, what was typed is kept, nothing is changed, nothing is dropped that the
// form does not show. With JavaScript (project `browser`) and without (`no-js`).
import { expect, expectAccessible, image, spec, test } from '../support/fixtures.mjs';

/** An app with much that the form does not show. */
const RICH = {
  components: [
    {
      name: 'main',
      image: image('rich'),
      replicas: 1,
      command: ['/bin/serve'],
      args: ['--verbose'],
      ports: [{ port: 8080 }, { name: 'metrics', port: 9090 }],
      env: [{ name: 'GREETING', value: 'ahoy' }, { name: 'PASSWORD', secret: { name: 'db', key: 'password', optional: true } }],
      volumes: [{ name: 'cache', mountPath: '/cache', emptyDir: {} }],
      initContainers: [{ name: 'migrate', image: image('migrate') }],
    },
    { name: 'worker', image: image('worker'), replicas: 1 },
  ],
};

const named = (name, info) => `${name}-${info.project.name.replace(/[^a-z]/g, '')}`;
const submit = (main, name) => main.getByRole('button', { name, exact: true }).click();

test('wrong name, image and quantity: a message at each field, all that was typed is kept, nothing is made', async ({ signedIn: page, shop }) => {
  const main = page.getByRole('main');
  await page.goto(`${shop.path}/apps/new`);
  const typed = { Name: 'Web Shop', Image: 'https://nginx', Pods: 'many', 'Memory each': '1Gb', Port: '99999' };
  const field = (label) => main.getByLabel(label, { exact: true });
  for (const [label, value] of Object.entries(typed)) {
    // A field for numbers takes no letters from the keyboard.
    if (label === 'Pods') continue;
    await field(label).fill(value);
  }
  await field('CPU each').fill('half');
  await submit(main, 'Deploy');
  await expect(main.getByRole('alert').first()).toContainText(/\d fields need another value/);
  for (const [label, value] of Object.entries({ ...typed, 'CPU each': 'half' })) {
    if (label === 'Pods') continue;
    await expect(field(label), label).toHaveValue(value);
    await expect(field(label), label).toHaveAttribute('aria-invalid', 'true');
    // The message is the field's own: what a screen reader says with it.
    const message = await field(label).getAttribute('aria-describedby');
    expect(message, label).toBeTruthy();
  }
  await expect(main).toContainText('Use a–z, 0–9 and - only');
  await expect(main).toContainText('Leave out https://');
  await expect(main).toContainText('“Gb” is no unit');
  await expectAccessible(page, 'a form that was refused');
  // Taking a suggestion fills the field in, and does no more.
  await main.getByRole('button', { name: '1Gi', exact: true }).click();
  await expect(field('Memory each')).toHaveValue('1Gi');
  await page.goto(`${shop.path}/apps?q=web-shop`);
  await expect(main).not.toContainText('Web Shop');
});

test('YAML: unknown fields, wrong units, aliases, another name: each at its line, the text is kept, nothing is changed', async ({ signedIn: page, shop }, info) => {
  const main = page.getByRole('main');
  const name = named('yaml', info);
  await shop.deploy(name, spec(image('yaml'), { replicas: 1 }));
  await expect.poll(async () => (await page.goto(`${shop.path}/apps/${name}/yaml`)).status()).toBe(200);
  const area = main.getByLabel('The app as YAML');
  const right = await area.inputValue();
  const cases = [
    [right.replace('replicas:', 'replica:'), /Line \d+.*replica\b/],
    [right.replace(/replicas: 1/, 'replicas: 1\n    resources:\n      requests:\n        memory: 1Gb'), /Line \d+.*Gb/],
    [right.replace(`name: ${name}`, 'name: another'), /metadata\.name/],
    [right.replace('kind: App', 'kind: &kind App'), /\S/],
    ['components: [', /\S/],
  ];
  for (const [wrong, message] of cases) {
    await area.fill(wrong);
    await submit(main, 'Save');
    await expect(main.getByRole('alert')).toContainText(message);
    await expect(area).toHaveValue(wrong);
  }
  await expectAccessible(page, 'YAML that was refused');
  const now = await shop.app(name);
  expect(now.spec.components[0].replicas).toBe(1);
  expect(now.generation).toBe(1);
});

test('a form never drops what it does not show', async ({ signedIn: page, shop }, info) => {
  const main = page.getByRole('main');
  const name = named('rich', info);
  await shop.deploy(name, RICH);
  await expect.poll(async () => (await page.goto(`${shop.path}/apps/${name}/configuration`)).status()).toBe(200);
  await main.getByLabel('Image', { exact: true }).fill(image('rich', '2.0.0'));
  // By way of the YAML and back, which must not drop it either.
  await main.getByRole('button', { name: 'YAML', exact: true }).click();
  await expect(main.getByLabel('The app as YAML')).toHaveValue(/mountPath: \/cache/);
  await main.getByRole('button', { name: 'Form', exact: true }).click();
  await expect(main.getByLabel('Image', { exact: true })).toHaveValue(image('rich', '2.0.0'));
  await submit(main, 'Save');
  await expect(page).toHaveURL(new RegExp(`/apps/${name}$`));
  const [component, worker] = (await shop.app(name)).spec.components;
  expect(component).toEqual({ ...RICH.components[0], image: image('rich', '2.0.0') });
  expect(worker).toEqual(RICH.components[1]);
});

test('a preview shows what would be in the cluster, and changes nothing', async ({ signedIn: page, shop }, info) => {
  const main = page.getByRole('main');
  const name = named('preview', info);
  await page.goto(`${shop.path}/apps/new`);
  await main.getByLabel('Name', { exact: true }).fill(name);
  await main.getByLabel('Image', { exact: true }).fill(image('preview'));
  await main.getByLabel('Pods', { exact: true }).fill('2');
  await main.getByLabel('Port', { exact: true }).fill('8080');
  await main.getByLabel('Who can reach it').selectOption('Ingress');
  await main.getByLabel('Host name').fill('preview.example.com');
  await submit(main, 'Preview');
  const plan = main.getByRole('region', { name: 'What would be in the cluster' });
  for (const kind of ['Deployment', 'Service', 'Ingress', 'PodDisruptionBudget']) {
    await expect(plan).toContainText(`${kind}/${name}`);
  }
  await plan.locator('summary', { hasText: 'Ingress/' }).click();
  await expect(plan).toContainText('host: preview.example.com');
  await expectAccessible(page, 'a preview');
  expect((await page.goto(`${shop.path}/apps/${name}`)).status()).toBe(404);

  await shop.deploy(name, spec(image('preview'), { replicas: 2 }));
  await expect.poll(async () => (await page.goto(`${shop.path}/apps/${name}/configuration`)).status()).toBe(200);
  await main.getByLabel('Pods', { exact: true }).fill('5');
  await submit(main, 'Preview');
  await expect(plan.locator('.del')).toContainText('replicas: 2');
  await expect(plan.locator('.add')).toContainText('replicas: 5');
  expect((await shop.app(name)).spec.components[0].replicas).toBe(2);
});

test('what somebody else saved meanwhile is shown, not lost', async ({ signedIn: page, shop }, info) => {
  const main = page.getByRole('main');
  const name = named('busy', info);
  await shop.deploy(name, spec(image('busy'), { replicas: 1 }));
  await expect.poll(async () => (await page.goto(`${shop.path}/apps/${name}/configuration`)).status()).toBe(200);
  await main.getByLabel('Image', { exact: true }).fill(image('busy', '2.0.0'));
  await shop.change(name, spec(image('busy'), { replicas: 3 }));
  await submit(main, 'Save');
  await expect(main).toContainText('Somebody changed this app meanwhile');
  await expect(main.getByLabel('Image', { exact: true })).toHaveValue(image('busy', '2.0.0'));
  await expect(main.getByLabel('Pods', { exact: true })).toHaveValue('3');
  expect((await shop.app(name)).spec.components[0].image).toBe(image('busy'));
});
