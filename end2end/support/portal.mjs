// A portal of one's own: a real `berth serve` on a free port with a fresh data folder, gone with the test's worker.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import https from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

function binary() {
  const path = process.env.BERTH_BINARY;
  if (!path) throw new Error('BERTH_BINARY is not set: run the browser tests with `cargo xtask test --only browser`');
  return path;
}

async function freePort() {
  const server = createServer();
  await new Promise((done, failed) => server.once('error', failed).listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Resolves when `check` does; says what the process printed when it ends before or takes too long. */
async function until(what, child, check, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check().catch(() => undefined);
    if (value) return value;
    if (child.process.exitCode !== null) throw new Error(`${what}: it ended\n${child.log()}`);
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s\n${child.log()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

function start(args, env = {}) {
  const lines = [];
  const child = spawn(binary(), args, { env: { ...process.env, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      lines.push(text);
      if (lines.length > 2000) lines.splice(0, 1000);
    });
  }
  return { process: child, log: () => lines.join('') };
}

async function stop(child) {
  if (child.process.exitCode !== null || child.process.signalCode !== null) return;
  const ended = new Promise((done) => child.process.once('exit', done));
  // SIGCONT first: a stopped process handles no other signal.
  child.process.kill('SIGCONT');
  child.process.kill('SIGTERM');
  const hard = setTimeout(() => child.process.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(hard);
}

/** The embedded cluster in a process of its own, so that it can go away while the portal stays. */
export async function startCluster(folder) {
  const port = await freePort();
  const kubeconfig = join(folder, 'kubeconfig');
  const args = ['sim', '--listen', `127.0.0.1:${port}`, '--data', join(folder, 'cluster'), '--kubeconfig-out', kubeconfig];
  const child = start(args);
  await until('berth sim', child, () => readFile(kubeconfig, 'utf8'));
  return { child, kubeconfig };
}

/** An agent that leads to it, and calls the portal at `server`. */
export function startAgent(server, tokenFile, cluster) {
  return start(['agent', '--server', server, '--token-file', tokenFile, '--kubeconfig', cluster.kubeconfig]);
}

/** Ends what was started. */
export const stopAgent = (child) => stop(child);

/** Ends it. */
export async function stopCluster(cluster) {
  await stop(cluster.child);
}

/** A real cluster to run on (`cargo xtask test --cluster`) instead of the embedded one. */
const KUBECONFIG = process.env.BERTH_TEST_KUBECONFIG;

/** Receivers of webhooks run beside the tests. */
const HOOKS = { BERTH_WEBHOOK_RANGES: '127.0.0.0/8' };

/** There, tests ask apps from this machine and through the nodes, which are no pods: the networks of test clusters. */
const REACHED_FROM = KUBECONFIG ? { BERTH_TENANTS_REACHED_FROM: 'ingress,172.31.0.0/16' } : {};

/** What the real cluster's administrator is told. */
export async function kubectl(...args) {
  return (await run('kubectl', ['--kubeconfig', KUBECONFIG, ...args], { timeout: 120_000 })).stdout;
}

/** Removes what portals before have made in the real cluster, as nobody will use it any more. */
async function emptyCluster() {
  await kubectl('delete', 'namespace', '--selector', 'app.kubernetes.io/managed-by=berth', '--ignore-not-found');
}

/** Does something with the real cluster itself, by `cargo xtask cluster`. */
export async function withCluster(...command) {
  await run(process.env.BERTH_XTASK, ['cluster', '--name', process.env.BERTH_TEST_CLUSTER, ...command]);
}

export class Portal {
  /**
   * @param {{ apart?: boolean, named?: boolean, env?: Record<string, string> }} options `apart`: with the cluster in another process;
   * `named`: at `localhost`, which it knows; `env`: settings as variables.
   */
  static async start({ apart = false, named = false, env = {} } = {}) {
    const portal = new Portal();
    portal.env = env;
    portal.folder = await mkdtemp(join(tmpdir(), 'berth-e2e-'));
    portal.data = join(portal.folder, 'data');
    portal.port = await freePort();
    portal.url = `http://${named ? 'localhost' : '127.0.0.1'}:${portal.port}`;
    if (named) portal.env = { ...env, BERTH_PUBLIC_URL: portal.url };
    if (KUBECONFIG) portal.cluster = { kubeconfig: KUBECONFIG };
    else if (apart) portal.cluster = await startCluster(portal.folder);
    portal.firstPassword = await portal.createUser('captain', '--platform-admin');
    await portal.serve();
    return portal;
  }

  async serve() {
    const cluster = this.cluster ? ['--kubeconfig', this.cluster.kubeconfig] : ['--sim'];
    this.child = start(['serve', '--listen', `127.0.0.1:${this.port}`, '--data', this.data, ...cluster], { ...REACHED_FROM, ...HOOKS, ...this.env });
    await until('berth serve', this.child, async () => (await fetch(`${this.url}/readyz`)).ok);
  }

  /** A person's one-time password. */
  async createUser(name, ...args) {
    return this.#oneTimePassword(['admin', 'create-user', name, ...args]);
  }

  /** A new one-time password for a person. */
  async resetPassword(name) {
    return this.#oneTimePassword(['admin', 'reset-password', name]);
  }

  async #oneTimePassword(args) {
    const { stdout } = await run(binary(), [...args, '--data', this.data]);
    const password = stdout.match(/^one-time password: (\S+)$/m)?.[1];
    if (!password) throw new Error(`no one-time password in: ${stdout}`);
    return password;
  }

  /** A token for the REST API. */
  async createToken(name) {
    const { stdout } = await run(binary(), ['admin', 'create-token', name, '--data', this.data]);
    return stdout.trim();
  }

  /** Calls the REST API and throws unless it says yes. */
  async api(token, method, path, body) {
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** Makes an object in the cluster, past the portal. Only when it is `apart`. */
  async make(path, object) {
    const file = await readFile(this.cluster.kubeconfig, 'utf8');
    const [server, ca, token] = ['server', 'certificate-authority-data', 'token'].map((key) => file.match(new RegExp(`${key}: (\\S+)`))[1]);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const status = await new Promise((done, failed) => {
      const ask = https.request(server + path, { method: 'POST', ca: Buffer.from(ca, 'base64'), headers }, (answer) => {
        answer.resume();
        answer.once('end', () => done(answer.statusCode));
      });
      ask.once('error', failed);
      ask.end(JSON.stringify(object));
    });
    if (status !== 201) throw new Error(`POST ${path}: ${status}`);
  }

  /** The cluster answers nobody any more, as one whose network is gone. Only when it is `apart`. */
  async freezeCluster() {
    if (KUBECONFIG) return withCluster('freeze');
    this.cluster.child.process.kill('SIGSTOP');
  }

  async thawCluster() {
    if (KUBECONFIG) return withCluster('thaw');
    this.cluster.child.process.kill('SIGCONT');
  }

  log() {
    return this.child.log();
  }

  async stop() {
    await stop(this.child);
    if (KUBECONFIG) await emptyCluster();
    else if (this.cluster) await stop(this.cluster.child);
    await rm(this.folder, { recursive: true, force: true });
  }
}
