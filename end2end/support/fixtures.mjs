// What every spec has: a portal of the worker's own, people in it, a namespace with apps.
import { test as base, expect } from '@playwright/test';
import AxeBuilder from '@axe-core/playwright';

import { Portal } from './portal.mjs';

export { expect };

export const PASSWORD = 'harbour lights at nine';

/** Signs in with a one-time password and sets one of one's own, through the forms. */
export async function signInFirst(page, portal, name, oneTime) {
  await page.goto(`${portal.url}/`);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(oneTime);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByLabel('One-time password').fill(oneTime);
  await page.getByLabel('New password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('New password, once more').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set password' }).click();
  await expect(account(page, name)).toBeVisible();
}

/** The menu of the one who is signed in. */
export function account(page, name) {
  return page.getByLabel(`Account of ${name}`);
}

/** The cookies of a new session of `name`, whose password is set on the way; by forms, without a browser. */
async function session(portal, name, oneTime, request) {
  const origin = portal.url;
  const post = async (path, form) => {
    const answer = await request.post(origin + path, { form, headers: { origin }, maxRedirects: 0 });
    expect(answer.status(), `POST ${path}: ${await answer.text()}`).toBe(303);
  };
  await post('/sign-in', { name, password: oneTime });
  await post('/password', { current: oneTime, new: PASSWORD, again: PASSWORD });
  return request.storageState();
}

export const image = (name, tag = '1.0.0') => `registry.example/shop/${name}:${tag}`;

/** An app's spec as the REST API takes it. */
export function spec(image, more = {}) {
  return { components: [{ name: 'main', image, replicas: 2, ports: [{ port: 8080 }], ...more }] };
}

export const test = base.extend({
  /** Whether the cluster runs in a process of its own. */
  apart: [false, { option: true, scope: 'worker' }],

  portal: [
    async ({ apart }, use) => {
      const portal = await Portal.start({ apart });
      await use(portal);
      await portal.stop();
    },
    { scope: 'worker', timeout: 120_000 },
  ],

  /** An admin who is signed in, a tenant `shop` with a namespace `dev`, and a token for the REST API. */
  shop: [
    async ({ portal, playwright }, use) => {
      const oneTime = await portal.createUser('harbourmaster', '--platform-admin');
      const token = await portal.createToken('harbourmaster');
      const request = await playwright.request.newContext();
      const state = await session(portal, 'harbourmaster', oneTime, request);
      await request.dispose();
      await portal.api(token, 'POST', '/tenants', { name: 'shop', displayName: 'Web shop' });
      await portal.api(token, 'POST', '/tenants/shop/namespaces', { name: 'dev' });
      const apps = '/tenants/shop/namespaces/dev/apps';
      await use({
        state,
        token,
        path: '/t/shop/n/dev',
        deploy: (name, spec) => portal.api(token, 'POST', apps, { name, spec }),
        change: (name, spec) => portal.api(token, 'PATCH', `${apps}/${name}`, { spec }),
        app: (name) => portal.api(token, 'GET', `${apps}/${name}`),
        /** Waits until the app is as it should be. */
        async phase(name, phase) {
          const seen = async () => (await this.app(name)).status?.phase;
          await expect.poll(seen, { timeout: 45_000, message: `${name} is ${phase}` }).toBe(phase);
        },
      });
    },
    { scope: 'worker', timeout: 120_000 },
  ],

  /** A page of somebody who is signed in. */
  signedIn: async ({ browser, shop, portal }, use, info) => {
    const { viewport, colorScheme, locale, timezoneId, javaScriptEnabled } = info.project.use;
    const options = { viewport, colorScheme, locale, timezoneId, javaScriptEnabled };
    const context = await browser.newContext({ ...options, storageState: shop.state, baseURL: portal.url });
    const page = await context.newPage();
    const wrong = collectErrors(page);
    await use(page);
    await context.close();
    expect(wrong, 'errors in the console').toEqual([]);
  },
});

/** Everything a page complains about: uncaught errors, refused by the CSP, failed to load. */
export function collectErrors(page) {
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('console', (message) => {
    // A form that is refused answers 422, or 409: Chromium calls that an error, we do not.
    if (message.type() === 'error' && !/status of 4(03|04|09|22|29)/.test(message.text())) wrong.push(message.text());
  });
  return wrong;
}

/** What of a page depends on its colours. */
export const COLOURS = ['color-contrast', 'link-in-text-block'];

/** No violation of WCAG 2.2 AA that axe can see, or of `rules` alone. It is a script: without JavaScript nothing can be said. */
export async function expectAccessible(page, what, rules) {
  if (test.info().project.use.javaScriptEnabled === false) return;
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const axe = new AxeBuilder({ page });
  // In one go: only pages with frames of other sites need another, for which it opens a page of its own.
  axe.setLegacyMode(true);
  const { violations } = await (rules ? axe.withRules(rules) : axe.withTags(tags)).analyze();
  const seen = violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((n) => n.html).join('\n  ')}`);
  expect(seen, `axe on ${what}`).toEqual([]);
}

/** Nothing stands out to the right. */
export async function expectNoSideways(page, what) {
  const wide = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    return [...document.querySelectorAll('body *')]
      .filter((element) => element.getBoundingClientRect().right > clientWidth + 1)
      .map((element) => element.outerHTML.slice(0, 120));
  });
  expect(wide, `wider than the screen: ${what}`).toEqual([]);
}
