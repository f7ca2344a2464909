/**
 * What the operator, which has no privileges, may ask of hostd, which is root: a fixed list of verbs, each with typed arguments.
 * This schema is the whole privileged surface of Berth. Nothing here is a path, a flag, a unit of the host or a command; hostd derives all
 * of those from a container's name.
 */
import { z } from 'zod';
import { MANIFEST_MAX_BYTES } from './limits.ts';
import { isEnvironmentName } from './app-manifest.ts';
import type { ErrorCode } from './errors.ts';
import { parseInstanceName, type InstanceName } from './names.ts';

/** One request is one line of JSON. The environment is the only large part of one. */
export const HOST_REQUEST_MAX_BYTES = 4 * 1024 * 1024;

/** The candidate of one preview is 2 kB; a test adapts a thousand at once. */
const CADDYFILE_MAX_LENGTH = 2 * 1024 * 1024;

const name = z.custom<InstanceName>(
  (value) => typeof value === 'string' && parseInstanceName(value) !== null,
  'must be the name of an instance',
);

const address = z.ipv4();
const port = z.int().min(1).max(65_535);

/** `/nix/store/<hash>-<name>`, nothing below it. */
const storePath = z.string().regex(/^\/nix\/store\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]{1,200}$/, 'must be a store path');

/** Ours (PREVIEW_*, DATABASE_URL), and what an app may set. */
const environmentName = z
  .string()
  .refine((value) => isEnvironmentName(value) || /^PREVIEW_[A-Z_]{1,40}$|^DATABASE_URL$/.test(value));
const environment = z.record(
  environmentName,
  z
    .string()
    .max(65_536)
    .refine((value) => !value.includes('\0')),
);

const limits = z.strictObject({
  memoryMiB: z.int().min(64).max(65_536),
  cpuPercent: z.int().min(5).max(6_400),
  tasks: z.int().min(16).max(32_768),
});
export type ContainerLimits = z.infer<typeof limits>;

const unit = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/);

/** The services of the guest that hold the app, where they are not called as server-config/guest/manifest.nix does. */
const guestUnits = z.strictObject({ setup: unit, apps: z.array(unit).max(16) });
export type GuestUnits = z.infer<typeof guestUnits>;

/** Units of the guest that hold the app (server-config/guest/README.md). */
const guestUnit = z.union([z.literal('setup-preview.service'), z.literal('preview.target')]);

export const hostRequestSchema = z.discriminatedUnion('verb', [
  z.strictObject({ verb: z.literal('list-containers') }),
  z.strictObject({ verb: z.literal('observe-container'), name }),
  /** Made, with the staged files of that name in its root; not started. */
  z.strictObject({
    verb: z.literal('create-container'),
    name,
    system: storePath,
    environment,
    limits,
    units: guestUnits.nullable(),
  }),
  /** The answer of a preview-config.nix, evaluated by a user of its own without files, network or powers (core/preview-config.ts). */
  z.strictObject({ verb: z.literal('evaluate-config'), config: z.string().max(MANIFEST_MAX_BYTES) }),
  /** Up and ready, its network rules in place before its link is. */
  z.strictObject({ verb: z.literal('start-container'), name }),
  z.strictObject({ verb: z.literal('stop-container'), name }),
  z.strictObject({ verb: z.literal('remove-container'), name }),
  /** Starts a unit inside and waits until its job is done; ends it when the caller goes away. */
  z.strictObject({ verb: z.literal('start-unit'), name, unit: guestUnit }),
  /** The app's journal, line by line, oldest first. */
  z.strictObject({
    verb: z.literal('read-journal'),
    name,
    tailLines: z.int().min(0).max(100_000),
    follow: z.boolean(),
  }),
  /** From now on, new connections to these ports of the preview's address go to this container, or nowhere. One atomic change. */
  z.strictObject({
    verb: z.literal('switch-answers'),
    address,
    to: z.strictObject({ name, ports: z.array(port).max(64) }).nullable(),
  }),
  z.strictObject({ verb: z.literal('list-answers') }),
  /** Connections that came for a preview and that this container still holds open. */
  z.strictObject({ verb: z.literal('count-connections'), name }),
  /** What Caddy would make of this text, as JSON. Nothing is put in force. */
  z.strictObject({ verb: z.literal('adapt-caddyfile'), text: z.string().max(CADDYFILE_MAX_LENGTH) }),
  /** Caddy reads its configuration again, with the route files as they now are. */
  z.strictObject({ verb: z.literal('load-routes') }),
]);
export type HostRequest = z.infer<typeof hostRequestSchema>;
export type HostVerb = HostRequest['verb'];

/** A container as the host sees it. `leftovers` are parts of one that was not made or not removed whole. */
export interface ContainerState {
  readonly name: InstanceName;
  readonly state: 'running' | 'starting' | 'stopped' | 'failed' | 'leftovers';
  readonly restarts: number;
  readonly units: readonly {
    readonly name: string;
    readonly state: 'running' | 'restarting' | 'stopped';
    readonly restarts: number;
  }[];
}

export interface Answers {
  readonly address: string;
  readonly name: InstanceName;
  readonly ports: readonly number[];
}

export interface HostResults {
  'list-containers': ContainerState[];
  'observe-container': ContainerState | null;
  'create-container': null;
  'evaluate-config': { readonly json: string };
  'start-container': null;
  'stop-container': null;
  'remove-container': null;
  'start-unit': { readonly ok: boolean };
  'read-journal': null;
  'switch-answers': null;
  'list-answers': Answers[];
  'count-connections': number;
  'adapt-caddyfile': { readonly json: string } | { readonly refused: string };
  'load-routes': { readonly refused: string | null };
}

/** What hostd writes back, one line of JSON each: any number of `line`s, then one of the others. */
export type HostReply =
  | { readonly line: string }
  | { readonly result: unknown }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly detail: string | null } };

/** hostd as its callers see it: one method, typed by the verb. */
export interface HostDaemon {
  /** Throws the OperatorError that hostd reports; RUNTIME_FAILED when it does not answer. The signal ends the work in hostd too. */
  ask<V extends HostVerb>(
    request: Extract<HostRequest, { verb: V }>,
    options?: { signal?: AbortSignal; onLine?: (line: string) => void },
  ): Promise<HostResults[V]>;
}
