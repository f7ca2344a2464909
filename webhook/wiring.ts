/** Joins adapters to ports. The only file that knows which technology stands behind which port. */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openCaddyRoutes } from './adapters/caddy/routes.ts';
import { startEmbeddedPostgres } from './adapters/embedded-postgres/embedded-postgres.ts';
import { startGateway, type Gateway } from './adapters/gateway/gateway.ts';
import { gitSources } from './adapters/git/sources.ts';
import { connectToGitHub, type GitHubIdentity } from './adapters/github/github-client.ts';
import { createPullRequests } from './adapters/github/pull-requests.ts';
import { createRedeliveries } from './adapters/github/redeliveries.ts';
import { createReports } from './adapters/github/reports.ts';
import { createWebhookSource } from './adapters/github/webhook-source.ts';
import { httpHealth } from './adapters/health/http-health.ts';
import { hostDaemonAt } from './adapters/hostd/client.ts';
import { createLog } from './adapters/logging/pino-log.ts';
import { openAppDatabases } from './adapters/postgres/app-databases.ts';
import { openIntakeState } from './adapters/postgres/intake-state.ts';
import { openState, type State } from './adapters/postgres/state.ts';
import { buildRepositorySecrets } from './adapters/repository-secrets/secrets.ts';
import { nixosContainerRuntime } from './adapters/runtimes/nixos-container/runtime.ts';
import { processRuntime } from './adapters/runtimes/process/runtime.ts';
import { separateShell } from './adapters/shell/separate-shell.ts';
import { lockStateDirectory } from './adapters/state-directory/directory-lock.ts';
import { readHostId, writeHostId } from './adapters/state-directory/host-id.ts';
import type { Config, WebConfig } from './config.ts';
import { OperatorError } from './core/errors.ts';
import type { Slug } from './core/names.ts';
import { basicAuthOf } from './core/policy.ts';
import { WEBHOOK_PATH } from './core/pull-request.ts';
import type { Secret } from './core/secret.ts';
import { statusPageOf } from './dashboard/status-page.ts';
import type {
  AppDatabases,
  Clock,
  Intake,
  JobWorker,
  Log,
  Operator,
  Random,
  Routes,
  Runtime,
  Shell,
  WebhookSource,
} from './ports.ts';

/** What takes deliveries. */
export interface WebWiring extends AsyncDisposable {
  readonly source: WebhookSource;
  readonly intake: Intake;
  /** Whether deliveries can be committed and, where the operator is this process too, worked off. */
  readonly isReady: () => Promise<boolean>;
}

/** Everything that main starts and stops. */
export interface Wiring extends WebWiring {
  readonly op: Operator;
  readonly worker: JobWorker;
  readonly countJobs: State['countJobs'];
  readonly gatewayPort: number;
  /** Sentences for the start-up line: what was chosen where there was a choice. */
  readonly choices: readonly string[];
}

/** The log of a configuration: no secret of ours appears in it, wherever it is written. */
export function logFor(config: Config | WebConfig): Log {
  const { github, state } = config;
  const identity = 'identity' in github ? [secretOf(github.identity)] : [];
  const secrets = [github.webhookSecret, github.webhookSecretPrevious, state.databaseUrl, ...identity];
  return createLog({ level: config.log.level, secrets: secrets.flatMap((secret) => secret?.reveal() ?? []) });
}

/** Opens what takes deliveries, for a process that does nothing else. Throws OperatorError; then nothing is left open. */
export async function wireWeb(config: WebConfig, log: Log): Promise<WebWiring> {
  const { intake, isReady, close } = await openIntakeState(config.state.databaseUrl.reveal(), log);
  return { source: webhookSource(config), intake, isReady, [Symbol.asyncDispose]: close };
}

function webhookSource({ github, policy }: WebConfig | Config): WebhookSource {
  const secrets = [github.webhookSecret, github.webhookSecretPrevious].flatMap((secret) => secret?.reveal() ?? []);
  return createWebhookSource({ secrets, policy });
}

/** Opens everything in the order in which it is needed; what was opened is closed again when something fails. Throws OperatorError. */
export async function wire(config: Config, log: Log): Promise<Wiring> {
  await using stack = new AsyncDisposableStack();
  // Before anything else: what is opened from here on would be shared with another operator, and closed again when we fail.
  stack.use(lockStateDirectory(config.state.directory));
  const shell = stack.use(
    separateShell({
      path: config.path,
      home: config.state.directory,
      compileCache: join(config.state.directory, 'compile-cache'),
    }),
  );
  const { state, databases, postgresChoice } = await openPostgres(config, log, stack);
  const { routes, gatewayPort } = await openRoutes(config, { state, log }, stack);
  const { runtime, runtimeChoice } = await openRuntime(config, { shell, log }, stack);
  const { apiUrl } = config.github;
  const github = connectToGitHub({ apiUrl, identity: githubIdentity(config), log, paceWrites: isPaced(apiUrl) });

  const op: Operator = {
    policy: config.policy,
    clock: systemClock,
    log,
    random: systemRandom,
    pullRequests: createPullRequests(github),
    reports: createReports(github, { markerSecret: config.github.webhookSecret.reveal(), log }),
    redeliveries: createRedeliveries(github, { webhookPath: WEBHOOK_PATH, log }),
    store: state.store,
    jobs: state.jobs,
    sources: gitSources({
      directory: join(config.state.directory, 'mirrors'),
      cloneBase: config.github.cloneUrl,
      token: () => github.token(AbortSignal.timeout(TOKEN_TIMEOUT_MS)),
      shell,
      log,
    }),
    runtime,
    health: httpHealth({ clock: systemClock }),
    routes,
    databases,
    secrets: buildRepositorySecrets(config.repositorySecrets),
  };
  const opened = stack.move();
  return {
    op,
    source: webhookSource(config),
    intake: state.intake,
    worker: state.worker,
    countJobs: () => state.countJobs(),
    gatewayPort,
    isReady: () => state.isReady(),
    choices: [postgresChoice, runtimeChoice],
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const TOKEN_TIMEOUT_MS = 30_000;

/**
 * GitHub asks for a second between writes and more between those that notify somebody (docs.github.com, "Best practices for using the REST
 * API"). A GitHub Enterprise Server has no such limits unless its owner sets some, and then says when to come again.
 */
function isPaced(apiUrl: string): boolean {
  return /^api\.(?:github\.com|[a-z0-9-]+\.ghe\.com)$/.test(new URL(apiUrl).hostname);
}

async function openPostgres(
  config: Config,
  log: Log,
  stack: AsyncDisposableStack,
): Promise<{ state: State; databases: AppDatabases; postgresChoice: string }> {
  const given = config.state.databaseUrl?.reveal() ?? null;
  const server = given === null ? await embeddedServer(config, log, stack) : serverAt(given);
  const { directory } = config.state;
  const hostId = readHostId(directory);
  const state = stack.adopt(
    await openState({
      url: server.url,
      pool: config.runtime.pool,
      sole: { hostId },
      log,
      onFenced: (reason) => log.warn({ err: reason }, 'our locks were lost'),
    }),
    (each) => each.close(),
  );
  if (hostId === null && state.hostId !== null) writeHostId(directory, state.hostId);
  // Containers reach the server at the host's side of their own link.
  const appHost = config.runtime.kind === 'nixos-container' ? null : server.appHost;
  const databases = stack.adopt(await openAppDatabases({ ...server, appHost, log }), (each) => each.close());
  return { state, databases, postgresChoice: given === null ? 'PostgreSQL: embedded' : 'PostgreSQL: DATABASE_URL' };
}

interface PostgresServer {
  readonly url: string;
  readonly appHost: string;
  readonly appPort: number;
}

async function embeddedServer(config: Config, log: Log, stack: AsyncDisposableStack): Promise<PostgresServer> {
  const server = stack.adopt(
    await startEmbeddedPostgres({ directory: join(config.state.directory, 'postgres'), log }),
    (each) => each.stop(),
  );
  server.watch();
  return server;
}

const POSTGRES_PORT = 5432;

function serverAt(url: string): PostgresServer {
  const { hostname, port } = new URL(url);
  return {
    url,
    appHost: hostname === '' ? '127.0.0.1' : hostname,
    appPort: port === '' ? POSTGRES_PORT : Number(port),
  };
}

async function openRoutes(
  config: Config,
  { state, log }: { state: State; log: Log },
  stack: AsyncDisposableStack,
): Promise<{ routes: Routes; gatewayPort: number }> {
  const { kind, scheme, domain, publicPort, caddyDirectory, pool: previewPool } = config.gateway;
  if (kind === 'builtin') {
    const gateway = stack.adopt(await openGateway(config, state, log), (each) => each.close());
    return { routes: gateway, gatewayPort: gateway.port };
  }
  const ownPort = scheme === 'https' ? 443 : 80;
  const settings = {
    directory: caddyDirectory,
    domain,
    scheme,
    pool: config.runtime.pool,
    previewPool,
    publicPort: publicPort === ownPort ? null : publicPort,
  };
  const recordOf = (slug: Slug) => state.store.loadBySlug(slug);
  const routes = stack.adopt(
    await openCaddyRoutes(settings, {
      hostd: hostDaemonAt(config.runtime.hostdSocket),
      log,
      statusPage: async (slug) => statusPageOf(await recordOf(slug)),
      basicAuthOf: async (slug) => {
        if (config.basicAuth.length === 0) return null;
        const record = await recordOf(slug);
        return record === null ? null : basicAuthOf(config.basicAuth, record.repository);
      },
    }),
    (each) => each.close(),
  );
  return { routes, gatewayPort: publicPort ?? ownPort };
}

async function openGateway(config: Config, state: State, log: Log): Promise<Gateway> {
  const directory = join(config.state.directory, 'routes');
  const statusPage = async (slug: Parameters<State['store']['loadBySlug']>[0]) =>
    statusPageOf(await state.store.loadBySlug(slug));
  try {
    return await startGateway({ ...config.gateway, directory, statusPage, log });
  } catch (error) {
    throw listenError(error, 'gateway', config.gateway);
  }
}

/** What opening a listener asks the system. */
const LISTENING: ReadonlySet<unknown> = new Set(['listen', 'bind', 'getaddrinfo']);

/** A listener that could not be opened, as a mistake in the configuration that it usually is. */
export function listenError(
  error: unknown,
  section: 'gateway' | 'server',
  at: { host: string; port: number },
): unknown {
  if (!(error instanceof Error) || !('syscall' in error) || !LISTENING.has(error.syscall)) return error;
  const reason = 'code' in error ? String(error.code) : error.message;
  const isHost = reason !== 'EADDRINUSE' && reason !== 'EACCES';
  return new OperatorError(
    'CONFIG_INVALID',
    `${section}.${isHost ? 'host' : 'port'}: cannot listen on ${at.host}:${at.port} (${reason}).`,
    {
      hint: isHost
        ? `Give [${section}] host an address of this machine, such as 127.0.0.1 or 0.0.0.0.`
        : `Choose another [${section}] port in the configuration, or stop what uses this one.`,
      cause: error,
    },
  );
}

async function openRuntime(
  config: Config,
  { shell, log }: { shell: Shell; log: Log },
  stack: AsyncDisposableStack,
): Promise<{ runtime: Runtime; runtimeChoice: string }> {
  const { kind, pool, sandbox, hostdSocket, guest } = config.runtime;
  const directory = join(config.state.directory, 'instances');
  if (kind === 'nixos-container') {
    const closures = { guest: guest ?? GUEST, roots: join(config.state.directory, 'closures') };
    const tools = { hostd: hostDaemonAt(hostdSocket), shell };
    return {
      runtime: nixosContainerRuntime({ pool, staging: directory, closures }, tools),
      runtimeChoice: 'Previews run in NixOS containers',
    };
  }
  const useBubblewrap = sandbox !== 'off';
  const runtime = stack.adopt(
    await processRuntime({ directory, pool, path: config.path, useBubblewrap, shell, log }),
    (each) => each.close(),
  );
  if (sandbox === 'required' && !runtime.isSandboxed) {
    throw new OperatorError('CONFIG_INVALID', `runtime.sandbox is "required", but: ${runtime.describe()}`, {
      hint: 'Install bubblewrap and allow unprivileged user namespaces, or say "auto".',
    });
  }
  return { runtime, runtimeChoice: runtime.describe().replace(/\.$/, '') };
}

/** What containers' systems are built from, in this very version. */
const GUEST = join(import.meta.dirname, '../server-config/guest');

function secretOf(identity: Config['github']['identity']): Secret {
  return identity.kind === 'token' ? identity.token : identity.privateKey;
}

function githubIdentity(config: Config): GitHubIdentity {
  const { identity } = config.github;
  if (identity.kind === 'token') return { kind: 'token', token: identity.token.reveal() };
  return { ...identity, privateKey: identity.privateKey.reveal() };
}

const systemClock: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
};

const LETTERS_AND_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

const systemRandom: Random = {
  password: () => Array.from({ length: 24 }, () => LETTERS_AND_DIGITS[randomInt(LETTERS_AND_DIGITS.length)]).join(''),
};
