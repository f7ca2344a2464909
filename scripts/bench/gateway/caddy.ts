/** The rival: Caddy with one site per preview, as its route files would have it. Null, with a word about it, where there is no Caddy. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../test/support/free-port.ts';
import { get } from '../../demo/steady-load.ts';

export interface Caddy extends AsyncDisposable {
  readonly version: string;
  readonly port: number;
}

export async function aCaddy(previews: number, appPort: number): Promise<Caddy | null> {
  const version = spawnSync('caddy', ['version'], { encoding: 'utf8' });
  if (version.error !== undefined) {
    console.error('Caddy is left out: it is not installed.');
    return null;
  }
  const directory = mkdtempSync(join(tmpdir(), 'berth-bench-caddy-'));
  const port = await freePort();
  const sites = Array.from(
    { length: previews },
    (_, at) => `http://shop-${at + 1}.localhost:${port} {\n\treverse_proxy 127.0.0.1:${appPort}\n}\n`,
  );
  const config = join(directory, 'Caddyfile');
  writeFileSync(config, `{\n\tadmin off\n\tauto_https off\n}\n${sites.join('')}`);
  const child = spawn('caddy', ['run', '--config', config, '--adapter', 'caddyfile'], {
    stdio: 'ignore',
    env: { ...process.env, HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory },
  });
  while (!(await answers(port, previews))) await new Promise((done) => setTimeout(done, 50));
  return {
    version: version.stdout.trim(),
    port,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      rmSync(directory, { recursive: true });
    },
  };
}

function answers(port: number, previews: number): Promise<boolean> {
  return get({ port, host: `shop-${previews}.localhost`, path: '/' }).then(
    () => true,
    () => false,
  );
}
