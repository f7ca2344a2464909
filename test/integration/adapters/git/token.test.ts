/** The token reaches the git server it is for, and nothing else: no word list, no file, no error, no other server. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gitSources } from '../../../../webhook/adapters/git/sources.ts';
import { localShell } from '../../../../webhook/adapters/shell/local-shell.ts';
import type { OperatorError } from '../../../../webhook/core/errors.ts';
import { parseRepositoryName, type Sha } from '../../../../webhook/core/pull-request.ts';
import type { SourceRequest } from '../../../../webhook/ports.ts';
import { aGitRepository } from '../../../support/a-git-repository.ts';
import { aGitServer } from '../../../support/a-git-server.ts';
import { silentLog } from '../../../support/silent-log.ts';

const signal = new AbortController().signal;
const TOKEN = 'ghs_C4n4ryC4n4ryC4n4ryC4n4ryC4n4ryC4n4ry';
const ENCODED = Buffer.from(`x-access-token:${TOKEN}`).toString('base64');

function aRoot(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'berth-token-'));
  t.after(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));
  return root;
}

function request(sha: Sha): SourceRequest {
  const repository = parseRepositoryName('acme/shop');
  assert.ok(repository !== null);
  return {
    key: { repositoryId: 81, subject: { kind: 'pull', number: 42 } },
    repository,
    revision: { sha, ref: 'main' },
  };
}

/** Sources whose git writes down its words before it is the real one. */
function sourcesIn(root: string, cloneBase: string) {
  const git = spawnSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).stdout.trim();
  const words = join(root, 'words');
  mkdirSync(join(root, 'bin'), { recursive: true });
  writeFileSync(join(root, 'bin', 'git'), `#!/bin/sh\nprintf '%s\\n' "$@" >> ${words}\nexec ${git} "$@"\n`);
  chmodSync(join(root, 'bin', 'git'), 0o755);
  const shell = localShell({ path: `${join(root, 'bin')}:/usr/local/bin:/usr/bin:/bin`, home: root });
  const directory = join(root, 'mirrors');
  const sources = gitSources({ directory, cloneBase, token: async () => TOKEN, shell, log: silentLog });
  return { sources, words, directory };
}

test('the server gets it; no word list and no file has it', async (t) => {
  const root = aRoot(t);
  const server = await aGitServer(t, join(root, 'remote'), { token: TOKEN });
  if (server === null) return t.skip('needs git http-backend');
  const sha = aGitRepository(join(root, 'remote'), 'acme/shop').commit({ 'a.txt': 'private\n' });
  const { sources, words, directory } = sourcesIn(root, server.base);
  await sources.ensure(request(sha), signal);
  await sources.place(request(sha), join(root, 'p1'), signal);
  assert.equal(readFileSync(join(root, 'p1/source/a.txt'), 'utf8'), 'private\n');
  assert.ok(server.authorizations.includes(`Basic ${ENCODED}`));
  const said = readFileSync(words, 'utf8');
  assert.match(said, /^fetch$/m);
  assert.ok(!said.includes(TOKEN) && !said.includes(ENCODED));
  for (const each of [directory, join(root, 'p1')]) {
    const found = spawnSync('grep', ['-rlaF', '-e', TOKEN, '-e', ENCODED, each], { encoding: 'utf8' });
    assert.equal(found.stdout, '');
  }
});

test('a server that repeats it in an error does not get it into ours', async (t) => {
  const root = aRoot(t);
  const sha = aGitRepository(join(root, 'remote'), 'acme/shop').commit({ 'a.txt': 'x' });
  const server = await aGitServer(t, join(root, 'remote'), {
    answer: (incoming, response) => {
      response
        .writeHead(403, { 'content-type': 'text/plain' })
        .end(`no entry for ${incoming.headers.authorization} alias ${TOKEN}\n`);
      return true;
    },
  });
  if (server === null) return t.skip('needs git http-backend');
  const { sources } = sourcesIn(root, server.base);
  await assert.rejects(sources.ensure(request(sha), signal), (error: OperatorError) => {
    assert.equal(error.code, 'SOURCE_UNAVAILABLE');
    assert.match(error.detail ?? '', /no entry for Basic \[redacted\] alias \[redacted\]/);
    assert.ok(!JSON.stringify(error).includes(TOKEN));
    return true;
  });
});

test('a redirect is not followed, so another server never sees it', async (t) => {
  const root = aRoot(t);
  const sha = aGitRepository(join(root, 'remote'), 'acme/shop').commit({ 'a.txt': 'x' });
  const other = await aGitServer(t, join(root, 'remote'));
  const server = await aGitServer(t, join(root, 'remote'), {
    answer: (incoming, response) => {
      response.writeHead(301, { location: `${other?.base}${incoming.url}` }).end();
      return true;
    },
  });
  if (server === null) return t.skip('needs git http-backend');
  const { sources } = sourcesIn(root, server.base);
  await assert.rejects(sources.ensure(request(sha), signal), { code: 'SOURCE_UNAVAILABLE' });
  assert.deepEqual(other?.authorizations, []);
});

test('only transports that run nothing but git are taken', (t) => {
  for (const [index, base] of ['ext::sh -c id', 'ssh://host/', 'git@host:x', '/a/path'].entries())
    assert.throws(() => sourcesIn(join(aRoot(t), String(index)), base), RangeError);
});
