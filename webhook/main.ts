/** The process: load the configuration, wire, listen, work; and on SIGTERM or SIGINT stop in the reverse order. */
import { parseArgs } from 'node:util';
import { configHelp, loadConfig, type Config } from './config.ts';
import { OperatorError, operatorErrorFrom } from './core/errors.ts';
import { buildApiServer, listenOnSocket } from './http/api-server.ts';
import { createMetrics } from './http/metrics.ts';
import { buildWebhookServer } from './http/server.ts';
import { jobHandlers } from './jobs/handlers.ts';
import { listenError, logFor, wire } from './wiring.ts';

/** A running service. */
export interface Service {
  /** Where it listens: both as URLs without a slash at the end. */
  readonly webhookUrl: string;
  readonly gatewayPort: number;
  stop(): Promise<void>;
}

/** Starts everything. Throws OperatorError when something is not as it must be; then nothing runs. */
export async function startService(config: Config): Promise<Service> {
  const log = logFor(config);
  await using stack = new AsyncDisposableStack();
  const wiring = stack.use(await wire(config, log));
  const { op } = wiring;

  const api = stack.adopt(buildApiServer(op), (each) => each.close());
  await listenOnSocket(api, config.operator.socket);

  const metrics = createMetrics({ store: op.store, log });
  const { source, intake, isReady } = wiring;
  const webhook = stack.adopt(await buildWebhookServer({ source, intake, isReady, metrics, log }), (each) =>
    each.close(),
  );
  const worker = await wiring.worker.start(jobHandlers(op, config.limits), { concurrency: config.limits.concurrency });
  stack.defer(() => worker.stop());
  // What happened while we were away, and what did not survive it: previews are brought back without a build.
  await op.jobs.enqueueSweep();

  // Last, and closed after the worker: who is answered is answered by a service that is whole, and is not cut off by PostgreSQL going away now.
  const webhookUrl = await webhook.listen({ ...config.server }).catch((error: unknown) => {
    throw listenError(error, 'server', config.server);
  });

  const { gatewayPort } = wiring;
  const { host: gatewayHost, domain } = config.gateway;
  log.info(
    { webhookUrl, gateway: `${gatewayHost}:${gatewayPort}`, domain, socket: config.operator.socket },
    `Berth is up. ${wiring.choices.join('. ')}.`,
  );
  const opened = stack.move();
  return {
    webhookUrl,
    gatewayPort,
    async stop() {
      log.info({}, 'Stopping. Previews keep running.');
      await opened.disposeAsync();
    },
  };
}

const USAGE = `npm start -- [--config berth.toml]

Runs the Berth operator until SIGTERM or SIGINT.

  --config FILE   configuration (default: $BERTH_CONFIG, or berth.toml in this directory)
  --check         only check the configuration
  --help          this text`;

/** Exit statuses of sysexits(3): 64 for wrong usage, 78 for a configuration that cannot be used. */
const EXIT = { failed: 1, usage: 64, config: 78 };

function optionsFrom(words: readonly string[]): { config?: string; check: boolean; help: boolean } | null {
  try {
    const options = {
      config: { type: 'string' },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    } as const;
    const { values } = parseArgs({ args: [...words], options });
    return values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return null;
  }
}

async function main(words: readonly string[]): Promise<number> {
  const options = optionsFrom(words);
  if (options === null) return EXIT.usage;
  if (options.help) {
    console.log(`${USAGE}\n\n${configHelp()}`);
    return 0;
  }
  try {
    const config = loadConfig(options.config === undefined ? {} : { file: options.config });
    if (options.check) {
      console.log(`${config.file}: nothing is wrong with it.`);
      return 0;
    }
    const stopAsked = Promise.withResolvers<void>();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopAsked.resolve());
    const service = await startService(config);
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
