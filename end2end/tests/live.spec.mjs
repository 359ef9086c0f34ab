// What moves by itself: pods, tabs that share a stream, a cluster that goes away.
import { expect, image, spec, test } from '../support/fixtures.mjs';

test('the palette opens by keyboard, finds an app and goes there', async ({ signedIn: page, shop }) => {
  await shop.deploy('checkout', spec(image('checkout')));
  await page.goto('/');
  await page.keyboard.press('Control+k');
  const palette = page.getByRole('dialog');
  await expect(palette).toBeVisible();
  const box = palette.getByRole('combobox').or(palette.getByRole('searchbox')).first();
  await expect(box).toBeFocused();
  await box.fill('checkout');
  await expect(palette.getByRole('option', { name: /checkout/ }).first()).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(palette).toBeHidden();
  await page.keyboard.press('Control+k');
  await box.fill('checkout');
  await expect(palette.getByRole('option', { name: /checkout/ }).first()).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`${shop.path}/apps/checkout$`));
});

test('Enter in the palette goes where the typed words lead, however fast it comes', async ({ signedIn: page, shop }) => {
  await shop.deploy('swift', spec(image('swift'), { replicas: 1 }));
  // The list of an earlier question stands there while the answer to this one is late.
  await page.route(/search\?part=hits&q=swift$/, async (route) => {
    await new Promise((later) => setTimeout(later, 500));
    await route.continue();
  });
  await page.goto(`${shop.path}/apps`);
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('dialog').getByRole('option').first()).toBeVisible();
  await page.keyboard.type('swift');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`${shop.path}/apps/swift$`));
});

test('what is typed stays while the page changes around it', async ({ signedIn: page, shop }) => {
  await shop.deploy('steady', spec(image('steady')));
  await page.goto(`${shop.path}/apps`);
  const filter = page.getByRole('searchbox').first();
  await filter.fill('half a wo');
  await shop.deploy('newcomer', spec(image('newcomer')));
  await expect(page.getByRole('main').getByRole('link', { name: 'newcomer' })).toBeVisible();
  await expect(filter).toHaveValue('half a wo');
  await expect(filter).toBeFocused();
});

test('tabs on the same page share one stream, and it moves on when its tab closes', async ({ signedIn: page, shop }) => {
  await shop.deploy('shared', spec(image('shared')));
  const streams = new Map();
  const follow = (tab) => {
    tab.on('request', (request) => request.url().includes('/live?') && streams.set(request, tab));
    tab.on('requestfailed', (request) => streams.delete(request));
    tab.on('requestfinished', (request) => streams.delete(request));
  };
  follow(page);
  const path = `${shop.path}/apps/shared`;
  await page.goto(path);
  await expect.poll(() => streams.size).toBe(1);
  const second = await page.context().newPage();
  follow(second);
  await second.goto(path);
  await shop.change('shared', { components: [{ name: 'main', image: image('shared'), replicas: 1 }] });
  await expect(second.getByRole('main')).toContainText('1 of 1 ready', { timeout: 30_000 });
  // Chromium here has Web Locks and BroadcastChannel: the second tab must not have opened a stream of its own.
  expect([...streams.values()].filter((tab) => tab === second)).toHaveLength(0);
  await page.goto('about:blank');
  await shop.change('shared', { components: [{ name: 'main', image: image('shared'), replicas: 3 }] });
  await expect(second.getByRole('main')).toContainText('3 of 3 ready', { timeout: 30_000 });
  await second.close();
});

test('from a click to the first change on screen', async ({ signedIn: page, shop }, info) => {
  await shop.deploy('quick', spec(image('quick'), { replicas: 1 }));
  await shop.phase('quick', 'Ready');
  await page.goto(`${shop.path}/apps/quick/scale`);
  // By the page's own clock: what drives the browser takes longer than the change itself.
  await page.addInitScript(() => {
    addEventListener('click', () => sessionStorage.setItem('clicked', String(Date.now())), true);
    const look = () => {
      const clicked = sessionStorage.getItem('clicked');
      const pods = [...document.querySelectorAll('main a[href*="/pods/quick-"]')].map((link) => link.pathname);
      if (!clicked || new Set(pods).size < 2) return;
      sessionStorage.removeItem('clicked');
      sessionStorage.setItem('took', String(Date.now() - Number(clicked)));
    };
    addEventListener('DOMContentLoaded', () => {
      look();
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
  });
  await page.reload();
  await page.getByLabel('Pods', { exact: true }).fill('3');
  await page.getByRole('main').getByRole('button', { name: 'Scale' }).click();
  await expect.poll(() => page.evaluate(() => sessionStorage.getItem('took'))).not.toBeNull();
  const took = Number(await page.evaluate(() => sessionStorage.getItem('took')));
  info.annotations.push({ type: 'figure', description: `click to the first new pod on screen: ${took} ms` });
  console.log(`    click to the first new pod on screen: ${took} ms (goal 300, on a quiet machine)`);
  // The goal is the bench's; here the browser, the server and perhaps a compiler share two cores.
  expect(took).toBeLessThan(5_000);
});

test('the log follows, pauses and filters', async ({ signedIn: page, shop }) => {
  await shop.deploy('talker', spec('sim.berth.dev/chatty', { replicas: 1 }));
  await shop.phase('talker', 'Ready');
  await page.goto(`${shop.path}/apps/talker/logs`);
  const lines = page.getByRole('log');
  await expect(lines).toBeVisible();
  const count = () => lines.evaluate((element) => element.textContent.length);
  const before = await count();
  await expect.poll(count).toBeGreaterThan(before);
});
