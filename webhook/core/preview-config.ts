/**
 * preview-config.nix: a NixOS module of the app's own, for those who need more of NixOS than preview.toml can say. It is code, so all that we take
 * from it is an answer in JSON, read here by a closed schema, and nothing of that becomes a path, a unit of the host or configuration syntax.
 */
import { z } from 'zod';
import { extraHosts, manifestFrom, routes, secretNames, type AppManifest } from './app-manifest.ts';

export const PREVIEW_CONFIG_FILE = 'preview-config.nix';

/**
 * How Nix evaluates it, wherever it does. Pure mode alone lets a fetch with a known hash out, restricted mode alone shows the environment
 * (both tried). The one allowed URI is for the locked nixpkgs; in pure mode it takes the hash of what is fetched, so it shows nothing unknown.
 */
export const EVALUATION_FLAGS: readonly string[] = [
  '--no-update-lock-file',
  '--pure-eval',
  '--restrict-eval',
  '--option',
  'allow-import-from-derivation',
  'false',
  '--option',
  'allowed-uris',
  'path:/nix/store/',
];

/** Units that every guest has for itself; an app that names one of them as its own would have us stop it. */
const GUEST_UNITS = /^(?:systemd-.*|.*getty|dbus|dbus-broker|sshd|nscd|preview|network.*|user|init)$/;

const unit = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and hyphens, beginning with a letter')
  .refine((name) => !GUEST_UNITS.test(name), 'is a unit of the guest itself');

const previewMetaSchema = z
  .strictObject({
    setupService: unit,
    appServices: z.array(unit).max(16),
    database: z.enum(['host', 'container']),
    routes,
    hostSecrets: secretNames,
    extraHosts,
  })
  .superRefine((meta, context) => {
    const names = [meta.setupService, ...meta.appServices];
    if (new Set(names).size !== names.length)
      context.addIssue({ code: 'custom', path: ['appServices'], message: 'every unit may stand once' });
    if (portsOf(meta).length > PORTS_MAX)
      context.addIssue({ code: 'custom', path: ['routes'], message: `more than ${PORTS_MAX} different ports` });
  });

/** What a preview-config.nix says in `system.build.previewMeta`. */
export type PreviewMeta = z.infer<typeof previewMetaSchema>;

/** As many as a preview.toml may have services. */
const PORTS_MAX = 16;

/** The metadata in JSON; more than anybody needs, and less than would hold anything up. */
const META_MAX_LENGTH = 64 * 1024;

const answerSchema = z.strictObject({ meta: z.unknown(), units: z.array(z.string()), drv: z.string() });

/** What the evaluation of a preview-config.nix came to (server-config/guest/flake.nix, `evaluation`). */
export interface Evaluation {
  readonly meta: PreviewMeta;
  /** Store path of the derivation of the system. */
  readonly drv: string;
}

export type EvaluationResult = { ok: true; evaluation: Evaluation } | { ok: false; problems: string[] };

/** Reads the answer. Problems begin with a JSON pointer into previewMeta: `/routes/0/port: …`. */
export function evaluationFrom(json: string): EvaluationResult {
  const answer = answerSchema.parse(JSON.parse(json));
  if (!/^\/nix\/store\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]{1,200}\.drv$/.test(answer.drv))
    return { ok: false, problems: ['/: the system is not a derivation'] };
  if (JSON.stringify(answer.meta).length > META_MAX_LENGTH)
    return { ok: false, problems: [`/: longer than ${META_MAX_LENGTH} characters`] };
  const parsed = previewMetaSchema.safeParse(answer.meta);
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.map(problemText).slice(0, 20) };
  const units = new Set(answer.units);
  const named = [['/setupService', parsed.data.setupService] as const].concat(
    parsed.data.appServices.map((name, index) => [`/appServices/${index}`, name] as never),
  );
  const missing = named.filter(([, name]) => !units.has(name));
  if (missing.length > 0)
    return { ok: false, problems: missing.map(([pointer, name]) => `${pointer}: there is no service ${name}`) };
  return { ok: true, evaluation: { meta: parsed.data, drv: answer.drv } };
}

function problemText(issue: z.core.$ZodIssue): string {
  const pointer = issue.path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  const message = issue.code === 'unrecognized_keys' ? `unknown key ${issue.keys.join(', ')}` : issue.message;
  return `${pointer || '/'}: ${message}`.slice(0, 256);
}

function portsOf(meta: Pick<PreviewMeta, 'routes' | 'extraHosts'>): number[] {
  const all = [...meta.routes, ...meta.extraHosts.flatMap((host) => host.routes)];
  return [...new Set(all.map((route) => route.port))];
}

/** The metadata as a manifest: the rest of Berth knows no other form. */
export function manifestFromMeta(meta: PreviewMeta, config: string): AppManifest {
  const result = manifestFrom({
    setup: { command: [meta.setupService] },
    services: portsOf(meta).map((port) => ({ name: `port-${port}`, command: [PREVIEW_CONFIG_FILE], port })),
    routes: meta.routes,
    extraHosts: meta.extraHosts,
    database: meta.database,
    secrets: meta.hostSecrets,
  });
  if (!result.ok) throw new Error(`previewMeta passed its schema and is no manifest: ${result.problems.join('; ')}`);
  const { setupService, appServices } = meta;
  return { ...result.manifest, ownSystem: { config, setupService, appServices } };
}

/** The kinds of refusal; docs/reference/errors.md explains each. */
export type RefusalClass =
  | 'reads-files'
  | 'fetches'
  | 'builds-while-evaluating'
  | 'recursion'
  | 'syntax'
  | 'no-meta'
  | 'too-much-output'
  | 'throws';

/**
 * The class of a failed evaluation, from what Nix printed (2.8 to 2.34 word these alike). Only for people: nothing is decided by it, and text of
 * the app's own (`throw`, `trace`) may lead it astray.
 */
export function refusalClassOf(stderr: string): RefusalClass {
  return CLASSES.find(([pattern]) => pattern.test(stderr))?.[1] ?? 'throws';
}

const CLASSES: readonly (readonly [RegExp, RefusalClass])[] = [
  [
    /access to (?:absolute|canonical) path|cannot look up '<|not allowed to (?:read|refer)|is forbidden in pure/,
    'reads-files',
  ],
  [
    /access to URI|requires a '?(?:sha256|locked)|is not allowed in pure|unlocked (?:flake|input)|cannot call/,
    'fetches',
  ],
  [/allow-import-from-derivation|during evaluation/, 'builds-while-evaluating'],
  [/infinite recursion|stack overflow/, 'recursion'],
  [/syntax error|undefined variable/, 'syntax'],
  [/previewMeta/, 'no-meta'],
];

/**
 * GC_MAXIMUM_HEAP_SIZE for Nix's environment, in bytes: its collector (bdwgc) then says "out of memory" before the kernel has to end something. A quarter
 * of the memory is for what is not collected.
 */
export function heapMaxBytes(memoryMiB: number): string {
  return String(memoryMiB * 768 * 1024);
}

/** Whether Nix ended because its memory was over. */
export function isOutOfMemory(stderr: string): boolean {
  return /out of memory|std::bad_alloc|Too many heap sections|Cannot allocate memory/i.test(stderr.slice(-4_000));
}
