/**
 * Builds the system of a container from a manifest's data (server-config/guest/README.md), and keeps what was built. The key is the content that
 * goes in: the build-relevant part of the manifest and the guest folder with its lock file. So a push that changes neither needs no Nix at all.
 */
import { createHash } from 'node:crypto';
import { lstat, lutimes, mkdir, readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppManifest } from '../../../core/app-manifest.ts';
import { OperatorError } from '../../../core/errors.ts';
import { guestManifestFrom } from '../../../core/guest-manifest.ts';
import type { BuiltSystem } from '../../../core/preview.ts';
import type { HostDaemon } from '../../../core/host-verbs.ts';
import { evaluationFrom, PREVIEW_CONFIG_FILE, type Evaluation } from '../../../core/preview-config.ts';
import type { Shell } from '../../../ports.ts';
import { buildFromData, buildOwnSystem, type ClosureSettings } from './builds.ts';

/** Closures kept for the next preview that asks for the same. One that a container runs has a root of its own beside. */
const keptMax = 32;

export interface Closures {
  /**
   * The system, in the store. Requests for the same build once. Throws BUILD_FAILED with the last lines of the build, and CONFIG_REFUSED for an
   * own system that would fetch while it is built.
   */
  ensure(manifest: AppManifest, signal: AbortSignal): Promise<BuiltSystem>;
  /** What a preview-config.nix says. Throws CONFIG_REFUSED, EVAL_TIMEOUT, EVAL_MEMORY, META_INVALID. */
  evaluate(config: string, signal: AbortSignal): Promise<Evaluation>;
}

interface Tools {
  readonly shell: Shell;
  readonly hostd: HostDaemon;
}

/** Keeps closures and answers in `settings.roots`, so that they outlive us. */
export function closuresIn(settings: ClosureSettings, { shell, hostd }: Tools): Closures {
  const once = sharedWork();
  const evaluate = (config: string, signal: AbortSignal): Promise<Evaluation> =>
    keyOf(settings, config).then((key) =>
      once(`${key} evaluated`, async () => {
        const answer = join(settings.roots, `${key}.json`);
        const kept = await readFile(answer, 'utf8').catch(() => null);
        const json = kept ?? (await hostd.ask({ verb: 'evaluate-config', config }, { signal })).json;
        const result = evaluationFrom(json);
        if (!result.ok)
          throw new OperatorError('META_INVALID', 'previewMeta of preview-config.nix does not say what it should.', {
            detail: result.problems.join('\n'),
          });
        if (kept === null) await keepAnswer(settings.roots, answer, json);
        return result.evaluation;
      }),
    );
  return {
    evaluate,
    ensure: async (manifest, signal) => {
      const { ownSystem } = manifest;
      const data = ownSystem === undefined ? JSON.stringify(guestManifestFrom(manifest)) : ownSystem.config;
      const root = join(settings.roots, await keyOf(settings, data));
      const kept = await keptClosure(root);
      if (kept !== null) return { path: kept, isCached: true };
      return once(root, async () => {
        const build = { ...settings, shell, root, data, signal };
        if (ownSystem === undefined) await buildFromData(build);
        else await buildOwnSystem(build, (await evaluate(ownSystem.config, signal)).drv);
        await forgetOldest(settings.roots);
        return { path: await readlink(root), isCached: false };
      });
    },
  };
}

/** Whoever asks for what is under way shares it, but not the abort of whoever asked first: then the next does it, for all others. */
function sharedWork(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const underWay = new Map<string, Promise<unknown>>();
  return async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    for (let before = underWay.get(key); before !== undefined; before = underWay.get(key)) {
      const shared = await (before as Promise<T>).then(
        (value) => ({ value }),
        () => null,
      );
      if (shared !== null) return shared.value;
    }
    const own = work();
    underWay.set(key, own);
    try {
      return await own;
    } finally {
      if (underWay.get(key) === own) underWay.delete(key);
    }
  };
}

/** Everything that the result depends on, in 32 hexadecimal digits. */
async function keyOf(settings: ClosureSettings, data: string): Promise<string> {
  const hash = createHash('sha256').update(await guestDigest(settings.guest));
  return hash.update(data).digest('hex').slice(0, 32);
}

/** What Nix would see of the guest folder: every file with its content and whether it may be run, every link with its target. About 1 ms for its twenty. */
async function guestDigest(guest: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(guest, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  for (const path of paths.toSorted()) {
    const relative = path.slice(guest.length);
    if (relative === '/manifest.json' || relative === `/${PREVIEW_CONFIG_FILE}`) continue;
    const stats = await lstat(path);
    const kind = stats.isSymbolicLink() ? 'link' : (stats.mode & 0o100) === 0 ? 'file' : 'program';
    const content = kind === 'link' ? await readlink(path) : await readFile(path);
    hash.update(`${kind} ${relative}\0`).update(content).update('\0');
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

async function keepAnswer(roots: string, path: string, json: string): Promise<void> {
  await mkdir(roots, { recursive: true });
  await writeFile(`${path}.new`, json);
  await rename(`${path}.new`, path);
}

/** Answers of evaluations are kept as long as closures: either is as good as made again. */
async function forgetOldest(roots: string): Promise<void> {
  const names = await readdir(roots);
  for (const pattern of [/^[0-9a-f]{32}$/, /^[0-9a-f]{32}\.json$/]) {
    const kept = await Promise.all(
      names
        .filter((name) => pattern.test(name))
        // Another build may forget the same ones at this moment.
        .map(async (name) => ({ name, usedAt: (await lstat(join(roots, name)).catch(() => null))?.mtimeMs ?? 0 })),
    );
    const oldest = kept.toSorted((a, b) => b.usedAt - a.usedAt).slice(keptMax);
    for (const { name } of oldest) await rm(join(roots, name), { force: true });
  }
}
