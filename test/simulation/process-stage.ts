/** The embedded default as a stage: PostgreSQL, processes and gateway of one operator, on loopback. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { storedUrl } from '../../webhook/adapters/embedded-postgres/embedded-postgres.ts';
import { get } from '../../scripts/demo/steady-load.ts';
import { startFakeGitHub } from '../support/fake-github.ts';
import { startOperatorProcess } from '../support/operator-process.ts';
import { stageDirectory, SWEEP_SECONDS, type FoundThing, type HostLook, type OpenStage } from './real-stage.ts';

/** `pool`: loopback addresses that nobody else uses. */
export function processStage(pool: string): OpenStage {
  return async (stack, prepare) => {
    const directory = await stageDirectory(stack);
    const github = stack.use(await startFakeGitHub());
    const { repositories } = await prepare(github);
    const webhookSecret = randomBytes(32).toString('hex');
    const operator = stack.adopt(
      await startOperatorProcess({
        directory,
        repositories,
        apiUrl: github.apiUrl,
        cloneBase: github.cloneBase,
        token: github.token,
        webhookSecret,
        gatewayPort: 0,
        pool,
        drafts: false,
        limits: { sweep_seconds: SWEEP_SECONDS },
      }),
      (each) => each.stop(),
    );
    github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: webhookSecret });
    const { stateDirectory, gatewayPort } = operator;
    return {
      github,
      operator,
      look: () => lookAt(stateDirectory),
      // Its port may change with a start of the operator.
      databaseUrl: () => storedUrl(join(stateDirectory, 'postgres')),
      askApp: (label) => get({ port: gatewayPort, host: `${label}.localhost:${gatewayPort}`, path: '/' }),
      killHostd: null,
    };
  };
}

async function lookAt(stateDirectory: string): Promise<HostLook> {
  const instances = join(stateDirectory, 'instances');
  const running = await supervisorsUnder(instances);
  const routes = await entriesOf(join(stateDirectory, 'routes'));
  const things = (what: string, of: FoundThing['of'], names: Iterable<string>) =>
    [...names].map((name) => ({ what, of, name }));
  return {
    running,
    things: [
      ...things('directory', 'instance', await entriesOf(instances)),
      ...things('supervisor', 'instance', running.keys()),
      ...things(
        'route',
        'preview',
        routes.map((file) => file.replace(/\.json$/, '')),
      ),
    ],
  };
}

async function entriesOf(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(() => [])).filter((name) => !name.startsWith('.'));
}

async function supervisorsUnder(directory: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const line of await commandLines()) {
    const at = line.indexOf(`${directory}/`);
    if (at === -1 || !line.includes('supervisor.ts')) continue;
    const name = line.slice(at + directory.length + 1).split('/')[0] ?? '';
    found.set(name, (found.get(name) ?? 0) + 1);
  }
  return found;
}

async function commandLines(): Promise<string[]> {
  const pids = await readdir('/proc').catch(() => null);
  if (pids === null) return (await promisify(execFile)('ps', ['-axo', 'command='])).stdout.split('\n');
  const own = pids.filter((name) => /^\d+$/.test(name));
  return Promise.all(own.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
}
