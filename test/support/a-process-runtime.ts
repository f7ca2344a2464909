/** A process runtime in a temporary directory, with the real bubblewrap where there is one, and instances of the fixture apps. */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'smol-toml';
import { processRuntime } from '../../webhook/adapters/runtimes/process/runtime.ts';
import { localShell } from '../../webhook/adapters/shell/local-shell.ts';
import { manifestFrom, type AppManifest } from '../../webhook/core/app-manifest.ts';
import { instanceNameOf, type InstanceName } from '../../webhook/core/names.ts';
import { parseSha } from '../../webhook/core/pull-request.ts';
import { parsePool } from '../../webhook/core/slots.ts';
import type { InstanceSpec } from '../../webhook/ports.ts';
import { silentLog } from './silent-log.ts';

const APPS = fileURLToPath(new URL('../fixtures/apps/', import.meta.url));

/** Slots differ between test files that run at the same time, and so do ports. */
function someSlot(): number {
  return 1 + ((process.pid * 7 + Math.floor(Math.random() * 900)) % 1_000);
}

export async function aProcessRuntime(t: TestContext, options: { useBubblewrap?: boolean } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'berth-run-'));
  // As root and without a sandbox, apps run as users of their own and have to get there.
  chmodSync(directory, 0o711);
  // Addresses differ between test files that run at the same time.
  const pool = parsePool(`127.${101 + (process.pid % 128)}.0.0/21`);
  assert.ok(pool !== null);
  const path = process.env['PATH'] ?? '';
  const shell = localShell({ path, home: directory });
  const useBubblewrap = options.useBubblewrap ?? true;
  const made: Awaited<ReturnType<typeof processRuntime>>[] = [];
  const make = async () => {
    const one = await processRuntime({ directory, pool, path, useBubblewrap, shell, log: silentLog });
    made.push(one);
    return one;
  };
  const runtime = await make();
  t.after(async () => {
    try {
      // All of them: the supervisor that stands by for one writes into the directory.
      await Promise.all(made.map((each) => each.close()));
      for (const { name } of await runtime.list()) await runtime.remove(name);
    } finally {
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  let slot = someSlot();
  /** An instance of a fixture app, its files placed, nothing started. */
  const place = async (app: string, more: { manifest?: object; environment?: Record<string, string> } = {}) => {
    slot = (slot % 1_000) + 1;
    const name = instanceNameOf(slot);
    const root = await runtime.ensureDirectory(name);
    cpSync(join(APPS, app), join(root, 'source'), { recursive: true });
    cpSync(join(APPS, app), join(root, 'repository.git'), { recursive: true });
    return {
      ...specOf(runtime, name, slot, manifestOf(app, more.manifest)),
      environment: more.environment ?? ENVIRONMENT,
    };
  };
  return { runtime, place, directory, make };
}

export const ENVIRONMENT = {
  PREVIEW_BRANCH: 'main',
  PREVIEW_URL: 'http://shop-1.localhost:8080',
  PREVIEW_COMMIT: 'abc',
};

function manifestOf(app: string, override: object = {}): AppManifest {
  const result = manifestFrom({ ...parse(readFileSync(join(APPS, app, 'preview.toml'), 'utf8')), ...override });
  assert.ok(result.ok, JSON.stringify(result));
  return result.manifest;
}

function specOf(
  runtime: { addressesOf(slot: number): InstanceSpec['addresses'] },
  name: InstanceName,
  slot: number,
  manifest: AppManifest,
): InstanceSpec {
  const sha = parseSha('1234567890123456789012345678901234567890');
  assert.ok(sha !== null);
  const addresses = runtime.addressesOf(slot);
  return { name, slot, addresses, revision: { sha, ref: 'main' }, manifest, system: null, environment: {} };
}

/** Everything that runs with the text in its command line or environment. Linux. */
export function processesMentioning(text: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return `${pid} ${words}\n${readFileSync(`/proc/${pid}/environ`, 'utf8')}`;
      } catch {
        return '';
      }
    })
    .filter((each) => each.includes(text));
}
