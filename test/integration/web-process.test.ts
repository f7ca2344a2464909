/** Web and reconciler as two processes, as a NixOS host runs them: what each knows, and that neither hurts the other (promise S15). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { randomInt } from 'node:crypto';
import { aWebRole } from '../support/a-web-role.ts';
import { DELIVERY_REPOSITORY, DELIVERY_SECRET, lostOf, send } from '../support/durability/sent-deliveries.ts';
import { startFakeGitHub, type FakeGitHub } from '../support/fake-github.ts';
import {
  metricsSocketOf,
  startOperatorProcess,
  textFromSocket,
  type OperatorProcess,
  type OperatorSettings,
} from '../support/operator-process.ts';
import { openTestDatabase } from '../support/test-database.ts';
import { waitUntil } from '../support/wait-until.ts';

class TwoProcesses implements AsyncDisposable {
  readonly github: FakeGitHub;
  readonly repositoryId: number;
  readonly databaseUrl: string;
  readonly web: OperatorProcess;
  readonly reconciler: OperatorProcess;
  readonly #agent = new Agent({ keepAlive: false });
  readonly #opened: AsyncDisposableStack;

  constructor(
    parts: Pick<TwoProcesses, 'github' | 'repositoryId' | 'databaseUrl' | 'web' | 'reconciler'>,
    opened: AsyncDisposableStack,
  ) {
    ({
      github: this.github,
      repositoryId: this.repositoryId,
      databaseUrl: this.databaseUrl,
      web: this.web,
      reconciler: this.reconciler,
    } = parts);
    this.#opened = opened;
  }

  static async start(): Promise<TwoProcesses> {
    await using stack = new AsyncDisposableStack();
    const folder = async (name: string) => {
      const path = await mkdtemp(join(tmpdir(), `berth-${name}-`));
      await chmod(path, 0o755);
      stack.defer(() => rm(path, { recursive: true, force: true, maxRetries: 5 }));
      return path;
    };
    const database = stack.use(await openTestDatabase());
    const role = stack.use(await aWebRole(database.url));
    const github = stack.adopt(await startFakeGitHub(), (each) => each.close());
    const { id: repositoryId } = await github.addRepository(DELIVERY_REPOSITORY);
    const start = async (only: 'web' | 'reconciler', given: Pick<OperatorSettings, 'databaseUrl'>) =>
      stack.adopt(
        await startOperatorProcess({
          only,
          directory: await folder(only),
          repositories: [DELIVERY_REPOSITORY],
          apiUrl: github.apiUrl,
          cloneBase: github.cloneBase,
          token: github.token,
          webhookSecret: DELIVERY_SECRET,
          gatewayPort: 0,
          pool: `127.${randomInt(110, 250)}.${randomInt(256)}.0/24`,
          ...given,
        }),
        (each) => each.stop(),
      );
    const reconciler = await start('reconciler', { databaseUrl: database.url });
    const web = await start('web', { databaseUrl: role.url });
    return new TwoProcesses({ github, repositoryId, databaseUrl: database.url, web, reconciler }, stack.move());
  }

  deliver(number: number): ReturnType<typeof send> {
    return send({ port: Number(new URL(this.web.webhookUrl).port), agent: this.#agent }, this.repositoryId, number);
  }

  /** How often GitHub was asked for the pull request. */
  looksAt(number: number): number {
    return this.github.requests.filter(({ method, path }) => method === 'GET' && path.endsWith(`/pulls/${number}`))
      .length;
  }

  /** What the reconciler itself says of its state. */
  metrics(): Promise<string> {
    return textFromSocket(metricsSocketOf(this.reconciler.stateDirectory), '/metrics');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.#opened.disposeAsync();
  }
}

suite('Web and reconciler apart', () => {
  test('a delivery goes from one to the other at once; the reconciler is on no port of its own', async () => {
    await using both = await TwoProcesses.start();
    const seen = await both.deliver(1);
    assert.equal(seen.status, 202, seen.failure);
    await waitUntil('GitHub is asked', () => both.looksAt(1) > 0);

    const web = await (await fetch(`${both.web.webhookUrl}/metrics`)).text();
    assert.match(web, /berth_webhook_answers_total\{answer="accepted",status="202"\} 1/);
    assert.doesNotMatch(web, /berth_previews|berth_jobs/);
    const reconciler = await both.metrics();
    assert.match(reconciler, /^berth_previews\{/m);
    assert.match(reconciler, /^berth_jobs\{state="waiting"\} \d/m);

    // What listens for it where no Caddy is: the gateway, where previews answer. Nothing else is TCP.
    assert.deepEqual(portsOf(both.reconciler), [both.reconciler.gatewayPort]);
    assert.deepEqual(portsOf(both.web), [Number(new URL(both.web.webhookUrl).port)]);
  });

  test('a reconciler that is killed costs no delivery, and works off what came meanwhile', async () => {
    await using both = await TwoProcesses.start();
    await both.reconciler.kill();
    const sent = [await both.deliver(1), await both.deliver(2), await both.deliver(3)];
    assert.deepEqual(
      sent.map(({ status }) => status),
      [202, 202, 202],
    );
    assert.equal((await fetch(`${both.web.webhookUrl}/ready`)).status, 200);
    assert.deepEqual(await lostOf(both.databaseUrl, sent), []);
    assert.equal(both.looksAt(1) + both.looksAt(2) + both.looksAt(3), 0);

    await both.reconciler.start();
    await waitUntil('all are looked at', () => [1, 2, 3].every((number) => both.looksAt(number) > 0));
  });

  test('a web that is killed stops no work, and takes deliveries again when it is back', async () => {
    await using both = await TwoProcesses.start();
    both.github.faults.add({ on: 'pulls/get', times: Number.POSITIVE_INFINITY, fault: { kind: 'slow', ms: 200 } });
    const first = await both.deliver(1);
    await both.web.kill();
    assert.equal(first.status, 202, first.failure);
    await waitUntil(
      'its delivery is worked off',
      async () =>
        /berth_jobs\{state="waiting"\} 0\n[\s\S]*running"\} 0/.test(await both.metrics()) && both.looksAt(1) > 0,
    );
    assert.equal((await both.deliver(2)).status, null);

    await both.web.start();
    const second = await both.deliver(3);
    assert.equal(second.status, 202, second.failure);
    await waitUntil('the new one’s deliveries too', () => both.looksAt(3) > 0);
    assert.deepEqual(await lostOf(both.databaseUrl, [first, second]), []);
  });

  test('a web that is given a key of GitHub’s, or no database, does not start', () => {
    const refusalOf = (env: Record<string, string>) => {
      try {
        execFileSync(
          process.execPath,
          ['webhook/main.ts', '--only', 'web', '--check', '--config', 'berth.example.toml'],
          {
            cwd: join(import.meta.dirname, '../..'),
            stdio: 'pipe',
            env: { PATH: process.env['PATH'] ?? '', BERTH_GITHUB_WEBHOOK_SECRET: DELIVERY_SECRET, ...env },
          },
        );
        return null;
      } catch (error) {
        const { status, stderr } = error as { status: number; stderr: Buffer };
        return `${status} ${stderr.toString()}`;
      }
    };
    const databaseUrl = 'postgresql://berth_web@127.0.0.1/berth';
    assert.equal(refusalOf({ DATABASE_URL: databaseUrl }), null);
    assert.match(refusalOf({}) ?? '', /^78 .*state\.database_url is missing/s);
    assert.match(
      refusalOf({ DATABASE_URL: databaseUrl, BERTH_GITHUB_TOKEN: 'ghp_x' }) ?? '',
      /^78 .*BERTH_GITHUB_TOKEN is given to the web process, which must not have it/s,
    );
  });
});

/** TCP ports on which the process listens. */
function portsOf({ pid }: OperatorProcess): number[] {
  const lines = execFileSync('ss', ['-Hltnp']).toString().split('\n');
  return lines
    .filter((line) => line.includes(`pid=${pid},`))
    .map((line) => Number(/:(\d+)\s/.exec(line)?.[1]))
    .sort((a, b) => a - b);
}
