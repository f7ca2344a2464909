/** What the tests inside a test host share: hostd running, the runtime as the operator has it, and small apps to run in it. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { hostDaemonAt } from '../../../webhook/adapters/hostd/client.ts';
import { nixosContainerRuntime } from '../../../webhook/adapters/runtimes/nixos-container/runtime.ts';
import { localShell } from '../../../webhook/adapters/shell/local-shell.ts';
import { manifestFrom, type AppManifest } from '../../../webhook/core/app-manifest.ts';
import { instanceNameOf, type InstanceName } from '../../../webhook/core/names.ts';
import type { Sha } from '../../../webhook/core/pull-request.ts';
import { parsePool } from '../../../webhook/core/slots.ts';
import type { InstanceSpec, Runtime } from '../../../webhook/ports.ts';

/** Runs a program of the host and returns what it printed; throws with its stderr when it fails. */
export function host(program: string, ...words: string[]): string {
  return execFileSync(program, words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  }).trimEnd();
}

/** As host, with the status instead of an exception. */
export function hostStatus(program: string, ...words: string[]): number {
  try {
    host(program, ...words);
    return 0;
  } catch (error) {
    return (error as { status: number | null }).status ?? 255;
  }
}

export function startHostd(): void {
  host('systemctl', 'start', 'berth-hostd');
  const deadline = Date.now() + 15_000;
  // Connected to, not only looked at: the socket of a killed hostd lies there until the next one replaces it.
  while (
    hostStatus('perl', '-MIO::Socket::UNIX', '-e', 'exit(IO::Socket::UNIX->new("/run/berth-hostd/socket") ? 0 : 1)') !==
    0
  ) {
    if (Date.now() > deadline) throw new Error(host('journalctl', '-u', 'berth-hostd', '--no-pager', '-n', '40'));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
}

const pool = parsePool('10.100.0.0/16');
export const staging = '/var/lib/berth/instances';
export const hostd = hostDaemonAt('/run/berth-hostd/socket');

export function aRuntime(): Runtime {
  if (pool === null) throw new Error('the pool is not one');
  mkdirSync(staging, { recursive: true });
  return nixosContainerRuntime(
    {
      pool,
      staging,
      closures: { guest: resolve(import.meta.dirname, '../guest'), roots: '/var/lib/berth/closures' },
    },
    { hostd, shell: localShell({ path: '/usr/local/bin:/usr/bin:/bin', home: '/var/lib/berth' }) },
  );
}

/** An app that answers with a text on its port: the whole of its source. */
export function webApp(text: string): Record<string, string> {
  return {
    'server.js': `const http = require('node:http');
http.createServer((request, response) => {
  console.log('asked for ' + request.url);
  response.end(${JSON.stringify(text)});
}).listen(Number(process.env.PORT), process.env.HOST, () => console.log('listening'));
`,
  };
}

export function aManifest(parts: object = {}): AppManifest {
  const result = manifestFrom({ services: [{ name: 'web', command: 'exec node server.js', port: 3000 }], ...parts });
  if (!result.ok) throw new Error(result.problems.join('\n'));
  return result.manifest;
}

export const noAbort = new AbortController().signal;

/** Stages the files as Sources.place does, and builds the system; what is left to do is set-up and start. */
export async function anInstance(
  runtime: Runtime,
  slot: number,
  { manifest = aManifest(), files = webApp('hello'), environment = {} }: Partial<AnInstance> = {},
): Promise<InstanceSpec> {
  const name: InstanceName = instanceNameOf(slot);
  const directory = await runtime.ensureDirectory(name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(directory, 'source'), { recursive: true });
    writeFileSync(join(directory, 'source', path), text);
  }
  host('chown', '-R', 'berth:berth', directory);
  chownSync(staging, 970, 970);
  return {
    name,
    slot,
    addresses: runtime.addressesOf(slot),
    revision: { sha: 'a'.repeat(40) as Sha, ref: 'main' },
    manifest,
    system: (await runtime.buildSystem(manifest, noAbort))?.path ?? null,
    environment: { PREVIEW_BRANCH: 'main', ...environment },
  };
}

interface AnInstance {
  readonly manifest: AppManifest;
  readonly files: Record<string, string>;
  readonly environment: Record<string, string>;
}

/** Set up and started, as the reconciler does it. */
export async function bringUp(runtime: Runtime, spec: InstanceSpec): Promise<void> {
  if (spec.manifest.setup !== undefined) await runtime.setUp(spec, noAbort);
  await runtime.start(spec, noAbort);
}

/** The app's answer, once it gives one; on a connection of its own, because an open one stays with the instance that it began with. */
export async function answerOf(url: string, timeoutMs = 20_000): Promise<string> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await (await fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(2_000) })).text();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export async function eventually(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`did not happen in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
