// An identity provider that is none of ours (npm's oidc-provider), as the test cluster runs it, on loopback.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../cluster/services/oidc', import.meta.url));
export const CLIENT = 'berth';
export const SECRET = 'oidc-for-tests';

/** Where its packages are: beside its source, or where `cargo xtask cluster` installed them; undefined when nowhere. */
export async function packages() {
  const cache = join(process.env.BERTH_CACHE ?? join(homedir(), '.cache/berth'), 'cluster');
  const kept = await readdir(cache).catch(() => []);
  const services = kept.filter((name) => name.startsWith('service-oidc-')).map((name) => join(cache, name, 'node_modules'));
  return [join(SOURCE, 'node_modules'), ...services].find((place) => existsSync(join(place, 'oidc-provider')));
}

export class Provider {
  static async start() {
    const provider = new Provider();
    provider.folder = await mkdtemp(join(tmpdir(), 'berth-oidc-'));
    for (const name of ['package.json', 'accounts.json', 'pages.mjs', 'provider.mjs']) {
      await cp(join(SOURCE, name), join(provider.folder, name));
    }
    await symlink(await packages(), join(provider.folder, 'node_modules'));
    const server = createServer();
    await new Promise((done, failed) => server.once('error', failed).listen(0, '127.0.0.1', done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    provider.issuer = `http://127.0.0.1:${port}`;
    const args = ['provider.mjs', '--issuer', provider.issuer, '--client', CLIENT, '--secret', SECRET];
    provider.process = spawn(process.execPath, args, { cwd: provider.folder, stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise((done, failed) => {
      provider.process.once('exit', (code) => failed(new Error(`the provider ended with ${code}`)));
      provider.process.stdout.on('data', (text) => String(text).includes('listening at') && done());
    });
    return provider;
  }

  async stop() {
    const ended = new Promise((done) => this.process.once('exit', done));
    this.process.kill();
    await ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}
