/**
 * Runs instances in NixOS containers. This adapter has no privileges: it stages files, builds closures through the Nix daemon, and asks hostd for
 * the rest. A container's life: create with its files → start → setup once → services; stop keeps all of it, remove leaves nothing.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppManifest } from '../../../core/app-manifest.ts';
import { OperatorError } from '../../../core/errors.ts';
import {
  commandOutputSchema,
  type CommandInside,
  type CommandStreams,
  type ContainerState,
  type HostDaemon,
} from '../../../core/host-verbs.ts';
import { FAILURE_TAIL_LINES } from '../../../core/limits.ts';
import { parseInstanceName, type InstanceName } from '../../../core/names.ts';
import { addressesOf, type AddressPool } from '../../../core/slots.ts';
import type { InstanceSpec, LogLine, ObservedInstance, Runtime, Shell } from '../../../ports.ts';
import type { ClosureSettings } from './builds.ts';
import { closuresIn } from './closures.ts';
import { logLineFrom } from './journal.ts';

export interface NixosContainerSettings {
  readonly pool: AddressPool;
  /** Where the files of an instance wait for its container: `<staging>/<name>`. hostd reads them from there. */
  readonly staging: string;
  readonly closures: ClosureSettings;
}

interface Tools {
  readonly hostd: HostDaemon;
  readonly shell: Shell;
}

interface Work {
  readonly signal: AbortSignal;
  /** The last lines of the app, for an error. */
  readonly tail: () => Promise<string>;
}

export function nixosContainerRuntime(settings: NixosContainerSettings, tools: Tools): Runtime {
  const { hostd, shell } = tools;
  const closures = closuresIn(settings.closures, { shell, hostd });
  const stagedAt = (name: InstanceName) => join(settings.staging, name);
  const logs = (name: InstanceName, options: LogOptions) => journalLines(hostd, name, options);

  const observe: Runtime['observe'] = async (name, more) => {
    const units = more?.services === true;
    const state = await hostd.ask({ verb: 'observe-container', name, units });
    if (state !== null) return observedFrom(state);
    return (await exists(stagedAt(name))) ? { name, running: false, services: [] } : null;
  };

  return {
    kind: 'nixos-container',
    observe,
    list: async () => {
      const containers = (await hostd.ask({ verb: 'list-containers' })).map(observedFrom);
      const names = new Set(containers.map((each) => each.name));
      const staged = (await readdir(settings.staging).catch(() => [])).map(parseInstanceName);
      const waiting = staged.filter((name) => name !== null).filter((name) => !names.has(name));
      return [...containers, ...waiting.map((name) => ({ name, running: false, services: [] }))];
    },
    diskRoom: () => hostd.ask({ verb: 'measure-disks' }),
    addressesOf: (slot) => addressesOf(settings.pool, slot),
    // Beside the app in the guest's file system; no daemon, no token.
    repositoryUrlOf: () => 'file:///home/preview/repository.git',
    readConfig: async (config, signal) => (await closures.evaluate(config, signal)).meta,
    buildSystem: (manifest, signal) => closures.ensure(manifest, signal),
    prepare: (spec) => prepare(hostd, spec),
    ensureDirectory: async (name) => {
      await mkdir(stagedAt(name), { recursive: true, mode: 0o700 });
      return stagedAt(name);
    },
    setUp: (spec, signal) => setUp(hostd, spec, { signal, tail: () => lastLines(logs, spec.name) }),
    start: (spec, signal) => startApp(hostd, spec, { signal, tail: () => lastLines(logs, spec.name) }),
    upstreamsOf: ({ slot, manifest }) => {
      const address = addressesOf(settings.pool, slot).instance;
      return Object.fromEntries(portsOf(manifest).map((port) => [String(port), { address, port }]));
    },
    run: (spec, command, streams) => runInside(hostd, { name: spec.name, command }, streams),
    stop: async (name) => {
      await hostd.ask({ verb: 'stop-container', name });
    },
    remove: async (name) => {
      await hostd.ask({ verb: 'remove-container', name });
      await rm(stagedAt(name), { recursive: true, force: true });
    },
    logs,
  };
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

function portsOf(manifest: AppManifest): number[] {
  return manifest.services.flatMap((service) => service.port ?? []);
}

function observedFrom(state: ContainerState): ObservedInstance {
  return { name: state.name, running: state.state === 'running', services: state.units };
}

/** Whatever keeps it from being made will keep `setUp` from it too, which says so. */
async function prepare(
  hostd: HostDaemon,
  { name, system, manifest }: Pick<InstanceSpec, 'name' | 'system' | 'manifest'>,
): Promise<void> {
  if (system === null) return;
  const { diskMiB } = manifest.limits;
  await hostd.ask({ verb: 'prepare-container', name, system, diskMiB }).catch(() => undefined);
}

/** From its beginning: what an earlier try left in the container is not built upon. */
async function setUp(hostd: HostDaemon, spec: InstanceSpec, { signal, tail }: Work): Promise<void> {
  const { name } = spec;
  const before = await hostd.ask({ verb: 'observe-container', name });
  if (before !== null && before.state !== 'prepared') await hostd.ask({ verb: 'remove-container', name });
  await create(hostd, spec, signal);
  await hostd.ask({ verb: 'start-container', name }, { signal });
  await runSetup(hostd, spec, { signal, tail });
}

/** The container exists and runs, with nothing of the app started. */
async function bringUp(hostd: HostDaemon, spec: InstanceSpec, signal: AbortSignal): Promise<void> {
  const { name } = spec;
  const before = await hostd.ask({ verb: 'observe-container', name }, { signal });
  if (before?.state === 'running') return;
  if (before?.state === 'leftovers') await hostd.ask({ verb: 'remove-container', name });
  if (before === null || before.state === 'leftovers' || before.state === 'prepared') await create(hostd, spec, signal);
  await hostd.ask({ verb: 'start-container', name }, { signal });
}

/** Nothing of a container of this name may be there, but one that was prepared. */
async function create(
  hostd: HostDaemon,
  { name, system, manifest, ...spec }: InstanceSpec,
  signal: AbortSignal,
): Promise<void> {
  if (system === null) throw new OperatorError('RUNTIME_FAILED', `The system of ${name} has not been built.`);
  const { memoryMiB, cpuPercent, tasks, diskMiB } = manifest.limits;
  const limits = { memoryMiB, cpuPercent, tasks, diskMiB };
  const own = manifest.ownSystem;
  const units = own === undefined ? null : { setup: own.setupService, apps: [...own.appServices] };
  const environment = { ...spec.environment };
  await hostd.ask({ verb: 'create-container', name, system, environment, limits, units }, { signal });
}

async function startApp(hostd: HostDaemon, spec: InstanceSpec, { signal, tail }: Work): Promise<void> {
  // It was set up just now, most often, and asking whether it runs would be for nothing.
  if (await startsServices(hostd, spec.name, signal)) return;
  await bringUp(hostd, spec, signal);
  if (await startsServices(hostd, spec.name, signal)) return;
  throw new OperatorError('START_FAILED', 'The services of the app could not be started.', { detail: await tail() });
}

async function startsServices(hostd: HostDaemon, name: InstanceName, signal: AbortSignal): Promise<boolean> {
  const started = await hostd.ask({ verb: 'start-unit', name, unit: 'preview.target' }, { signal });
  return started?.ok === true;
}

async function runSetup(hostd: HostDaemon, spec: InstanceSpec, { signal, tail }: Work): Promise<void> {
  const seconds = spec.manifest.setup?.timeoutSeconds;
  if (seconds === undefined) return;
  const timeout = AbortSignal.timeout(seconds * 1_000);
  const request = { verb: 'start-unit', name: spec.name, unit: 'setup-preview.service' } as const;
  try {
    const ended = await hostd.ask(request, { signal: AbortSignal.any([signal, timeout]) });
    if (ended?.ok !== true)
      throw new OperatorError('SETUP_FAILED', 'The setup command failed.', { detail: await tail() });
  } catch (error) {
    if (signal.aborted || !timeout.aborted) throw error;
    throw new OperatorError('SETUP_TIMED_OUT', `The setup command did not end within ${seconds} s.`, {
      detail: await tail(),
    });
  }
}

async function runInside(
  hostd: HostDaemon,
  asked: { name: InstanceName; command: CommandInside },
  streams: CommandStreams,
): Promise<number> {
  const lines = async function* () {
    for await (const chunk of streams.input) yield JSON.stringify({ input: chunk.toString('base64') });
    yield JSON.stringify({ input: null });
  };
  const onLine = (line: string) => {
    const { stream, data } = commandOutputSchema.parse(JSON.parse(line));
    return streams.output(stream, Buffer.from(data, 'base64'));
  };
  const request = { verb: 'run-inside', ...asked } as const;
  return (await hostd.ask(request, { signal: streams.signal, onLine, lines: lines() })).status;
}

interface LogOptions {
  follow: boolean;
  tailLines: number;
  signal: AbortSignal;
}

/** Lines that wait for a slow reader; beyond this the oldest are dropped. */
const waitingLinesMax = 10_000;

async function* journalLines(hostd: HostDaemon, name: InstanceName, options: LogOptions): AsyncIterable<LogLine> {
  const { follow, tailLines, signal } = options;
  const waiting: LogLine[] = [];
  let wake = Promise.withResolvers<void>();
  let isOver = false;
  const onLine = (text: string) => {
    const line = logLineFrom(text);
    if (line === null) return;
    if (waiting.push(line) > waitingLinesMax) waiting.shift();
    wake.resolve();
  };
  const left = new AbortController();
  const read = hostd
    .ask({ verb: 'read-journal', name, tailLines, follow }, { signal: AbortSignal.any([signal, left.signal]), onLine })
    .catch((error: unknown) => {
      if (!signal.aborted && !left.signal.aborted) throw error;
    })
    .finally(() => {
      isOver = true;
      wake.resolve();
    });
  read.catch(() => undefined);
  try {
    for (;;) {
      const line = waiting.shift();
      if (line !== undefined) yield line;
      else if (isOver) break;
      else {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    }
    await read;
  } finally {
    left.abort();
  }
}

async function lastLines(
  logs: (name: InstanceName, options: LogOptions) => AsyncIterable<LogLine>,
  name: InstanceName,
): Promise<string> {
  const signal = AbortSignal.timeout(5_000);
  const lines: string[] = [];
  for await (const line of logs(name, { follow: false, tailLines: FAILURE_TAIL_LINES, signal })) lines.push(line.text);
  return lines.slice(-FAILURE_TAIL_LINES).join('\n');
}
