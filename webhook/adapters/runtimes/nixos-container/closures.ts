/**
 * Builds the system of a container from a manifest's data (server-config/guest/README.md), and keeps what was built. The key is the content that
 * goes in: the build-relevant part of the manifest and the guest folder with its lock file. So a push that changes neither needs no Nix at all.
 */
import { createHash, randomUUID } from 'node:crypto';
import { cp, lutimes, mkdir, readdir, readFile, readlink, rm, lstat, writeFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AppManifest } from '../../../core/app-manifest.ts';
import { OperatorError } from '../../../core/errors.ts';
import { guestManifestFrom } from '../../../core/guest-manifest.ts';
import { FAILURE_TAIL_LINES } from '../../../core/limits.ts';
import type { Shell } from '../../../ports.ts';

export interface ClosureSettings {
  /** A folder like server-config/guest. */
  readonly guest: string;
  /** One link per closure, which is its root against Nix's garbage collector. */
  readonly roots: string;
}

/** A first build of a large closure fetches gigabytes. */
const buildTimeoutMs = 60 * 60_000;

/** Closures kept for the next preview that asks for the same. One that a container runs has a root of its own beside. */
const keptMax = 32;

const builtSchema = z.array(z.object({ outputs: z.object({ out: z.string().startsWith('/nix/store/') }) })).length(1);

export interface Closures {
  /** Store path of the system. Requests for the same build once. Throws BUILD_FAILED with the last lines of the build. */
  ensure(manifest: AppManifest, signal: AbortSignal): Promise<string>;
}

export function closuresIn(settings: ClosureSettings, shell: Shell): Closures {
  const underWay = new Map<string, Promise<string>>();
  return {
    ensure: async (manifest, signal) => {
      const data = JSON.stringify(guestManifestFrom(manifest));
      const key = createHash('sha256')
        .update(await guestDigest(settings.guest))
        .update(data)
        .digest('hex')
        .slice(0, 32);
      const root = join(settings.roots, key);
      const kept = await keptClosure(root);
      if (kept !== null) return kept;
      const before = underWay.get(key);
      // Whoever waits shares the build, but not its abort: then it builds by itself.
      if (before !== undefined) {
        const shared = await before.catch(() => null);
        if (shared !== null) return shared;
      }
      const build = buildClosure(settings, shell, { root, data, signal });
      underWay.set(key, build);
      try {
        return await build;
      } finally {
        if (underWay.get(key) === build) underWay.delete(key);
      }
    },
  };
}

/** Path and content of every file of the guest folder. About 1 ms for its twenty small files. */
async function guestDigest(guest: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(guest, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.toSorted()) {
    const relative = file.slice(guest.length);
    if (relative === '/manifest.json') continue;
    hash
      .update(`${relative}\0`)
      .update(await readFile(file))
      .update('\0');
  }
  return hash.digest('hex');
}

/** What the link points at, if it is still there; and the link is marked as used just now. */
async function keptClosure(root: string): Promise<string | null> {
  const path = await readlink(root).catch(() => null);
  if (path === null || (await stat(path).catch(() => null)) === null) return null;
  const now = new Date();
  await lutimes(root, now, now);
  return path;
}

async function buildClosure(
  settings: ClosureSettings,
  shell: Shell,
  build: { root: string; data: string; signal: AbortSignal },
): Promise<string> {
  await mkdir(settings.roots, { recursive: true });
  const copy = join(settings.roots, `.build-${randomUUID()}`);
  try {
    await cp(settings.guest, copy, { recursive: true });
    // On NixOS the folder lies in the Nix store, where nothing may be written, and the copy has its modes.
    await shell.run({ argv: ['chmod', '-R', 'u+w', '--', copy], timeoutMs: 60_000 }, build.signal);
    await writeFile(join(copy, 'manifest.json'), build.data);
    const result = await shell.run(
      {
        argv: [
          'nix',
          'build',
          '--json',
          '--no-update-lock-file',
          '--out-link',
          `${copy}.result`,
          `path:${copy}#system`,
        ],
        // An unprivileged client: the daemon builds, and holds the roots.
        env: { NIX_REMOTE: 'daemon', HOME: settings.roots },
        timeoutMs: buildTimeoutMs,
      },
      build.signal,
    );
    if (result.exitCode !== 0) throw buildFailed(result.stderr, result.timedOut);
    const path = builtSchema.parse(JSON.parse(result.stdout))[0]?.outputs.out ?? '';
    // The daemon's root is the link's place, so the place that lasts is made a root before the other goes.
    const rooted = await shell.run(
      {
        argv: ['nix-store', '--realise', path, '--add-root', build.root, '--indirect'],
        env: { NIX_REMOTE: 'daemon', HOME: settings.roots },
        timeoutMs: 60_000,
      },
      build.signal,
    );
    if (rooted.exitCode !== 0) throw buildFailed(rooted.stderr, rooted.timedOut);
    await forgetOldest(settings.roots);
    return path;
  } finally {
    await rm(copy, { recursive: true, force: true });
    await rm(`${copy}.result`, { force: true });
  }
}

function buildFailed(stderr: string, timedOut: boolean): OperatorError {
  const lines = stderr.trimEnd().split('\n').slice(-FAILURE_TAIL_LINES).join('\n');
  const message = timedOut
    ? 'The build of the system did not end in its time.'
    : 'The system that the manifest describes could not be built.';
  return new OperatorError('BUILD_FAILED', message, { detail: lines });
}

async function forgetOldest(roots: string): Promise<void> {
  const names = (await readdir(roots)).filter((name) => /^[0-9a-f]{32}$/.test(name));
  const links = await Promise.all(
    names.map(async (name) => ({ name, usedAt: (await lstat(join(roots, name))).mtimeMs })),
  );
  const oldest = links.toSorted((a, b) => b.usedAt - a.usedAt).slice(keptMax);
  for (const { name } of oldest) await rm(join(roots, name), { force: true });
}
