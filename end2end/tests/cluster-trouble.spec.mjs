// Trouble with a real cluster (`cargo xtask test --cluster`): what people see meanwhile, what is refused and why, and that all
// goes on by itself afterwards.
import { expect, image, spec, test } from '../support/fixtures.mjs';
import { kubectl, withCluster } from '../support/portal.mjs';

/** How `cargo xtask cluster` makes it and ends it; what is said on pages, and what of a change, where it is refused. */
const TROUBLE = [
  {
    name: 'the API server is stopped',
    begin: ['stop', 'api-server'],
    end: ['start', 'api-server'],
    banner: /as of \d\d:\d\d:\d\d/,
    refused: /^PATCH .*: 503 .*the cluster does not answer/,
  },
  {
    name: 'etcd is stopped',
    begin: ['stop', 'etcd'],
    end: ['start', 'etcd'],
    refused: /^PATCH .*: 503 .*the cluster does not answer/,
  },
  { name: "etcd's disk is full", begin: ['fill'], end: ['empty'], refused: /^PATCH .*: 422 .*its storage is full/ },
  { name: 'the API server is slow', begin: ['slow'], end: ['thaw'] },
];

for (const [index, { name, begin, end, banner, refused }] of TROUBLE.entries()) {
  test(name, async ({ signedIn: page, shop }) => {
    test.setTimeout(420_000);
    const app = `web-${index}`;
    const change = () => shop.change(app, spec(image('web', '2.0.0')));
    await shop.deploy(app, spec(image('web')));
    await shop.phase(app, 'Ready');
    await withCluster(...begin);
    try {
      await expect(async () => {
        // Rendered by the server, not only told by the stream: so the page is asked for anew.
        const answer = await page.goto(`${shop.path}/apps`);
        expect(answer.status()).toBe(200);
        await expect(page.getByRole('main').getByRole('link', { name: app })).toBeVisible();
        if (banner) await expect(page.locator('#stale')).toContainText(banner, { timeout: 500 });
      }).toPass({ timeout: 120_000 });
      if (refused) await expect(change()).rejects.toThrow(refused);
      else await change();
    } finally {
      await withCluster(...end);
    }
    await expect(page.locator('#stale')).toBeEmpty({ timeout: 120_000 });
    // What was refused is taken now, without anybody having mended the portal.
    if (refused) await expect(change).toPass({ timeout: 120_000 });
    await expect.poll(async () => (await shop.app(app)).status?.revision, { timeout: 120_000 }).toBe(2);
    await expect.poll(async () => (await shop.app(app)).status?.phase, { timeout: 120_000 }).toBe('Ready');
  });
}

/**
 * Three ways to lose a node: it ends, it runs on and nobody hears of it, so that its pods cannot be ended either, or it has no room and
 * evicts them. Evicted pods stay, to tell why (`left`).
 */
const LOST = [
  { name: 'a node is switched off', begin: 'off', end: 'on', app: 'spread' },
  { name: "a node's cable is pulled", begin: 'unplug', end: 'plug', app: 'apart' },
  { name: "a node's disk is full", begin: 'fill', end: 'empty', app: 'bulky', left: 'Evicted' },
];

for (const { name, begin, end, app, left } of LOST) {
  test(name, async ({ signedIn: page, shop, portal }) => {
    test.setTimeout(420_000);
    const pods = async () => (await portal.api(shop.token, 'GET', `/tenants/shop/namespaces/dev/pods?app=${app}`)).items;
    const running = async () => (await pods()).filter((pod) => pod.phase === 'running');
    await shop.deploy(app, spec(image(app), { expose: { type: 'Internal' } }));
    await shop.phase(app, 'Ready');
    // Not the first: it is this machine's own way to the Services.
    const { node, name: lost } = (await running()).find((pod) => pod.node !== 'node1');
    const address = await kubectl('get', 'service', '-A', '-l', `berth.dev/app=${app}`, '-o', 'jsonpath={.items[0].spec.clusterIP}');
    const ask = () => fetch(`http://${address}:8080/`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(2_000) });
    await withCluster(begin, node);
    try {
      await page.goto(`${shop.path}/apps/${app}/pods`);
      // The pod that nobody hears of any more is not called running; its successor is elsewhere.
      const moved = async () => {
        const all = await running();
        return all.length === 2 && all.every((pod) => pod.node !== node);
      };
      await expect.poll(moved, { timeout: 180_000, message: 'two pods on other nodes' }).toBe(true);
      await expect(page.locator('#app-state')).toContainText('2 of 2');
      // Also where its process ended in peace, which Kubernetes calls a success.
      if (left) await expect(page.getByRole('row').filter({ hasText: lost })).toContainText(left);
      // The Service leads to none of what is lost.
      await expect(async () => {
        for (let asked = 0; asked < 50; asked += 1) expect((await ask()).ok).toBe(true);
      }).toPass({ timeout: 60_000 });
    } finally {
      await withCluster(end, node);
    }
    await shop.phase(app, 'Ready');
    // What nobody needs to know about goes.
    const others = async () => (await pods()).filter((pod) => pod.phase !== 'running');
    const seen = left ? 'toBeGreaterThan' : 'toBe';
    await expect.poll(async () => (await others()).length, { timeout: 120_000 })[seen](0);
    await expect.poll(async () => (await running()).length, { timeout: 120_000 }).toBe(2);
  });
}
