/**
 * What Caddy looks a host up in: `hosts/<label>/<address>~<kind>` (site.ts). It is made from the files of the previews, and made again from them at the
 * start, so nothing here needs to survive a power cut.
 */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostLabel } from '../../core/names.ts';

/** From now on Caddy finds this for the host, and nothing else: each request sees what was before, or this. */
export async function putLookup(directory: string, label: HostLabel, name: string): Promise<void> {
  const folder = join(directory, label);
  const [before, ...more] = await namesIn(folder);
  if (before === undefined) return makeLookup(directory, label, name);
  for (const each of more) await rm(join(folder, each));
  if (before !== name) await rename(join(folder, before), join(folder, name));
}

/** From now on Caddy finds nothing for the host. Absence is success. */
export async function removeLookup(directory: string, label: HostLabel): Promise<void> {
  await rm(join(directory, label), { recursive: true, force: true });
}

/** Exactly these hosts are found. Used at the start, when the folder may hold what a crash left. */
export async function putAllLookups(directory: string, names: ReadonlyMap<HostLabel, string>): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const label of await readdir(directory))
    if (!names.has(label as HostLabel)) await rm(join(directory, label), { recursive: true });
  for (const [label, name] of names) await putLookup(directory, label, name);
}

/** A label has no dot, so that nobody can ask for the draft. */
async function makeLookup(directory: string, label: HostLabel, name: string): Promise<void> {
  const draft = join(directory, `.${label}`);
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  await writeFile(join(draft, name), '');
  // An empty folder of that name is replaced.
  await rename(draft, join(directory, label));
}

/** Nothing is in a folder that is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}
