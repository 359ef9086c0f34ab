// An identity provider that is none of ours (npm's oidc-provider), as the test cluster runs it, on loopback.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../cluster/services/oidc', import.meta.url));
export const CLIENT = 'berth';
export const SECRET = 'oidc-for-tests';

const PACKAGES = join(SOURCE, 'node_modules');

/** Whether its packages are where `cargo xtask test` installs them. */
export function installed() {
  return existsSync(join(PACKAGES, 'oidc-provider'));
}

export class Provider {
  static async start() {
    const provider = new Provider();
    provider.folder = await mkdtemp(join(tmpdir(), 'berth-oidc-'));
    for (const name of ['package.json', 'accounts.json', 'pages.mjs', 'provider.mjs']) {
      await cp(join(SOURCE, name), join(provider.folder, name));
    }
    await symlink(PACKAGES, join(provider.folder, 'node_modules'));
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
