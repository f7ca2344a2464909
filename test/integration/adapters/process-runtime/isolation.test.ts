/** What an app can see and do from inside its sandbox: asked by a setup command, which runs where the services run. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gitSources } from '../../../../webhook/adapters/git/sources.ts';
import { localShell } from '../../../../webhook/adapters/shell/local-shell.ts';
import type { OperatorError } from '../../../../webhook/core/errors.ts';
import { parseRepositoryName } from '../../../../webhook/core/pull-request.ts';
import { aGitRepository } from '../../../support/a-git-repository.ts';
import { aProcessRuntime } from '../../../support/a-process-runtime.ts';
import { silentLog } from '../../../support/silent-log.ts';

const signal = new AbortController().signal;

/** Runs a shell line as the setup of an instance and returns what it printed. */
async function inside(t: TestContext, script: string, environment: Record<string, string> = {}, limits = {}) {
  const rig = await aProcessRuntime(t);
  if (!rig.runtime.describe().includes('bubblewrap sandbox')) {
    t.skip(`needs a working bubblewrap: ${rig.runtime.describe()}`);
    return null;
  }
  const neighbour = await rig.place('hello-node');
  const neighbourRoot = await rig.runtime.ensureDirectory(neighbour.name);
  writeFileSync(join(neighbourRoot, 'source', 'secret.txt'), 'NEIGHBOUR-CANARY');
  const spec = await rig.place('hello-node', { manifest: { setup: { command: script }, limits }, environment });
  await rig.runtime.setUp(spec, signal);
  const lines: string[] = [];
  for await (const line of rig.runtime.logs(spec.name, { follow: false, tailLines: 10_000, signal }))
    lines.push(line.text);
  return { ...rig, spec, lines, output: lines.join('\n') };
}

test('no file of the operator, of the neighbours or of the machine’s secrets is there', async (t) => {
  const operatorFile = join(mkdtempSync(join(tmpdir(), 'berth-canary-')), 'token');
  writeFileSync(operatorFile, 'OPERATOR-CANARY');
  t.after(() => rmSync(join(operatorFile, '..'), { recursive: true }));
  const found = await inside(
    t,
    `cat ${operatorFile} /etc/shadow /root/.npmrc /root/.ssh/* /home/*/.ssh/* 2>/dev/null; ls -A /root /work /var /tmp /home /srv 2>&1; ` +
      `find / -xdev -not -path '/proc/*' -not -path '/usr/*' -name 'run.json' 2>/dev/null; grep -rs CANARY / --include=secret.txt --include=token --exclude-dir=proc --exclude-dir=usr; true`,
  );
  if (found === null) return;
  assert.doesNotMatch(found.output, /CANARY|run\.json|root:[*!$]/);
  assert.match(found.output, /cannot access '\/root'/);
  assert.match(found.output, /cannot access '\/work'/);
  assert.ok(!found.output.includes(found.directory));
});

test('no environment and no process of anybody else is there', async (t) => {
  process.env['BERTH_TEST_CANARY'] = 'OPERATOR-CANARY';
  t.after(() => delete process.env['BERTH_TEST_CANARY']);
  const found = await inside(
    t,
    'env; echo; for each in /proc/[0-9]*; do tr "\\0" " " < $each/environ; tr "\\0" " " < $each/cmdline; echo; done 2>/dev/null; ls -d /proc/[0-9]* | wc -l',
    { PREVIEW_BRANCH: 'x' },
  );
  if (found === null) return;
  assert.doesNotMatch(found.output, /CANARY/);
  const names = found.lines.slice(0, found.lines.indexOf('')).map((line) => line.split('=')[0]);
  assert.deepEqual(new Set(names), new Set(['HOME', 'LANG', 'PATH', 'PREVIEW_BRANCH', 'PWD', 'USER']));
  assert.ok(Number(found.lines.at(-1)) <= 5, found.lines.at(-1));
});

test('the app is nobody: no capability, none to be gained, an own user on the host', async (t) => {
  const found = await inside(
    t,
    `grep -E '^(Cap...|NoNewPrivs):' /proc/self/status; id -u; id -un; /usr/sbin/chroot / true; mount -t tmpfs x /app; mknod /tmp/d b 8 0; ` +
      `su -c id; kill -9 1; setpriv --reuid=0 id -u; hostname evil; echo 1 > /proc/sys/kernel/sysrq; true`,
  );
  if (found === null) return;
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
    assert.match(found.output, new RegExp(`${set}:\\s*0{16}`));
  assert.match(found.output, /NoNewPrivs:\s+1/);
  assert.match(found.output, /^preview$/m);
  for (const denied of ['chroot', 'mount', 'mknod', 'setpriv', 'hostname'])
    assert.match(
      found.output,
      new RegExp(`${denied}.*(not permitted|denied|must be superuser|must be root|failed|cannot)`, 'i'),
    );
  assert.doesNotMatch(found.output, /^0$/m);
});

test('it can write its source, its home and /tmp, and nothing else', async (t) => {
  const found = await inside(
    t,
    `for each in / /app /home/preview /tmp /usr /etc /srv /srv/repository.git /opt /opt/node /bin /lib /dev /proc/sys /run /nix; do ` +
      `if touch $each/probe 2>/dev/null; then echo "yes $each"; fi; done; echo x > /etc/preview.env || echo unchanged`,
  );
  if (found === null) return;
  const writable = found.lines.filter((line) => line.startsWith('yes ')).map((line) => line.slice(4));
  // /dev is a file system in memory of the sandbox's own.
  assert.deepEqual(
    writable.filter((path) => path !== '/dev'),
    ['/app', '/home/preview', '/tmp'],
  );
  assert.ok(found.lines.includes('unchanged'));
});

test('/etc/preview.env holds the environment, and a shell that sources it reads it unchanged', async (t) => {
  const value = 'it\'s-$(x) `y` "q" \\ #; ';
  const found = await inside(
    t,
    `before="$PREVIEW_BRANCH"; unset PREVIEW_BRANCH; . /etc/preview.env; [ "$before" = "$PREVIEW_BRANCH" ] && printf '<%s>\\n' "$PREVIEW_BRANCH"`,
    { PREVIEW_BRANCH: value },
  );
  if (found === null) return;
  assert.equal(found.lines.at(-1), `<${value}>`);
});

test('node, npm and git are there, and the repository can be cloned', async (t) => {
  const rig = await aProcessRuntime(t);
  const remote = aGitRepository(join(rig.directory, '.remote'), 'acme/shop');
  const repository = parseRepositoryName('acme/shop');
  assert.ok(repository !== null);
  const sha = remote.commit({ 'a.txt': 'cloned\n' });
  const shell = localShell({ path: process.env['PATH'] ?? '', home: rig.directory });
  const cloneBase = `file://${rig.directory}/.remote`;
  const sources = gitSources({
    directory: join(rig.directory, '.mirrors'),
    cloneBase,
    token: async () => null,
    shell,
    log: silentLog,
  });
  const source = {
    key: { repositoryId: 1, subject: { kind: 'pull', number: 1 } },
    repository,
    revision: { sha, ref: 'topic' },
  } as const;

  const command =
    'node --version && npm --version && git clone --quiet -b topic "$PREVIEW_REPO_URL" /tmp/clone && cat /tmp/clone/a.txt';
  const spec = await rig.place('hello-node', { manifest: { setup: { command } } });
  await sources.ensure(source, signal);
  await sources.place(source, await rig.runtime.ensureDirectory(spec.name), signal);
  await rig.runtime.setUp(
    { ...spec, environment: { PREVIEW_REPO_URL: rig.runtime.repositoryUrlOf(spec.name) } },
    signal,
  );
  const log = readFileSync(join(rig.directory, spec.name, 'logs', 'setup.log'), 'utf8');
  assert.match(log, /^\d+ v\d+\.\d+\.\d+\n\d+ \d+\.\d+\.\d+\n\d+ cloned\n$/);
});

const LIMITS = { memoryMiB: 128, tasks: 32, diskMiB: 64 };

test('limits hold: the size of a file, the number of processes', async (t) => {
  const found = await inside(
    t,
    `head -c 100M /dev/zero > /tmp/big; ls -l /tmp/big | awk '{print "big", $5}'; ` +
      `node -e 'const { spawn } = require("node:child_process"); let failed = 0; for (let i = 0; i < 60; i += 1) spawn("sleep", ["2"]).on("error", () => { failed += 1; }); setTimeout(() => { console.log(failed > 0 ? "some refused" : "all started"); process.exit(); }, 500)'; true`,
    {},
    LIMITS,
  );
  if (found === null) return;
  assert.ok(found.lines.includes(`big ${64 * 1024 * 1024}`), found.output);
  assert.ok(found.lines.includes('some refused'), found.output);
});

test('a setup that takes more memory than the preview may have is ended, and told so', async (t) => {
  const hog = 'node -e "const all = []; setInterval(() => all.push(Buffer.alloc(20_000_000, 1)), 20)"';
  await assert.rejects(inside(t, hog, {}, LIMITS), (error: OperatorError) => {
    assert.equal(error.code, 'SETUP_FAILED');
    assert.match(error.detail ?? '', /ended: the preview uses \d+ MiB of memory, and its limit is 128 MiB/);
    return true;
  });
});
