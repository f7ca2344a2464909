/**
 * preview.toml: what an app says it needs, as data. This schema is the only reader; the published JSON Schema, the reference page
 * (docs/reference/app-manifest.md) and the error texts are made from it.
 */
import { parse as parseToml, TomlError } from 'smol-toml';
import { z } from 'zod';
import { ENVIRONMENT_NAME, NOT_A_NAME } from './environment-names.ts';
import {
  DATABASE_DEFAULT_MIB,
  DATABASE_MAX_MIB,
  DISK_DEFAULT_MIB,
  HEALTH_TIMEOUT_DEFAULT_MS,
  HEALTH_TIMEOUT_MAX_MS,
  SETUP_TIMEOUT_DEFAULT_MS,
  SETUP_TIMEOUT_MAX_MS,
} from './limits.ts';

export const MANIFEST_FILE = 'preview.toml';

const command = z
  .union([z.string().min(1).max(4_096), z.array(z.string().max(4_096)).min(1).max(64)])
  .describe(
    'A shell command line, or a list of words that is run as it is. Either runs inside the preview’s sandbox, never outside.',
  );

const port = z
  .int()
  .min(1)
  .max(65_535)
  .refine((value) => value !== 22, 'port 22 is reserved')
  .describe('The port that a service listens on.');

// One or more segments of unreserved URL characters, optionally ending in /*; `.` and `..` segments are refused.
const ROUTE_PATH = /^\/$|^(?:\/[A-Za-z0-9._~-]+)+(?:\/\*)?$/;

const route = z
  .strictObject({
    path: z
      .string()
      .max(128)
      .regex(ROUTE_PATH, 'must be "/", "/name" or "/name/*", of letters, digits and . _ ~ -')
      .refine(
        (path) => !path.split('/').some((part) => part === '.' || part === '..'),
        'must not hold "." or ".." segments',
      )
      .describe('Which requests: "/" for all, "/api" for exactly that path, "/api/*" for everything below it.'),
    port,
    stripPrefix: z.boolean().default(false).describe('Whether the app sees the path without the prefix.'),
  })
  .describe('Sends requests below a path to the service on a port.');

/** Routes of one host name. */
export const routes = z
  .array(route)
  .min(1)
  .max(32)
  .refine((all) => new Set(all.map((each) => each.path)).size === all.length, 'every path may stand once');

const SERVICE_NAME = /^[a-z][a-z0-9-]{0,62}$/;

const service = z
  .strictObject({
    name: z
      .string()
      .regex(SERVICE_NAME, 'must be lower-case letters, digits and hyphens, beginning with a letter')
      .describe('Name of the service, in logs and status.'),
    command,
    port: port
      .optional()
      .describe('The port it listens on; PORT in its environment says where. Leave out for a worker.'),
  })
  .describe('A long-running process of the app, restarted when it ends.');

const EXTRA_HOST_PREFIX = /^[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?$/;
const RESERVED_PREFIXES = new Set(['www', 'dashboard', 'webhook', 'api-internal', 'xn']);

const extraHost = z
  .strictObject({
    prefix: z
      .string()
      .regex(EXTRA_HOST_PREFIX, 'must be 1–20 lower-case letters, digits and inner hyphens')
      .refine((prefix) => !prefix.includes('--'), 'must not hold "--"')
      .refine((prefix) => !RESERVED_PREFIXES.has(prefix), 'is reserved')
      .describe('The extra host is <prefix>-<slug>.<domain>.'),
    routes: routes.describe('Its routes, like those at the top level.'),
  })
  .describe('A further host name of the preview, with routes of its own.');

export const extraHosts = z
  .array(extraHost)
  .max(4)
  .refine((all) => new Set(all.map((each) => each.prefix)).size === all.length, 'every prefix may stand once')
  .default([]);

const environment = z
  .record(z.string().regex(ENVIRONMENT_NAME, NOT_A_NAME), z.string().max(32_768))
  .superRefine((map, context) => {
    for (const [name, value] of Object.entries(map)) {
      if (value.includes('\0'))
        context.addIssue({ code: 'custom', path: [name], message: 'must not hold a NUL character' });
    }
    if (Object.keys(map).length > 256) context.addIssue({ code: 'custom', message: 'has more than 256 names' });
  })
  .describe(
    'Variables for setup and every service. Not for secrets: the file is public to everyone who can read the repository.',
  );

const seconds = (fallbackMs: number, maxMs: number) =>
  z
    .int()
    .min(1)
    .max(maxMs / 1_000)
    .default(fallbackMs / 1_000);

export const secretNames = z
  .array(
    z
      .string()
      .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'must be upper-case letters, digits and underscores')
      .regex(ENVIRONMENT_NAME, NOT_A_NAME),
  )
  .max(64)
  .refine((all) => new Set(all).size === all.length, 'every name may stand once')
  .default([]);

/** A file of the repository. What it leads to is looked up in the commit, never on a disk. */
const TREE_PATH = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

export const appManifestSchema = z
  .strictObject({
    packages: z
      .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/, 'must be the name of a package in nixpkgs'))
      .max(64)
      .default([])
      .describe(
        'Packages from nixpkgs that setup and services find on PATH. The process runtime ignores them: there the machine’s own programs are used.',
      ),
    setup: z
      .strictObject({
        command,
        timeoutSeconds: seconds(SETUP_TIMEOUT_DEFAULT_MS, SETUP_TIMEOUT_MAX_MS).describe(
          'After this the setup is ended and the preview has failed.',
        ),
      })
      .optional()
      .describe('Runs once per commit before the services start: install, build, migrate.'),
    services: z
      .array(service)
      .min(1)
      .max(16)
      .refine((all) => new Set(all.map((each) => each.name)).size === all.length, 'every name may stand once')
      .refine(
        (all) => new Set(all.flatMap((each) => each.port ?? [])).size === all.flatMap((each) => each.port ?? []).length,
        'every port may stand once',
      )
      .describe('The processes of the app.'),
    routes: routes.optional().describe('Without routes, all requests go to the first service that has a port.'),
    extraHosts: extraHosts.describe('Further host names, for an app that tells its parts apart by name.'),
    database: z
      .enum(['host', 'container', 'none'])
      .default('none')
      .describe(
        '"host": a PostgreSQL database and role of the preview’s own, in DATABASE_URL. "container": the app brings its own. "none": nothing.',
      ),
    databaseSeed: z
      .string()
      .max(256)
      .regex(TREE_PATH, 'must be a path in the repository, of letters, digits and . _ - between slashes')
      .refine(
        (path) => !path.split('/').some((part) => /^\.{1,2}$|^\.git$/i.test(part)),
        'must not leave the repository',
      )
      .optional()
      .describe(
        'A file of SQL in the repository that the preview’s database begins with. Loaded once for all previews of the repository with the same file; a database that is there stays as it is.',
      ),
    health: z
      .strictObject({
        path: z
          .string()
          .max(256)
          .regex(/^\/[!-~]*$/, 'must begin with "/" and hold printable ASCII only')
          .default('/')
          .describe('Asked until it answers below 400 (below 500 where no path is declared).'),
        timeoutSeconds: seconds(HEALTH_TIMEOUT_DEFAULT_MS, HEALTH_TIMEOUT_MAX_MS).describe(
          'From start to the first good answer.',
        ),
      })
      .optional()
      .describe('When the app counts as up.'),
    environment: environment.default({}),
    secrets: secretNames.describe(
      'Secrets by name. The operator decides which names a repository gets; a stranger’s pull request gets none.',
    ),
    limits: z
      .strictObject({
        memoryMiB: z.int().min(64).max(65_536).default(1_024).describe('Memory of the whole preview.'),
        cpuPercent: z.int().min(5).max(6_400).default(100).describe('100 is one core.'),
        tasks: z.int().min(16).max(32_768).default(512).describe('Processes and threads.'),
        diskMiB: z
          .int()
          .min(64)
          .max(1_048_576)
          .default(DISK_DEFAULT_MIB)
          .describe('Files of the instance; on the process runtime, each one file.'),
        databaseMiB: z
          .int()
          .min(64)
          .max(DATABASE_MAX_MIB)
          .default(DATABASE_DEFAULT_MIB)
          .describe(
            'The database, where that is "host". Looked at every few minutes; while it holds more, nobody can connect to it.',
          ),
      })
      .prefault({})
      .describe('What the preview may use at most.'),
  })
  .superRefine((manifest, context) => {
    const ports = new Set(manifest.services.flatMap((each) => each.port ?? []));
    const lists = [
      { path: ['routes'], routes: manifest.routes ?? [] },
      ...manifest.extraHosts.map((host, index) => ({ path: ['extraHosts', index, 'routes'], routes: host.routes })),
    ];
    for (const list of lists) {
      for (const [index, each] of list.routes.entries()) {
        if (!ports.has(each.port))
          context.addIssue({
            code: 'custom',
            path: [...list.path, index, 'port'],
            message: `no service has port ${each.port}`,
          });
      }
    }
    for (const [index, name] of manifest.secrets.entries()) {
      if (Object.hasOwn(manifest.environment, name))
        context.addIssue({ code: 'custom', path: ['secrets', index], message: `${name} stands in environment too` });
    }
    if (manifest.databaseSeed !== undefined && manifest.database !== 'host')
      context.addIssue({ code: 'custom', path: ['databaseSeed'], message: 'needs database = "host"' });
    if (manifest.routes === undefined && ports.size === 0) {
      context.addIssue({
        code: 'custom',
        path: ['services'],
        message: 'at least one service needs a port, or nothing could be shown',
      });
    }
  });

type ParsedManifest = z.infer<typeof appManifestSchema>;
export type Route = z.infer<typeof route>;
export type Command = z.infer<typeof command>;

/** A system that the repository describes itself, in a preview-config.nix: its text, and the units of it that hold the app. */
export interface OwnSystem {
  readonly config: string;
  readonly setupService: string;
  readonly appServices: readonly string[];
}

/**
 * A manifest with every default filled in; `routes` always stands. With an own system, `services` says no more than which ports there are. `seedHash`
 * is what the file that `databaseSeed` names comes to at this commit (core/database-seed.ts).
 */
export type AppManifest = Omit<ParsedManifest, 'routes'> & {
  routes: Route[];
  ownSystem?: OwnSystem;
  seedHash?: string;
};

export type ManifestResult = { ok: true; manifest: AppManifest } | { ok: false; problems: string[] };

/** Checks the parsed TOML (or JSON) of a manifest. Problems name the key as `services[0].port: …`, one line each. */
export function manifestFrom(value: unknown): ManifestResult {
  const parsed = appManifestSchema.safeParse(value);
  const problems = [
    ...(losesName(value) ? [`environment.__proto__: ${NOT_A_NAME}`] : []),
    ...(parsed.error?.issues ?? []).map(problemText),
  ];
  if (!parsed.success || problems.length > 0) return { ok: false, problems: problems.slice(0, 20) };
  const first = parsed.data.services.find((each) => each.port !== undefined)?.port;
  const routes = parsed.data.routes ?? (first === undefined ? [] : [{ path: '/', port: first, stripPrefix: false }]);
  return { ok: true, manifest: { ...parsed.data, routes } };
}

/** The text of a preview.toml. A syntax error names line and column. */
export function manifestFromToml(text: string): ManifestResult {
  try {
    return manifestFrom(parseToml(text.replace(/^\uFEFF/, '')));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split('\n')[0] ?? 'is not TOML';
    return { ok: false, problems: [`${MANIFEST_FILE}, line ${error.line}, column ${error.column}: ${reason}`] };
  }
}

/** A record of zod leaves the name `__proto__` out without a word. Elsewhere it is an unknown key. */
function losesName(value: unknown): boolean {
  const environment = typeof value === 'object' && value !== null && 'environment' in value ? value.environment : null;
  return typeof environment === 'object' && environment !== null && Object.hasOwn(environment, '__proto__');
}

function problemText(issue: z.core.$ZodIssue): string {
  const where = issue.path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  );
  return `${where === '' ? MANIFEST_FILE : where}: ${reasonOf(issue)}`.slice(0, 256);
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return `unknown key${issue.keys.length > 1 ? 's' : ''} ${issue.keys.join(', ')}`;
  // Of a name in a record: what is wrong with it is one level down.
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? issue.message;
  return issue.message;
}

/** What we assume of a Node.js project that has no preview.toml, and the sentences that tell its author so. */
export interface AssumedManifest {
  manifest: AppManifest;
  assumptions: string[];
}

/**
 * Sensible defaults from a package.json: install with the lock file if there is one, `npm run build` if there is such a script,
 * `npm start` as the one service, which without a start script is `node server.js`. Null when the project has neither: nothing could be run.
 */
export function assumedManifestFrom(
  packageJson: unknown,
  files: { readonly lock: boolean; readonly server: boolean },
): AssumedManifest | null {
  const parsed = z
    .object({
      scripts: z.record(z.string(), z.unknown()).optional(),
      dependencies: z.unknown(),
      devDependencies: z.unknown(),
    })
    .partial()
    .safeParse(packageJson);
  if (!parsed.success) return null;
  const scripts = parsed.data.scripts ?? {};
  if (typeof scripts['start'] !== 'string' && ('start' in scripts || !files.server)) return null;
  const needsInstall = [parsed.data.dependencies, parsed.data.devDependencies].some(
    (group) => typeof group === 'object' && group !== null && Object.keys(group).length > 0,
  );
  const install = files.lock ? 'npm ci' : 'npm install';
  const steps = [
    ...(needsInstall ? [install] : []),
    ...(typeof scripts['build'] === 'string' ? ['npm run build'] : []),
  ];
  const result = manifestFrom({
    // A container has no program but those it names (server-config/guest); the process runtime has the machine's own Node.
    packages: ['nodejs_24'],
    ...(steps.length > 0 ? { setup: { command: steps.join(' && ') } } : {}),
    services: [{ name: 'web', command: 'npm start', port: 3_000 }],
    database: 'host',
  });
  if (!result.ok) return null;
  return {
    manifest: result.manifest,
    assumptions: [
      'There is no preview.toml, so this is treated as a Node.js project:',
      steps.length > 0 ? `setup runs \`${steps.join(' && ')}\`` : 'there is nothing to install or build',
      'the service is `npm start`, listening on the port in PORT',
      'it has a PostgreSQL database of its own in DATABASE_URL',
    ],
  };
}
