/** What goes wrong with an app is told with its step, its reason and its last lines, hurts no other preview, and is over with the next push. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, before, after } from 'node:test';
import { promisify } from 'node:util';
import { startSteadyLoad } from '../../scripts/demo/steady-load.ts';
import type { FakePullRequest } from '../support/fake-github/pull-request.ts';
import { appFiles, aRealService, type RealService } from '../support/a-real-service.ts';

/** Of the repository `acme/leaky`, in a form that neither URL nor JSON leaves as it is. */
const API_KEY = 'k/ey "with" 100% of\\it';
const secretsFolder = mkdtempSync(join(tmpdir(), 'berth-secrets-'));

let service: RealService;
let neighbour: FakePullRequest;
before(async () => {
  const valuesFile = join(secretsFolder, 'values.toml');
  writeFileSync(valuesFile, `API_KEY = ${JSON.stringify(API_KEY)}\n`, { mode: 0o600 });
  const sections = {
    secrets: { values_file: valuesFile },
    '[grants]': { repository: 'acme/leaky', secrets: ['API_KEY'] },
  };
  service = await aRealService({ concurrency: 8 }, sections);
  neighbour = await service.open('neighbour', appFiles('hello-node'));
  await service.shows(neighbour, neighbour.head);
});
after(async () => {
  rmSync(secretsFolder, { recursive: true, force: true, maxRetries: 5 });
  await service[Symbol.asyncDispose]();
});

interface Failure {
  readonly app: string;
  readonly code: string;
  /** What the comment says of the step, and of the reason. */
  readonly says: readonly string[];
}

const FAILURES: readonly Failure[] = [
  {
    app: 'setup-fails',
    code: 'SETUP_FAILED',
    says: ['running the app’s setup failed', 'ended with status 7', 'step 40', 'the migration does not apply'],
  },
  {
    app: 'setup-hangs',
    code: 'SETUP_TIMED_OUT',
    says: ['running the app’s setup failed', 'did not end within 4 s', 'waiting for something that never comes'],
  },
  {
    app: 'setup-floods',
    code: 'SETUP_FAILED',
    says: ['running the app’s setup failed', 'ended with status 3', 'the last word before the end'],
  },
  {
    app: 'never-listens',
    code: 'NEVER_LISTENED',
    says: ['waiting for the app to answer failed', 'Nothing accepted connections', 'web: thinking'],
  },
  {
    app: 'listens-on-localhost',
    code: 'NEVER_LISTENED',
    // Beside it may stand an app of another operator that has the same port at an address of its own: test files run side by side.
    says: ['waiting for the app to answer failed', 'It listens on', '127.0.0.1:'],
  },
  {
    app: 'answers-500',
    code: 'UNHEALTHY',
    says: ['waiting for the app to answer failed', 'answered 500', 'cannot read properties of undefined'],
  },
  {
    app: 'crashes',
    code: 'SERVICE_CRASHED',
    says: ['waiting for the app to answer failed', 'The service web ended', 'Cannot find module "left-pad"'],
  },
];

suite('each failure beside a preview that answers all the time', { concurrency: true }, () => {
  test('the neighbour answers 20 requests a second while the others fail', async () => {
    const { gatewayPort: port } = service.operator;
    const load = startSteadyLoad({ port, host: service.hostOf(neighbour), path: '/environment' }, 20);
    const recoveries = await Promise.allSettled(FAILURES.map((failure) => failAndRecover(failure)));
    const result = await load.stop();
    for (const recovery of recoveries) if (recovery.status === 'rejected') throw recovery.reason;
    assert.deepEqual(result.failures, []);
    assert.equal(result.bodies.size, 1);
  });

  test('an app that floods its log is live, its log is bounded, and so is what `preview logs` prints', async () => {
    const pull = await service.open('flood', appFiles('floods-its-log'));
    await service.says(pull, 'is live');
    await service.shows(pull, 'ok');
    const { status, stdout } = await service.preview('logs', 'flood-1');
    assert.equal(status, 0);
    assert.match(stdout, /flood flood/);
    assert.ok(!stdout.includes('\u001b'), 'no escape sequence reaches the terminal');
    await pull.close();
    await service.says(pull, '**Preview** removed');
  });
});

/** The same pull request fails, says so, and is mended by a push. */
async function failAndRecover({ app, code, says }: Failure): Promise<void> {
  const pull = await service.open(`bad-${app}`, appFiles(app));
  const failed = pull.head;
  const comment = await service.says(pull, code, failed, ...says);
  assert.ok(comment.length < 20_000, `a comment of ${comment.length} characters`);
  await service.hasStatus(pull, 'failure');
  const page = await service.get(pull);
  assert.equal(page.status, 503, page.body);
  assert.match(page.body, new RegExp(code));

  const gone = Object.fromEntries(Object.keys(appFiles(app)).map((name) => [name, null]));
  await pull.push({ ...gone, ...appFiles('hello-node') });
  await service.shows(pull, pull.head, '/environment');
  await service.says(pull, 'is live', pull.head);
  await service.hasStatus(pull, 'success');
  await pull.close();
  await service.says(pull, '**Preview** removed');
}

suite('what a failing app prints of what it was given is not shown to those who were not', () => {
  const asks = 'secrets = ["API_KEY"]\ndatabase = "host"\n';
  const web = '[[services]]\nname = "web"\ncommand = ["node", "server.js"]\nport = 3000\n';
  const tell =
    "const { API_KEY, DATABASE_URL } = process.env;\nconsole.log('KEY', API_KEY, encodeURIComponent(API_KEY));\n";
  const json = 'console.error(JSON.stringify({ API_KEY, DATABASE_URL }));\nprocess.exit(1);\n';

  test('by its setup, and by a service', async () => {
    const pull = await service.open('leaky', {
      'preview.toml': `${asks}[setup]\ncommand = "node setup.js"\n${web}`,
      'setup.js': `${tell}${json}`,
      'server.js': '',
    });
    await isHidden(pull, 'SETUP_FAILED', '');
    await pull.push({ 'preview.toml': `${asks}${web}`, 'setup.js': null, 'server.js': `${tell}${json}` });
    await isHidden(pull, 'SERVICE_CRASHED', 'web: ');
    const { stdout } = await service.preview('logs', 'leaky-1');
    assert.ok(stdout.includes(API_KEY), 'an operator, who knows it, sees what was printed');
  });

  test('a secret that the repository was not given fails the preview before anything runs', async () => {
    const pull = await service.open('wanting', {
      'preview.toml': `secrets = ["API_KEY"]\n[setup]\ncommand = "echo it ran"\n${web}`,
      'server.js': '',
    });
    await service.says(pull, 'SECRET_NOT_ALLOWED', 'has not been given a secret named API', 'grants');
    assert.ok(!(await service.preview('logs', 'wanting-1')).stdout.includes('it ran'));
  });
});

async function isHidden(pull: FakePullRequest, code: string, source: string): Promise<void> {
  const lines = [
    `${source}KEY [redacted] [redacted]`,
    `${source}{"API_KEY":"[redacted]","DATABASE_URL":"postgresql://preview_leaky_1:[redacted]@`,
  ];
  const comment = await service.says(pull, code, pull.head, ...lines);
  const page = await service.get(pull);
  assert.match(page.body, new RegExp(code));
  const { stdout: status } = await service.preview('status', 'leaky-1', '--json');
  assert.match(status, new RegExp(code));
  const log = readFileSync(service.operator.logFile, 'utf8');
  for (const [where, text] of Object.entries({ comment, page: page.body, status, log })) {
    assert.ok(!/postgres(?:ql)?:\/\/[^:@]+:[A-Za-z0-9]{24}@/.test(text), `the database’s password is in the ${where}`);
    for (const form of [API_KEY, encodeURIComponent(API_KEY), JSON.stringify(API_KEY).slice(1, -1)])
      assert.ok(!text.includes(form), `${form} is in the ${where}`);
  }
}

test('the last lines of a setup are told however long they are, with the hint below them', async () => {
  const { 'preview.toml': manifest = '', ...files } = appFiles('hello-node');
  const print = `for (let i = 0; i < 30; i += 1) console.log('line', i, 'x'.repeat(5000)); process.exitCode = 3;`;
  const pull = await service.open('long-lines', { ...files, 'preview.toml': manifest, 'setup.js': print });
  const comment = await service.says(pull, 'SETUP_FAILED', 'line 5 xxx', 'line 29 xxx');
  assert.match(comment, /…\n```\n\nThe last lines say why; [^\n]+\n\n<!-- berth:\w+ -->$/);
  await pull.close();
  await service.says(pull, '**Preview** removed');
});

test('a guess that fails is told as a guess, in the comment and by `preview status`', async () => {
  const scripts = { build: 'exit 3', start: 'node .' };
  const pull = await service.open('guessed', { 'package.json': JSON.stringify({ name: 'guessed', scripts }) });
  await service.says(pull, 'SETUP_FAILED', 'There is no preview.toml', '- setup runs `npm run build`');
  const { stdout } = await service.preview('status', 'guessed-1');
  assert.match(stdout, /^ +Assumed: +setup runs `npm run build`$/m);
  await pull.close();
  await service.says(pull, '**Preview** removed');
});

suite('strangers’ pull requests are not run, and nothing of them is fetched', { concurrency: true }, () => {
  test('a fork, and then the fork is gone', async () => {
    const repository = await service.repository('forked', { 'README.md': '# main\n' });
    const fork = await repository.fork('mallory');
    await fork.commit('evil', appFiles('hello-node'));
    const pull = await repository.openPullRequest({ head: 'evil', from: fork });
    await service.says(pull, 'not run: it comes from another repository', 'Nothing of it was fetched or run.');
    await isNotFetched(pull);
    await fork.delete();
    await pull.edit({ title: 'Look at me' });
    await service.says(pull, 'not run: the repository it came from is gone');
    await isNotFetched(pull);
  });

  test('Dependabot', async () => {
    const repository = await service.repository('bumped', appFiles('hello-node'));
    const pull = await repository.openPullRequest({ head: 'feature', author: 'dependabot[bot]' });
    await service.says(pull, 'not run: its author is Dependabot');
    await isNotFetched(pull);
  });
});

async function isNotFetched(pull: FakePullRequest): Promise<void> {
  const mirrors = join(service.operator.stateDirectory, 'mirrors');
  for (const mirror of readdirSync(mirrors)) {
    const asked = promisify(execFile)('git', ['cat-file', '-e', pull.head], { cwd: join(mirrors, mirror) });
    await assert.rejects(asked, `${pull.head} is in ${mirror}`);
  }
  assert.equal((await service.get(pull)).status, 404);
}
