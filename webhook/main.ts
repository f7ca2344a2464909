/**
 * The process: load the configuration, wire, listen, work; and on SIGTERM, SIGINT or SIGHUP stop in the reverse order. On a NixOS host it runs twice, as
 * `--only web` and `--only reconciler`: what the Internet talks to has no key but the webhook's (docs/reference/security.md).
 */
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { configHelp, loadConfig, loadWebConfig, type Config, type WebConfig } from './config.ts';
import { OperatorError, operatorErrorFrom } from './core/errors.ts';
import { buildApiServer, listenOnSocket } from './http/api-server.ts';
import { buildMetricsServer, createMetrics } from './http/metrics.ts';
import { buildWebhookServer } from './http/server.ts';
import { jobHandlers } from './jobs/handlers.ts';
import { listenError, logFor, wire, wireWeb } from './wiring.ts';

/** A running process of ours. */
interface Service {
  stop(): Promise<void>;
}

/**
 * Starts the operator, with the web in it or (`reconciler`) without; then its metrics are on a unix socket beside the operators' own. Throws
 * OperatorError when something is not as it must be; then nothing runs.
 */
async function startOperator(config: Config, parts: 'both' | 'reconciler'): Promise<Service> {
  const log = logFor(config);
  const { socket } = config.operator;
  await using stack = new AsyncDisposableStack();
  const wiring = stack.use(await wire(config, log));
  const { op } = wiring;

  const api = stack.adopt(buildApiServer(op), (each) => each.close());
  await listenOnSocket(api, socket);

  const metrics = createMetrics({ store: op.store, countJobs: wiring.countJobs, runtime: op.runtime, log });
  const door = stack.adopt(
    parts === 'both' ? await buildWebhookServer({ ...wiring, metrics, log }) : buildMetricsServer(metrics),
    (each) => each.close(),
  );
  const worker = await wiring.worker.start(jobHandlers(op, config.limits), { concurrency: config.limits.concurrency });
  stack.defer(() => worker.stop());
  // What happened while we were away, and what did not survive it: previews are brought back without a build.
  await op.jobs.enqueueSweep();

  // Last, and closed after the worker: who is answered is answered by a service that is whole, and is not cut off by PostgreSQL going away now.
  const metricsSocket = join(dirname(socket), 'metrics.sock');
  const listening =
    parts === 'both'
      ? { webhookUrl: await listenForWebhooks(door, config) }
      : { metrics: await listenOnSocket(door, metricsSocket).then(() => metricsSocket) };

  const { host: gatewayHost, domain } = config.gateway;
  log.info(
    { ...listening, gateway: `${gatewayHost}:${wiring.gatewayPort}`, domain, socket },
    `Berth is up. ${wiring.choices.join('. ')}.`,
  );
  return serviceOf(stack, () => log.info({}, 'Stopping. Previews keep running.'));
}

/** Starts what takes deliveries and does nothing else. Throws OperatorError; then nothing runs. */
async function startWeb(config: WebConfig): Promise<Service> {
  const log = logFor(config);
  await using stack = new AsyncDisposableStack();
  const wiring = stack.use(await wireWeb(config, log));
  const server = await buildWebhookServer({ ...wiring, metrics: createMetrics({ log }), log });
  stack.adopt(server, (each) => each.close());
  const webhookUrl = await listenForWebhooks(server, config);
  log.info({ webhookUrl }, 'Berth takes deliveries. The operator works them off.');
  return serviceOf(stack, () => log.info({}, 'Stopping. GitHub’s deliveries are refused until the next start.'));
}

/** Resolves with the URL, without a slash at the end. */
async function listenForWebhooks(
  app: ReturnType<typeof buildMetricsServer>,
  { server }: Pick<Config, 'server'>,
): Promise<string> {
  return app.listen({ ...server }).catch((error: unknown) => {
    throw listenError(error, 'server', server);
  });
}

/** What was opened stays open until it is stopped. */
function serviceOf(stack: AsyncDisposableStack, sayGoodbye: () => void): Service {
  const opened = stack.move();
  return {
    async stop() {
      sayGoodbye();
      await opened.disposeAsync();
    },
  };
}

const USAGE = `npm start -- [--config berth.toml]

Runs the Berth operator until SIGTERM, SIGINT or SIGHUP.

  --config FILE   configuration (default: $BERTH_CONFIG, or berth.toml in this directory)
  --only PART     one part of it as a process of its own: web (takes deliveries) or reconciler (all the rest)
  --check         only check the configuration
  --help          this text`;

/** Exit statuses of sysexits(3): 64 for wrong usage, 78 for a configuration that cannot be used. */
const EXIT = { failed: 1, usage: 64, config: 78 };

type Part = 'both' | 'web' | 'reconciler';

function optionsFrom(words: readonly string[]): { config?: string; only: Part; check: boolean; help: boolean } | null {
  try {
    const options = {
      config: { type: 'string' },
      only: { type: 'string', default: 'both' },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    } as const;
    const { only, ...values } = parseArgs({ args: [...words], options }).values;
    if (only !== 'both' && only !== 'web' && only !== 'reconciler')
      throw new Error(`--only ${only}: there are web and reconciler.`);
    return { ...values, only };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return null;
  }
}

/** Reads the configuration of a part. Throws CONFIG_INVALID; `start` then does the rest. */
function prepare(only: Part, given: { file?: string }): { file: string; start: () => Promise<Service> } {
  if (only === 'web') {
    const config = loadWebConfig(given);
    return { file: config.file, start: () => startWeb(config) };
  }
  const config = loadConfig(given);
  return { file: config.file, start: () => startOperator(config, only) };
}

async function main(words: readonly string[]): Promise<number> {
  const options = optionsFrom(words);
  if (options === null) return EXIT.usage;
  if (options.help) {
    console.log(`${USAGE}\n\n${configHelp()}`);
    return 0;
  }
  try {
    const { file, start } = prepare(options.only, options.config === undefined ? {} : { file: options.config });
    if (options.check) {
      console.log(`${file}: nothing is wrong with it.`);
      return 0;
    }
    const stopAsked = Promise.withResolvers<void>();
    // SIGHUP is what a terminal sends that is closed.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => stopAsked.resolve());
    const service = await start();
    await stopAsked.promise;
    await service.stop();
    return 0;
  } catch (thrown) {
    const error = operatorErrorFrom(thrown);
    console.error(`[${error.code}] ${error.message}\n${error.hint}`);
    if (error.detail !== undefined) console.error(error.detail);
    if (error.code === 'INTERNAL') console.error(thrown);
    return thrown instanceof OperatorError && thrown.code === 'CONFIG_INVALID' ? EXIT.config : EXIT.failed;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
