/**
 * What the operator, which has no privileges, may ask of hostd, which is root: a fixed list of verbs, each with typed arguments.
 * This schema is the whole privileged surface of Berth. Nothing here is a path, a flag, a unit or a command of the host; hostd derives all
 * of those from a container's name. The one command that it takes runs inside a container, as a unit of that guest's own systemd.
 */
import { z } from 'zod';
import { COMMAND_WORD_MAX_LENGTH, COMMAND_WORDS_MAX, MANIFEST_MAX_BYTES } from './limits.ts';
import { isEnvironmentName } from './environment-names.ts';
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
  diskMiB: z.int().min(64).max(1_048_576),
});
export type ContainerLimits = z.infer<typeof limits>;

const unit = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/);

/** The services of the guest that hold the app, where they are not called as server-config/guest/manifest.nix does. */
const guestUnits = z.strictObject({ setup: unit, apps: z.array(unit).max(16) });
export type GuestUnits = z.infer<typeof guestUnits>;

/** Units of the guest that hold the app (server-config/guest/README.md). */
const guestUnit = z.union([z.literal('setup-preview.service'), z.literal('preview.target')]);

const word = z
  .string()
  .max(COMMAND_WORD_MAX_LENGTH)
  .refine((text) => !text.includes('\0'), 'must not hold NUL');

/** A command to run in a preview. No line of it is ever given to a shell. */
export const commandInside = z.union([
  z.strictObject({ argv: z.array(word).min(1).max(COMMAND_WORDS_MAX), asRoot: z.boolean() }),
  /** A shell that reads what is typed; with the size of the caller's terminal, or null for a pipe. */
  z.strictObject({
    shell: z.strictObject({ columns: z.int().min(1).max(10_000), rows: z.int().min(1).max(10_000) }).nullable(),
    asRoot: z.boolean(),
  }),
]);
export type CommandInside = z.infer<typeof commandInside>;

/** Both ends of a command that runs in an instance. */
export interface CommandStreams {
  readonly input: AsyncIterable<Buffer>;
  /** Resolves when the reader keeps up. */
  readonly output: (stream: 'stdout' | 'stderr', chunk: Buffer) => Promise<void>;
  readonly signal: AbortSignal;
}

/** What is typed or piped into a command, in base64; null is its end. */
export const commandInputSchema = z.strictObject({ input: z.base64().nullable() });

/** What it prints, in base64. */
export const commandOutputSchema = z.strictObject({ stream: z.enum(['stdout', 'stderr']), data: z.base64() });

export const hostRequestSchema = z.discriminatedUnion('verb', [
  z.strictObject({ verb: z.literal('list-containers') }),
  /** Without `units: true` its guest is not asked, and has none. */
  z.strictObject({ verb: z.literal('observe-container'), name, units: z.boolean().optional() }),
  /** The part of `create-container` that needs no files: its root is empty. */
  z.strictObject({ verb: z.literal('prepare-container'), name, system: storePath, diskMiB: limits.shape.diskMiB }),
  /** Made, with the staged files of that name in its root; not started. Takes what was prepared for it from the same. */
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
  /**
   * A command inside, as the app's user or as the guest's root. Lines of the caller after the request are its input (`commandInputSchema`), lines
   * back its output; the result is its status. When the caller goes away it is ended.
   */
  z.strictObject({ verb: z.literal('run-inside'), name, command: commandInside }),
  /** From now on, new connections to these ports of the preview's address go to this container, or nowhere. One atomic change. */
  z.strictObject({
    verb: z.literal('switch-answers'),
    address,
    to: z.strictObject({ name, ports: z.array(port).max(64) }).nullable(),
  }),
  z.strictObject({ verb: z.literal('list-answers') }),
  /** Connections that came for a preview and that this container still holds open. */
  z.strictObject({ verb: z.literal('count-connections'), name }),
  /** How much of the host's disk is free, and how much of it previews may still take. */
  z.strictObject({ verb: z.literal('measure-disks') }),
  /** What Caddy would make of this text, as JSON. Nothing is put in force. */
  z.strictObject({ verb: z.literal('adapt-caddyfile'), text: z.string().max(CADDYFILE_MAX_LENGTH) }),
  /** Caddy reads its configuration again, with the route files as they now are. */
  z.strictObject({ verb: z.literal('load-routes') }),
]);
export type HostRequest = z.infer<typeof hostRequestSchema>;
export type HostVerb = HostRequest['verb'];

/**
 * A container as the host sees it. `leftovers` are parts of one that was not made or not removed whole; `prepared` is one that `create-container` will take,
 * until hostd ends: nobody remembers then what it was made of, and it is leftovers.
 */
export interface ContainerState {
  readonly name: InstanceName;
  readonly state: 'running' | 'starting' | 'stopped' | 'failed' | 'prepared' | 'leftovers';
  readonly units: readonly {
    readonly name: string;
    readonly state: 'running' | 'restarting' | 'stopped';
    readonly restarts: number;
  }[];
}

/** Which instance answers at a preview’s address, and on which ports. */
export interface Answers {
  readonly address: string;
  readonly name: InstanceName;
  readonly ports: readonly number[];
}

/** Where instances have their disks. `unfilledMiB` is what all of them may still take: more than is free, where limits add up to more than the host has. */
export interface DiskRoom {
  readonly freeMiB: number;
  readonly unfilledMiB: number;
}

/** What each verb comes to when it does not throw. */
export interface HostResults {
  'list-containers': ContainerState[];
  'observe-container': ContainerState | null;
  'prepare-container': null;
  'create-container': null;
  'evaluate-config': { readonly json: string };
  'start-container': null;
  'stop-container': null;
  'remove-container': null;
  'start-unit': { readonly ok: boolean } | null;
  'read-journal': null;
  'run-inside': { readonly status: number };
  'switch-answers': null;
  'list-answers': Answers[];
  'count-connections': number;
  'measure-disks': DiskRoom;
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
    options?: { signal?: AbortSignal; onLine?: (line: string) => void | Promise<void>; lines?: AsyncIterable<string> },
  ): Promise<HostResults[V]>;
}
