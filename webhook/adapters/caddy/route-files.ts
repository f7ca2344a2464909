/** The folder of routes: one file per preview, which is the truth about its route, and the site that Caddy imports. */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { appManifestSchema } from '../../core/app-manifest.ts';
import { OperatorError } from '../../core/errors.ts';
import { parseSlug, type HostLabel, type Slug } from '../../core/names.ts';
import { basicAuthSchema } from '../../core/policy.ts';
import { namesIn } from './lookups.ts';
import { kindName, routeFileText, siteText, type Kind, type RouteFile, type SiteSettings } from './site.ts';

export const siteFile = 'previews.site';
const suffix = '.caddy';
const unfinished = '.unfinished';
const refused = '.refused';

const label = z.custom<HostLabel>(
  (value) => typeof value === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value),
  'is not a host label',
);
const routes = z.array(appManifestSchema.shape.routes.unwrap().element).max(32);
const basicAuth = basicAuthSchema.nullable().default(null);
const kind = z.strictObject({ routes, basicAuth });
const routeFile = z
  .strictObject({
    slug: z.custom<Slug>((value) => typeof value === 'string' && parseSlug(value) !== null, 'is not a slug'),
    address: z.ipv4(),
    hosts: z.array(z.strictObject({ label, routes })).min(1).max(5),
    basicAuth,
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

/** All files of ours that can be read. Others are left where they are: whose they are is not known, and Caddy does not import them. */
export async function readRouteFiles(directory: string): Promise<RouteFile[]> {
  await mkdir(directory, { recursive: true });
  const files: RouteFile[] = [];
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (name.endsWith(unfinished)) await rm(path, { force: true });
    if (!name.endsWith(suffix)) continue;
    const parsed = routeFile.safeParse(commentIn(await readFile(path, 'utf8')));
    if (parsed.success && `${parsed.data.slug}${suffix}` === name) files.push(parsed.data);
  }
  return files;
}

/** What the second line says, which is a comment for Caddy. */
function commentIn(text: string): unknown {
  try {
    return JSON.parse(text.split('\n')[1]?.replace(/^# /, '') ?? '');
  } catch {
    return null;
  }
}

/** Its name in the folder. */
export const ownFileOf = (slug: Slug): string => `${slug}${suffix}`;

const pathOf = (directory: string, slug: Slug): string => join(directory, ownFileOf(slug));

/** On the disk when it resolves. `file` has passed checkedRouteFile. */
export async function saveRouteFile(settings: SiteSettings, file: RouteFile): Promise<void> {
  await replaceFile(pathOf(settings.directory, file.slug), routeFileText(settings, file));
}

/** Absence is success. */
export async function removeRouteFile(directory: string, slug: Slug): Promise<void> {
  await rm(pathOf(directory, slug), { force: true });
}

/** A file of the folder is out of Caddy's sight and ours, and kept for whoever looks into why it was refused. */
export async function setAside(directory: string, file: string): Promise<void> {
  await rename(join(directory, file), join(directory, setAsideName(file)));
}

/** The name of a file that was set aside. */
export const setAsideName = (file: string): string => `${file}${refused}`;

/** Files that the host's configuration would import beside ours. */
export async function foreignSites(directory: string): Promise<string[]> {
  return (await namesIn(directory)).filter((name) => name.endsWith('.site') && name !== siteFile);
}

/** The kinds of the site on disk; null when there is none, or not as we would write it today. */
export async function readSite(settings: SiteSettings): Promise<Kind[] | null> {
  const text = await readFile(join(settings.directory, siteFile), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const parsed = z.array(kind).safeParse(commentIn(text));
  return parsed.success && siteText(settings, parsed.data) === text ? parsed.data : null;
}

/** On the disk when it resolves, in an order that depends on the kinds alone: the same kinds are the same text. */
export async function saveSite(settings: SiteSettings, kinds: readonly Kind[]): Promise<void> {
  const sorted = kinds.toSorted((a, b) => (kindName(a) < kindName(b) ? -1 : 1));
  await replaceFile(join(settings.directory, siteFile), siteText(settings, sorted));
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
