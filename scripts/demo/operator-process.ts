/** The real service as a process of its own, with a configuration for the demonstration. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface OperatorProcess {
  readonly webhookUrl: string;
  readonly gatewayPort: number;
  readonly stateDirectory: string;
  readonly configFile: string;
  readonly logFile: string;
  stop(): Promise<void>;
}

interface OperatorSettings {
  /** For configuration, log and state. */
  readonly directory: string;
  readonly repository: string;
  readonly apiUrl: string;
  readonly cloneBase: string;
  readonly token: string;
  readonly webhookSecret: string;
  /** Where previews are served; 0 for any free port. */
  readonly gatewayPort: number;
  /** Addresses of the apps, where another operator on this machine may have the usual ones. */
  readonly pool?: string;
}

const ROOT = join(import.meta.dirname, '..', '..');
const START_TIMEOUT_MS = 60_000;

/** Starts it and waits until it is ready. Throws with the last lines of its log when it is not. */
export async function startOperatorProcess(settings: OperatorSettings): Promise<OperatorProcess> {
  const { directory } = settings;
  const [serverPort, freePort] = await freePorts(2);
  const gatewayPort = settings.gatewayPort === 0 ? freePort : settings.gatewayPort;
  const configFile = join(directory, 'berth.toml');
  const logFile = join(directory, 'operator.log');
  const config = {
    github: { repositories: [settings.repository], api_url: settings.apiUrl, clone_url: settings.cloneBase },
    server: { port: serverPort },
    gateway: { port: gatewayPort },
    state: { directory: 'state' },
    runtime: settings.pool === undefined ? {} : { pool: settings.pool },
  };
  await writeFile(configFile, tomlText(config), { mode: 0o600 });
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, ['webhook/main.ts', '--config', configFile], {
    cwd: ROOT,
    stdio: ['ignore', log, log],
    env: {
      ...ownEnvironment(),
      BERTH_GITHUB_WEBHOOK_SECRET: settings.webhookSecret,
      BERTH_GITHUB_TOKEN: settings.token,
    },
  });
  const webhookUrl = `http://127.0.0.1:${serverPort}`;
  try {
    await untilReady(child, webhookUrl);
  } catch (error) {
    child.kill('SIGTERM');
    const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-15);
    throw new Error(`The operator did not start:\n${lines.join('\n')}`, { cause: error });
  }
  return {
    webhookUrl,
    gatewayPort,
    stateDirectory: join(directory, 'state'),
    configFile,
    logFile,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Ours, without what would make the service use a database or settings that are not the demonstration's. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('BERTH_')),
  );
}

async function untilReady(child: ChildProcess, webhookUrl: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`it ended with status ${child.exitCode}`);
    const answer = await fetch(`${webhookUrl}/ready`).catch(() => null);
    if (answer?.ok === true) return;
    await delay(20);
  }
  throw new Error(`it was not ready within ${START_TIMEOUT_MS / 1_000} s`);
}

async function freePorts(count: number): Promise<[number, number]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(
    servers.map(async (server) => {
      server.close();
      await once(server, 'close');
    }),
  );
  return [ports[0] ?? 0, ports[1] ?? 0];
}

function tomlText(sections: Record<string, Record<string, string | number | string[]>>): string {
  // JSON strings, numbers and lists of strings are TOML too.
  return Object.entries(sections)
    .map(
      ([name, keys]) =>
        `[${name}]\n${Object.entries(keys)
          .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
          .join('')}`,
    )
    .join('\n');
}
