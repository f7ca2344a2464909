/** Previews that never get done, as many as there are places for work, beside others that shall not notice (promise R8). */
import { startSteadyLoad } from '../../scripts/demo/steady-load.ts';
import { appFiles, type RealService } from './a-real-service.ts';
import type { FakePullRequest } from './fake-github/pull-request.ts';
import { onServer } from './on-server.ts';

/** What each of these does for ten minutes, or for ever; the first four keep a place for work all that time. */
const POISONS = {
  'hanging-setup': () => patient('setup-hangs', 'timeoutSeconds = 4'),
  'endless-setup-log': () => ({
    ...patient('setup-hangs', 'timeoutSeconds = 4'),
    // Without the part that listens.
    'setup.js': (appFiles('floods-its-log')['server.js'] ?? '').replace(/^require[^;]*;$/m, ''),
  }),
  'failing-health': () => patient('answers-500', 'timeoutSeconds = 6'),
  'dead-database': () => appFiles('needs-its-database'),
  'endless-log': () => appFiles('floods-its-log'),
} satisfies Record<string, () => Record<string, string>>;
/** Places for work that they keep. */
export const PLACES_KEPT = 4;

const BESIDE = 3;
const REQUESTS_PER_SECOND = 20;

/** Milliseconds from the push, the opening or the close until people see it. */
export interface LifeTimes {
  readonly create: number;
  readonly update: number;
  readonly close: number;
}

export interface Poisoned {
  readonly poisons: readonly string[];
  /** A healthy preview's life before the others came. */
  readonly alone: LifeTimes;
  /** The lives of healthy previews beside the poisoned ones. */
  readonly beside: readonly LifeTimes[];
  /** Requests to a healthy preview all along. */
  readonly requests: number;
  readonly failed: readonly string[];
}

/**
 * Rejects when a healthy preview does not get live, updated or removed beside the poisoned ones, or one of those cannot be closed. Afterwards all are closed but the
 * healthy preview that was asked all along.
 */
export async function liveBesidePoisons(service: RealService): Promise<Poisoned> {
  const neighbour = await service.open('neighbour', appFiles('hello-node'));
  await service.says(neighbour, 'is live', neighbour.head);
  const alone = await live(service, 'alone');

  const open = (name: keyof typeof POISONS) => service.open(name, POISONS[name]());
  const hanging = await open('hanging-setup');
  const flooding = await open('endless-setup-log');
  const sick = await open('failing-health');
  const starved = await open('dead-database');
  const loud = await open('endless-log');
  const poisoned = [hanging, flooding, sick, starved, loud];
  const load = startSteadyLoad(
    { port: service.operator.gatewayPort, host: service.hostOf(neighbour), path: '/environment' },
    REQUESTS_PER_SECOND,
  );
  const arePoisoned = async () => {
    for (const pull of [hanging, flooding]) await service.says(pull, '– running the app’s setup.');
    await service.says(sick, '– waiting for the app to answer.');
    await service.says(starved, 'updating: waiting for the app to answer.');
    await service.says(loud, 'is live', loud.head);
  };
  let beside: LifeTimes[];
  let seen;
  try {
    for (const pull of [starved, loud]) await service.says(pull, 'is live', pull.head);
    await killDatabaseOf(service, starved);
    await starved.push({ 'message.txt': 'Second' });
    await arePoisoned();
    beside = await Promise.all(Array.from({ length: BESIDE }, (_, at) => live(service, `beside-${at + 1}`)));
    await arePoisoned();
  } finally {
    seen = await load.stop();
  }
  await Promise.all(poisoned.map((pull) => pull.close()));
  for (const pull of poisoned) await service.says(pull, '**Preview** removed');
  return { poisons: Object.keys(POISONS), alone, beside, requests: seen.requests, failed: seen.failures };
}

async function live(service: RealService, name: string): Promise<LifeTimes> {
  const repository = await service.repository(name, appFiles('hello-node'));
  const opening = repository.openPullRequest({ head: 'feature' });
  const create = await msOf(async () => service.shows(await opening, (await opening).head));
  const pull = await opening;
  const update = await msOf(async () => {
    await pull.push({ 'message.txt': 'Second' });
    await service.shows(pull, pull.head);
  });
  await service.says(pull, 'is live', pull.head);
  const close = await msOf(async () => {
    await pull.close();
    await service.says(pull, '**Preview** removed');
  });
  return { create, update, close };
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return Math.round(performance.now() - startedAt);
}

/** Its role is let in nowhere any more. */
async function killDatabaseOf(service: RealService, pull: FakePullRequest): Promise<void> {
  const [row] = await onServer(
    service.databaseUrl,
    'select database_name as name from berth.previews where slug = $1',
    [`${pull.base.name}-${pull.number}`],
  );
  await onServer(service.databaseUrl, `revoke berth_tenants from "${String(row?.['name'])}"`);
}

/** The app of a fixture, with ten minutes where it had a second or two. */
function patient(app: string, timeout: string): Record<string, string> {
  const files = appFiles(app);
  return { ...files, 'preview.toml': (files['preview.toml'] ?? '').replace(timeout, 'timeoutSeconds = 600') };
}
