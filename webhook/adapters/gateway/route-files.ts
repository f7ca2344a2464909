/**
 * Routes on disk: one file per preview, `<slug>.json`, the truth that outlives the process. A file is replaced whole (written beside,
 * flushed, renamed, directory flushed), so that a kill at any instant leaves the old one or the new one.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { appManifestSchema } from '../../core/app-manifest.ts';
import { OperatorError } from '../../core/errors.ts';
import { parseInstanceName, parseSlug, type HostLabel, type InstanceName, type Slug } from '../../core/names.ts';
import type { PreviewRoute } from '../../core/preview-route.ts';
import type { Log } from '../../ports.ts';

const slug = z.custom<Slug>((value) => typeof value === 'string' && parseSlug(value) !== null, 'is not a slug');
const instanceName = z.custom<InstanceName>(
  (value) => typeof value === 'string' && parseInstanceName(value) !== null,
  'is not the name of an instance',
);
// RFC 1035 section 2.3.1, lower case: what requestedHost can give.
const hostLabel = z.custom<HostLabel>(
  (value) => typeof value === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value),
  'is not a host label',
);
const portNumber = z.int().min(1).max(65_535);

const previewRouteSchema = z
  .strictObject({
    slug,
    // None while the manifest is not known yet: then the status page answers. The manifest's own rules hold here too: a path that reaches this far without having passed them is a defect or a foreign hand.
    hosts: z
      .array(
        z.strictObject({ label: hostLabel, routes: z.union([appManifestSchema.shape.routes.unwrap(), z.tuple([])]) }),
      )
      .min(1)
      .max(5)
      .refine((hosts) => new Set(hosts.map((each) => each.label)).size === hosts.length, 'every host may stand once'),
    answering: z
      .strictObject({
        instance: instanceName,
        upstreams: z.record(
          z.string().regex(/^[1-9][0-9]{0,4}$/),
          z.strictObject({ address: z.ipv4(), port: portNumber }),
        ),
      })
      .nullable(),
  })
  .superRefine((route, context) => {
    for (const [index, host] of route.hosts.entries()) {
      const isOwn = host.label === (route.slug as string) || host.label.endsWith(`-${route.slug}`);
      if (!isOwn)
        context.addIssue({ code: 'custom', path: ['hosts', index, 'label'], message: 'is not of this preview' });
      for (const [at, each] of host.routes.entries()) {
        if (route.answering === null || Object.hasOwn(route.answering.upstreams, each.port)) continue;
        const path = ['hosts', index, 'routes', at, 'port'];
        context.addIssue({ code: 'custom', path, message: `has no upstream for port ${each.port}` });
      }
    }
  });

/** A checked copy of a route. Throws ROUTE_REFUSED naming every key that is wrong. */
export function checkedRoute(value: unknown): PreviewRoute {
  const parsed = previewRouteSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).slice(0, 5);
  throw new OperatorError('ROUTE_REFUSED', `The route is not usable: ${problems.join('; ')}.`);
}

const SUFFIX = '.json';
const UNFINISHED = '.unfinished';
const DAMAGED = '.damaged';

/** Its name in the folder. */
export const fileOf = (slug: Slug): string => `${slug}${SUFFIX}`;

/** The name of a file that was set aside. */
export const setAsideName = (file: string): string => `${file}${DAMAGED}`;

const textOf = (route: PreviewRoute): string => `${JSON.stringify(route, null, 2)}\n`;

export interface RouteFiles extends AsyncDisposable {
  /** Every good route. What cannot be read is set aside as `<file>.damaged` with a log line; what a kill left unfinished is removed. */
  loadAll(): Promise<PreviewRoute[]>;
  /** Durable when it resolves. */
  save(route: PreviewRoute): Promise<void>;
  /** Of all files there are. One that is not named after a slug is never read. */
  slugs(): Promise<Slug[]>;
  /** Whether the file says exactly this, or is not there where the route is null. */
  isSaved(slug: Slug, route: PreviewRoute | null): Promise<boolean>;
  /** The file says this; where the route is null it is set aside. */
  mend(slug: Slug, route: PreviewRoute | null): Promise<void>;
  /** Durable when it resolves; a file that is not there is success. */
  remove(slug: Slug): Promise<void>;
}

/** The route files of a directory, which is made if need be. One process works with it at a time (the operator's lock sees to that). */
export async function openRouteFiles(directory: string, log: Log): Promise<RouteFiles> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // A rename is durable once the directory that holds it is flushed (fsync(2)).
  const directoryHandle = await open(directory, 'r');
  const pathOf = (name: Slug) => join(directory, fileOf(name));

  async function loadOne(name: string): Promise<PreviewRoute | null> {
    const path = join(directory, name);
    try {
      const route = checkedRoute(JSON.parse(await readFile(path, 'utf8')));
      if (`${route.slug}${SUFFIX}` !== name) throw new Error(`it holds the route of ${route.slug}`);
      return route;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ file: name, reason }, 'route file is damaged; set aside');
      await rename(path, setAsideName(path));
      return null;
    }
  }

  async function save(route: PreviewRoute): Promise<void> {
    await replaceFile(pathOf(route.slug), textOf(route));
    await directoryHandle.sync();
  }

  return {
    save,
    async slugs() {
      const names = (await readdir(directory)).filter((name) => name.endsWith(SUFFIX));
      return names.map((name) => parseSlug(name.slice(0, -SUFFIX.length))).filter((each) => each !== null);
    },
    async isSaved(name, route) {
      const text = await readFile(pathOf(name), 'utf8').catch(() => null);
      return text === (route === null ? null : textOf(route));
    },
    async mend(name, route) {
      if (route !== null) return save(route);
      await rename(pathOf(name), setAsideName(pathOf(name)));
      await directoryHandle.sync();
    },
    async loadAll() {
      const routes: PreviewRoute[] = [];
      for (const name of (await readdir(directory)).toSorted()) {
        if (name.endsWith(UNFINISHED)) await rm(join(directory, name), { force: true });
        if (!name.endsWith(SUFFIX)) continue;
        const route = await loadOne(name);
        if (route !== null) routes.push(route);
      }
      return routes;
    },
    async remove(name) {
      await rm(pathOf(name), { force: true });
      await rm(setAsideName(pathOf(name)), { force: true });
      await directoryHandle.sync();
    },
    async [Symbol.asyncDispose]() {
      await directoryHandle.close();
    },
  };
}

async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}${UNFINISHED}`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}
