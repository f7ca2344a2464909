/** What runs an app, as one operator process sees it: sources, instances, and whether they are healthy. */
import { OperatorError } from '../../webhook/core/errors.ts';
import type { AppManifest } from '../../webhook/core/app-manifest.ts';
import type { InstanceName } from '../../webhook/core/names.ts';
import { addressesOf } from '../../webhook/core/slots.ts';
import type { Health, Runtime, Sources } from '../../webhook/ports.ts';
import type { SimulatedProcess } from './faults.ts';
import type { Shared } from './shared-world.ts';
import type { AppKind } from './simulated-github.ts';

/** Virtual time that setup takes: long enough for pushes, closes and crashes to fall into it. */
const SETUP_MS_MAX = 4_000;

/** Of an app with a database. One of sixteen texts, so that previews share some. */
const SEED = 'seed.sql';

export function simulatedSources({ host, faults, github, random, clock }: Shared, process: SimulatedProcess): Sources {
  return {
    ensure: (source) =>
      faults.effect(process, 'sources.ensure', () => {
        host.fetched.add(`${source.key.repositoryId}/${source.revision.sha}`);
        host.touched.add(source.revision.sha);
      }),
    readFile: (source, path) =>
      faults.read(process, () => {
        if (path === SEED) return `select '${source.revision.sha.slice(0, 1)}';`;
        if (path !== 'preview.toml') return null;
        return fileOf(github.apps.get(source.revision.sha) ?? 'good');
      }),
    hasFile: async () => false,
    place: async (source, directory) => {
      const instance = host.instances.get(directory as InstanceName);
      await faults.effect(
        process,
        'sources.place',
        async () => {
          await clock.sleep(random.integer(1, 30));
          if (!host.fetched.has(`${source.key.repositoryId}/${source.revision.sha}`))
            throw new OperatorError('COMMIT_NOT_FOUND', 'The commit was not fetched.');
          if (instance !== undefined) instance.placed = source.revision.sha;
        },
        () => {
          if (instance !== undefined) instance.placed = null;
        },
      );
    },
    removeUnused: async () => undefined,
  };
}

function fileOf(app: AppKind): string | null {
  switch (app) {
    case 'no-manifest':
      return null;
    case 'bad-manifest':
      return 'services = "nope"';
    case 'good':
      return '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[setup]\ncommand = "build"\n';
    case 'setup-fails':
      return '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[setup]\ncommand = "fail"\n';
    case 'unhealthy':
      return '[[services]]\nname = "web"\ncommand = "sick"\nport = 3000\n';
    case 'with-database':
      return `database = "host"\ndatabaseSeed = "${SEED}"\n[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n`;
    case 'with-extra-host':
      return '[[services]]\nname = "web"\ncommand = "run"\nport = 3000\n[[extraHosts]]\nprefix = "admin"\nroutes = [{ path = "/", port = 3000 }]\n';
  }
}

export function simulatedRuntime({ host, faults, clock, random, pool }: Shared, process: SimulatedProcess): Runtime {
  const observed = (name: InstanceName) => {
    const instance = host.instances.get(name);
    return instance === undefined ? null : { name, running: instance.running, services: [] };
  };
  const existing = (name: InstanceName) => {
    const instance = host.instances.get(name);
    if (instance === undefined) throw new OperatorError('RUNTIME_FAILED', `${name} does not exist.`);
    return instance;
  };
  return {
    kind: 'process',
    observe: (name) => faults.read(process, () => observed(name)),
    list: () => faults.read(process, () => [...host.instances.keys()].map(observed).filter((each) => each !== null)),
    diskRoom: () => Promise.resolve(null),
    addressesOf: (slot) => addressesOf(pool, slot),
    repositoryUrlOf: (name) => `file:///${name}`,
    run: async () => 0,
    readConfig: async () => {
      throw new OperatorError('CONFIG_REFUSED', 'Nothing is evaluated here.');
    },
    buildSystem: async () => null,
    prepare: async () => undefined,
    ensureDirectory: (name) =>
      faults.effect(process, 'runtime.ensureDirectory', () => {
        if (!host.instances.has(name))
          host.instances.set(name, {
            name,
            placed: null,
            setUpBegun: false,
            running: false,
            headRepositoryId: null,
          });
        return name;
      }),
    setUp: async (spec, signal) => {
      const instance = existing(spec.name);
      host.builds.push(spec.revision.sha);
      await faults.effect(
        process,
        'runtime.setUp',
        async () => {
          if (instance.setUpBegun) throw new OperatorError('SETUP_FAILED', 'mkdir: dist: File exists');
          instance.setUpBegun = true;
          await clock.sleep(random.integer(1, SETUP_MS_MAX), signal);
          if (spec.manifest.setup?.command === 'fail')
            throw new OperatorError('SETUP_FAILED', 'setup ended with status 1', { detail: 'boom' });
        },
        () => {
          instance.setUpBegun = true;
        },
      );
    },
    start: (spec) =>
      faults.effect(process, 'runtime.start', () => {
        existing(spec.name).running = true;
        host.touched.add(spec.revision.sha);
      }),
    upstreamsOf: (spec) => upstreamsOf(spec.manifest, addressesOf(pool, spec.slot).instance),
    stop: (name) =>
      faults.effect(process, 'runtime.stop', () => {
        const instance = host.instances.get(name);
        if (instance !== undefined) instance.running = false;
      }),
    remove: (name) =>
      faults.effect(
        process,
        'runtime.remove',
        () => {
          host.instances.delete(name);
        },
        () => {
          const instance = host.instances.get(name);
          if (instance !== undefined) Object.assign(instance, { running: false, placed: null });
        },
      ),
    async *logs() {},
  };
}

function upstreamsOf(manifest: AppManifest, address: string) {
  return Object.fromEntries(
    manifest.services.flatMap((each) =>
      each.port === undefined ? [] : [[String(each.port), { address, port: each.port }]],
    ),
  );
}

export function simulatedHealth({ host, faults, clock, random, github }: Shared, process: SimulatedProcess): Health {
  return {
    check: (request, _isCrashing, signal) =>
      faults.effect(process, 'health.check', async () => {
        await clock.sleep(random.integer(1, 300), signal);
        const instance = [...host.instances.values()].find(
          (each) => each.running && request.main.address.endsWith(addressEndOf(each.name)),
        );
        const placed = instance?.placed ?? null;
        if (placed === null) throw new OperatorError('NEVER_LISTENED', 'Nothing listens.');
        if (github.apps.get(placed) === 'unhealthy') throw new OperatorError('UNHEALTHY', 'It answers 500.');
      }),
  };
}

/** The last two octets of an instance's address: enough to tell instances of one simulated host apart. */
function addressEndOf(name: InstanceName): string {
  const slot = Number(name.slice(1));
  return `.${((2 * slot + 1) >> 8) & 255}.${(2 * slot + 1) & 255}`;
}
