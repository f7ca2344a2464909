/**
 * Instances as sandboxed child processes of this machine: no root, no Nix, no container host. docs/reference/process-runtime.md says
 * what is isolated and bounded this way, and what is not.
 *
 * All that is known of an instance is in its directory and in the process table, so any operator can go on where another was killed.
 */
import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { OperatorError } from '../../../core/errors.ts';
import { parseInstanceName, type InstanceName } from '../../../core/names.ts';
import { PROCESS_SLOTS_MAX } from '../../../core/limits.ts';
import type { AddressPool } from '../../../core/slots.ts';
import type { InstanceSpec, Log, ObservedInstance, Runtime, Shell } from '../../../ports.ts';
import { refuseTakenPorts } from './free-ports.ts';
import { hostPrograms, type HostPrograms } from './host-programs.ts';
import { layoutOf, type InstanceLayout } from './layout.ts';
import { readLogs } from './log-reader.ts';
import { isDirectory, prepare, removeTree } from './instance-files.ts';
import { launchFor, REPOSITORY_INSIDE } from './sandbox.ts';
import { localAddressesOf, placeOf, upstreamsOf } from './service-addresses.ts';
import { runCommand } from './command-run.ts';
import { endLeftovers, observeSupervised, setUpSupervised, startSupervised, stopSupervised } from './supervision.ts';
import { supervisorStarter, type SupervisorStarter } from './supervisor-process.ts';

/** As root each slot has a user of its own, above those of systemd-nspawn (1,879,048,191) and below 2³¹. */
const FIRST_UID = 1_900_000_000;

const MIB = 1024 * 1024;

export interface ProcessRuntimeOptions {
  /** For the instances; made when it is not there. */
  readonly directory: string;
  /** Addresses of the slots; 127.100.0.0/21 where nobody says otherwise. */
  readonly pool: AddressPool;
  /** Where bubblewrap, node and npm are looked for: the operator's own PATH. */
  readonly path: string;
  /** False runs apps without a sandbox. */
  readonly useBubblewrap: boolean;
  readonly shell: Shell;
  readonly log: Log;
}

export interface ProcessRuntime extends Runtime {
  readonly kind: 'process';
  readonly isSandboxed: boolean;
  /** One sentence for the start-up line: whether apps are isolated, and why not. */
  describe(): string;
  /** Ends what stands by to start instances. Those that run go on. */
  close(): Promise<void>;
}

/** Throws a RangeError for a pool with more slots than there are ports, and CONFIG_INVALID for a directory that apps could not get to. */
export async function processRuntime(given: ProcessRuntimeOptions): Promise<ProcessRuntime> {
  if (given.pool.slotMax > PROCESS_SLOTS_MAX)
    throw new RangeError(`${given.pool.cidr} has more than ${PROCESS_SLOTS_MAX} slots`);
  const machine = await openMachine(given);
  const { options, programs, supervisors, layout, uidOf } = machine;
  const starting = new Map<InstanceName, Promise<void>>();

  const observe = async (name: InstanceName): Promise<ObservedInstance | null> =>
    (await isDirectory(layout(name).root)) ? observeSupervised(layout(name)) : null;

  const stop = async (name: InstanceName): Promise<void> => {
    await starting.get(name)?.catch(() => {});
    await stopSupervised(layout(name));
  };

  return {
    kind: 'process',
    isSandboxed: programs.bubblewrap !== null,
    describe: () => describe(machine),
    close: () => supervisors.close(),
    observe,
    list: async () => {
      const names = (await readdir(options.directory)).map(parseInstanceName).filter((name) => name !== null);
      const found = await Promise.all(names.map(observe));
      return found.filter((each) => each !== null);
    },
    diskRoom: async () => null,
    addressesOf: (slot) => localAddressesOf(options.pool, slot),
    repositoryUrlOf: (name) =>
      programs.bubblewrap === null ? pathToFileURL(layout(name).repository).href : `file://${REPOSITORY_INSIDE}`,
    readConfig: () => Promise.reject(noNixHere()),
    buildSystem: async () => null,
    prepare: async () => undefined,
    ensureDirectory: (name) => ensureDirectory(machine, name),
    setUp: (spec, signal) => setUp(machine, spec, signal),
    start: (spec, signal) => {
      // Two calls at once are one start. Across operators the supervisor's claim sees to it.
      const under = starting.get(spec.name);
      if (under !== undefined) return under;
      const started = start(machine, spec, signal).finally(() => starting.delete(spec.name));
      starting.set(spec.name, started);
      return started;
    },
    upstreamsOf: (spec) => upstreamsOf(options.pool, spec),
    run: async (spec, command, streams) => {
      if ((await observe(spec.name))?.running !== true)
        throw new OperatorError('PREVIEW_NOT_RUNNING', 'The processes of the preview do not run.');
      const { limits } = spec.manifest;
      const sandbox = { programs, layout: layout(spec.name), uid: uidOf(spec.slot), limits };
      return runCommand({ ...sandbox, environment: spec.environment }, command, streams);
    },
    stop,
    remove: async (name) => {
      await stop(name);
      await removeTree(options.shell, layout(name).root);
    },
    logs: (name, how) => readLogs(layout(name).logs, how),
  };
}

/** Where instances run, and what they run with. */
interface Machine {
  readonly options: ProcessRuntimeOptions;
  readonly programs: HostPrograms;
  readonly isRoot: boolean;
  /** Of the instances' directories. */
  readonly mode: number;
  readonly supervisors: SupervisorStarter;
  readonly layout: (name: InstanceName) => InstanceLayout;
  /** Null where apps run as our own user. */
  readonly uidOf: (slot: number) => number | null;
}

/** Looks what this machine has, and makes the directory of the instances. Throws CONFIG_INVALID. */
async function openMachine(given: ProcessRuntimeOptions): Promise<Machine> {
  const options = { ...given, directory: resolve(given.directory) };
  const { directory } = options;
  const isRoot = process.getuid?.() === 0;
  const programs = await hostPrograms({ ...options, isRoot });
  // Without a sandbox the users of the slots have to pass through to their files; what they may read there is theirs.
  const mode = isRoot && programs.bubblewrap === null ? 0o711 : 0o700;
  await mkdir(directory, { recursive: true, mode });
  await chmod(directory, mode);
  if (mode === 0o711) await checkPassable(directory);
  return {
    options,
    programs,
    isRoot,
    mode,
    supervisors: supervisorStarter({
      compileCache: join(directory, '.compile-cache'),
      errors: join(directory, '.supervisor-errors'),
    }),
    layout: (name) => layoutOf(directory, name, programs.bubblewrap !== null),
    uidOf: (slot) => (isRoot ? FIRST_UID + slot : null),
  };
}

function noNixHere(): OperatorError {
  return new OperatorError(
    'CONFIG_REFUSED',
    'preview-config.nix needs the runtime "nixos-container" (not-on-this-host).',
    { hint: 'Say in a preview.toml what the app needs; docs/guides/add-your-app.md has examples.' },
  );
}

async function ensureDirectory({ layout, mode }: Machine, name: InstanceName): Promise<string> {
  const at = layout(name);
  await mkdir(at.root, { recursive: true, mode });
  for (const path of [at.home, at.tmp, at.logs]) await mkdir(path, { recursive: true, mode: 0o700 });
  return at.root;
}

async function setUp(machine: Machine, spec: InstanceSpec, signal: AbortSignal): Promise<void> {
  const { programs, supervisors, layout, uidOf } = machine;
  if (spec.manifest.setup === undefined) return;
  const at = layout(spec.name);
  await endLeftovers(at);
  const { limits, setup } = spec.manifest;
  const sandbox = { programs, layout: at, uid: uidOf(spec.slot), limits, environment: spec.environment };
  const memoryMaxBytes = limits.memoryMiB * MIB;
  const timeoutMs = setup.timeoutSeconds * 1_000;
  await writeFile(at.settingUp, '');
  try {
    await prepare(sandbox, signal);
    const work = { launch: launchFor(sandbox, setup.command), logs: at.logs, timeoutMs, memoryMaxBytes };
    await setUpSupervised(work, supervisors, signal);
    // It ended by itself, and with it its sandbox: then there is nothing to look for.
    await rm(at.settingUp, { force: true });
  } finally {
    await endLeftovers(at);
    await rm(at.settingUp, { force: true });
  }
}

/** One that runs already is left alone. */
async function start(machine: Machine, spec: InstanceSpec, signal: AbortSignal): Promise<void> {
  const { options, programs, supervisors, layout, uidOf } = machine;
  const at = layout(spec.name);
  const isRunning = async () => (await isDirectory(at.root)) && observeSupervised(at).running;
  if (await isRunning()) return;
  await endLeftovers(at);
  const sandbox = { programs, layout: at, uid: uidOf(spec.slot), limits: spec.manifest.limits };
  await Promise.all([
    refuseTakenPorts(upstreamsOf(options.pool, spec)).catch(async (error: unknown) => {
      // Another operator of ours was faster: what answers is the app.
      if (!(await isRunning())) throw error;
    }),
    prepare({ ...sandbox, environment: spec.environment }, signal),
  ]);
  const services = spec.manifest.services.map((service) => {
    const environment = { ...spec.environment, ...placeOf(spec, service.name) };
    return { name: service.name, launch: launchFor({ ...sandbox, environment }, service.command) };
  });
  const memoryMaxBytes = spec.manifest.limits.memoryMiB * MIB;
  const run = { logs: at.logs, claim: at.claim, status: at.status, services, memoryMaxBytes };
  await startSupervised(at, run, supervisors, signal);
}

function describe({ programs: { bubblewrap, whyNoBubblewrap }, isRoot }: Machine): string {
  if (bubblewrap !== null)
    return 'Apps run as child processes, each in a bubblewrap sandbox; the network is not isolated.';
  const power = isRoot ? 'a user of its own' : 'your own user';
  return `Apps run as child processes WITHOUT A SANDBOX, as ${power} (${whyNoBubblewrap}): run only code that you trust.`;
}

/** Throws CONFIG_INVALID when other users cannot get to the directory: every app would fail with an error that explains nothing. */
async function checkPassable(directory: string): Promise<void> {
  for (let path = directory; path !== dirname(path); path = dirname(path)) {
    if (((await stat(path)).mode & 0o001) !== 0) continue;
    throw new OperatorError('CONFIG_INVALID', `Other users may not pass ${path}, and apps run as users of their own.`, {
      hint: 'Install bubblewrap, run the operator as a normal user, or choose a `state.directory` that other users can pass.',
    });
  }
}
