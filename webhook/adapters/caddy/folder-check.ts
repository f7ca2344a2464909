/** Holds the folder of routes against the routes in force: what somebody put there, changed or removed by hand. Changes nothing by itself. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostLabel, Slug } from '../../core/names.ts';
import { namesIn, putLookup, removeLookup } from './lookups.ts';
import { ownFileOf, saveRouteFile, setAside, setAsideName } from './route-files.ts';
import { lookupDirectory, lookupName, routeFileText, type RouteFile, type SiteSettings } from './site.ts';

export interface FolderDefect {
  readonly kind: 'foreign' | 'changed';
  /** Below the folder of routes. */
  readonly file: string;
  /** The preview whose own change would explain it. */
  readonly slug: Slug | null;
  readonly label: HostLabel | null;
  /** Where `mend` keeps a foreign file. */
  readonly keptAs?: string;
  readonly mend: () => Promise<void>;
}

/** Every file that is not as `files` would have it. Drafts, and what was set aside before, are nobody's business. */
export async function folderDefects(settings: SiteSettings, files: readonly RouteFile[]): Promise<FolderDefect[]> {
  const [routes, lookups] = await Promise.all([routeFileDefects(settings, files), lookupDefects(settings, files)]);
  return [...routes, ...lookups];
}

async function routeFileDefects(settings: SiteSettings, files: readonly RouteFile[]): Promise<FolderDefect[]> {
  const { directory } = settings;
  const own = new Map(files.map((file) => [ownFileOf(file.slug), file]));
  const defects: FolderDefect[] = [];
  for (const [name, file] of own) {
    const text = await readFile(join(directory, name), 'utf8').catch(() => null);
    if (text === routeFileText(settings, file)) continue;
    const mend = () => saveRouteFile(settings, file);
    defects.push({ kind: 'changed', file: name, slug: file.slug, label: null, mend });
  }
  for (const name of await namesIn(directory)) {
    if (!name.endsWith('.caddy') || own.has(name)) continue;
    const slug = name.slice(0, -'.caddy'.length) as Slug;
    const keptAs = setAsideName(name);
    defects.push({ kind: 'foreign', file: name, slug, label: null, keptAs, mend: () => setAside(directory, name) });
  }
  return defects;
}

async function lookupDefects(settings: SiteSettings, files: readonly RouteFile[]): Promise<FolderDefect[]> {
  const directory = lookupDirectory(settings);
  const wanted = new Map(
    files.flatMap((file) => file.hosts.map((host) => [host.label, { file, name: lookupName(file, host) }] as const)),
  );
  const present = (await namesIn(directory)).filter((label) => !label.startsWith('.')) as HostLabel[];
  const defects: FolderDefect[] = [];
  for (const label of new Set([...wanted.keys(), ...present])) {
    const found = await readdir(join(directory, label)).catch(() => null);
    const owner = wanted.get(label);
    const about = { file: join('hosts', label), slug: owner?.file.slug ?? null, label };
    if (owner === undefined) defects.push({ kind: 'foreign', ...about, mend: () => removeLookup(directory, label) });
    else if (found?.length !== 1 || found[0] !== owner.name)
      defects.push({ kind: 'changed', ...about, mend: () => replaceLookup(directory, label, owner.name) });
  }
  return defects;
}

/** Whatever lies there instead. */
async function replaceLookup(directory: string, label: HostLabel, name: string): Promise<void> {
  await removeLookup(directory, label);
  await putLookup(directory, label, name);
}
