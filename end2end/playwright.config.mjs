// Run by `cargo xtask test --only browser`, which builds the server and names it in BERTH_BINARY and BERTH_SITE.
import { defineConfig } from '@playwright/test';

const report = process.env.BERTH_REPORT;
/** Whether the tests run on a real cluster. */
const real = Boolean(process.env.BERTH_TEST_KUBECONFIG);

/** What does something with the cluster; the other pages are the same on any. */
const cluster = ['main-job', 'live', 'elsewhere', 'cluster-away', 'cluster-trouble'];

/** What is also shown without JavaScript. */
const bothWays = ['main-job', 'access', 'adopt', 'forms', 'headroom', 'kubectl', 'life', 'links', 'mail', 'passkey', 'robots', 'second-factor', 'sign-in', 'webhooks'];

/** As root, in a sandbox without network: Chromium must not look for one. */
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export default defineConfig({
  testDir: 'tests',
  outputDir: 'test-results',
  // Each worker has a portal with its own embedded cluster; the real cluster is one for all.
  workers: real ? 1 : 2,
  timeout: 180_000,
  expect: { timeout: 10_000 },
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  reporter: report ? [['list'], ['json', { outputFile: report }]] : [['list']],
  use: {
    browserName: 'chromium',
    locale: 'en-GB',
    timezoneId: 'UTC',
    viewport: { width: 1280, height: 900 },
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
    actionTimeout: 10_000,
    navigationTimeout: 20_000,
    launchOptions: { executablePath: process.env.BERTH_CHROMIUM || '/usr/bin/chromium', args },
  },
  projects: [
    { name: 'browser', testIgnore: ['screenshots.spec.mjs', ...(real ? [] : ['cluster-trouble.spec.mjs'])] },
    ...(real ? [{ name: 'cluster', testMatch: cluster.map((name) => `${name}.spec.mjs`) }] : []),
    { name: 'no-js', testMatch: bothWays.map((name) => `${name}.spec.mjs`), use: { javaScriptEnabled: false } },
    ...(process.env.BERTH_SCREENSHOTS ? [{ name: 'screenshots', testMatch: 'screenshots.spec.mjs' }] : []),
  ],
});
