/** The folder that Caddy imports: one file per preview, which is the truth about its route, and the site made from all of them. */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { appManifestSchema } from '../../core/app-manifest.ts';
import { OperatorError } from '../../core/errors.ts';
import { parseSlug, type HostLabel, type Slug } from '../../core/names.ts';
import { routeFileText, siteText, type RouteFile, type SiteSettings } from './site.ts';

/** Sorted after every slug, because it uses the snippets of the files before it. */
const siteFile = '~site.caddy';
const suffix = '.caddy';
/** Not imported by Caddy, which reads `*.caddy`. */
const unfinished = '.unfinished';
const refused = '.refused';

const label = z.custom<HostLabel>(
  (value) => typeof value === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value),
  'is not a host label',
);
const route = appManifestSchema.shape.routes.unwrap().element;
const routeFile = z
  .strictObject({
    slug: z.custom<Slug>((value) => typeof value === 'string' && parseSlug(value) !== null, 'is not a slug'),
    address: z.ipv4(),
    hosts: z
      .array(z.strictObject({ label, routes: z.array(route).max(32) }))
      .min(1)
      .max(5),
  })
  .refine(
    ({ slug, hosts }) => hosts.every((host) => host.label === (slug as string) || host.label.endsWith(`-${slug}`)),
    'holds a host that is not of this preview',
  )
  .refine(({ hosts }) => new Set(hosts.map((host) => host.label)).size === hosts.length, 'has a host twice')
  .refine(
    ({ hosts }) => hosts.every(({ routes }) => new Set(routes.map((each) => each.path)).size === routes.length),
    'has a path twice',
  );

/** A checked copy: nothing reaches Caddy's text that has not passed here. Throws ROUTE_REFUSED. */
export function checkedRouteFile(value: unknown): RouteFile {
  const parsed = routeFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).slice(0, 5);
  throw new OperatorError('ROUTE_REFUSED', `The route is not usable: ${problems.join('; ')}.`);
}

/** All files of ours that can be read. Others are left where they are: whose they are is not known. */
export async function readRouteFiles(directory: string): Promise<RouteFile[]> {
  await mkdir(directory, { recursive: true });
  const files: RouteFile[] = [];
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (name.endsWith(unfinished)) await rm(path, { force: true });
    if (!name.endsWith(suffix) || name === siteFile) continue;
    const json = (await readFile(path, 'utf8')).split('\n')[1]?.replace(/^# /, '') ?? '';
    const parsed = routeFile.safeParse(parsedJson(json));
    if (parsed.success && `${parsed.data.slug}${suffix}` === name) files.push(parsed.data);
  }
  return files;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const pathOf = (directory: string, slug: Slug): string => join(directory, `${slug}${suffix}`);

export async function saveRouteFile(directory: string, settings: SiteSettings, file: RouteFile): Promise<void> {
  await replaceFile(pathOf(directory, file.slug), routeFileText(settings, file));
}

export async function removeRouteFile(directory: string, slug: Slug): Promise<void> {
  await rm(pathOf(directory, slug), { force: true });
}

export async function saveSite(directory: string, settings: SiteSettings, files: readonly RouteFile[]): Promise<void> {
  const text = siteText(settings, files);
  // Caddy takes an empty file for a damaged one.
  if (text === '') await rm(join(directory, siteFile), { force: true });
  else await replaceFile(join(directory, siteFile), text);
}

/** Puts files out of Caddy's sight that it refuses on their own. Returns the names of those that it did. */
export async function quarantine(directory: string, isRefused: (text: string) => Promise<boolean>): Promise<string[]> {
  const names: string[] = [];
  for (const name of await readdir(directory)) {
    if (!name.endsWith(suffix) || name === siteFile) continue;
    const path = join(directory, name);
    if (!(await isRefused(await readFile(path, 'utf8')))) continue;
    await rename(path, `${path}${refused}`);
    names.push(name);
  }
  return names;
}

/** Whole and durable, or not at all: Caddy may read at any instant, and power may go. */
async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}${unfinished}`;
  const handle = await open(draft, 'w', 0o640);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(draft, path);
}
