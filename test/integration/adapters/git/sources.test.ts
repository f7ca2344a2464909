import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gitSources } from '../../../../webhook/adapters/git/sources.ts';
import { localShell } from '../../../../webhook/adapters/shell/local-shell.ts';
import { parseRepositoryName, parseSha, type Sha } from '../../../../webhook/core/pull-request.ts';
import type { SourceRequest } from '../../../../webhook/ports.ts';
import { aGitRepository } from '../../../support/a-git-repository.ts';
import { silentLog } from '../../../support/silent-log.ts';

const signal = new AbortController().signal;
const repositoryName = parseRepositoryName('acme/shop');
assert.ok(repositoryName !== null);

function aRig(t: TestContext, options: { token?: string; cloneBase?: string } = {}) {
  const root = mkdtempSync(join(tmpdir(), 'berth-git-'));
  t.after(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));
  const repository = aGitRepository(join(root, 'remote'), 'acme/shop');
  const shell = localShell({ path: '/usr/local/bin:/usr/bin:/bin', home: root });
  const directory = join(root, 'mirrors');
  const cloneBase = options.cloneBase ?? `file://${root}/remote`;
  const sources = gitSources({ directory, cloneBase, token: async () => options.token ?? null, shell, log: silentLog });
  const request = (sha: Sha, ref = 'main', pull = 42): SourceRequest => ({
    key: { repositoryId: 81, subject: { kind: 'pull', number: pull } },
    repository: repositoryName as NonNullable<typeof repositoryName>,
    revision: { sha, ref },
  });
  return { root, repository, sources, request, mirror: join(directory, '81.git'), instance: join(root, 'p1') };
}

test('places the tree of exactly the commit, and a copy that can be cloned', async (t) => {
  const { sources, request, repository, instance, root } = aRig(t);
  const first = repository.commit({ 'a.txt': 'one\n', 'bin/run': '#!/bin/sh\n', link: { link: 'bin/run' } });
  repository.commit({ 'a.txt': 'two\n' });
  await sources.ensure(request(first, 'feature/it'), signal);
  await sources.place(request(first, 'feature/it'), instance, signal);
  assert.equal(readFileSync(join(instance, 'source/a.txt'), 'utf8'), 'one\n');
  assert.deepEqual(readdirSync(join(instance, 'source')).sort(), ['a.txt', 'bin', 'link']);
  assert.deepEqual(readdirSync(instance).sort(), ['repository.git', 'source']);

  const clone = join(root, 'clone');
  execFileSync('git', ['clone', '--quiet', `file://${instance}/repository.git`, clone]);
  const git = (...words: string[]) => execFileSync('git', ['-C', clone, ...words], { encoding: 'utf8' }).trim();
  assert.equal(git('rev-parse', 'HEAD'), first);
  assert.equal(git('branch', '--show-current'), 'feature/it');
  assert.equal(git('rev-list', '--count', '--all'), '1');
  git('fsck', '--strict');

  // Again, over what is there.
  await sources.place(request(first), instance, signal);
  assert.equal(readFileSync(join(instance, 'source/a.txt'), 'utf8'), 'one\n');
});

test('finds a commit of a fork that only refs/pull/N/head leads to, also after it moved on', async (t) => {
  const { sources, request, repository, instance } = aRig(t);
  repository.commit({ 'a.txt': 'main\n' });
  repository.git('checkout', '--quiet', '-b', 'theirs');
  const theirs = repository.commit({ 'a.txt': 'fork\n' }, 'refs/pull/42/head');
  repository.commit({ 'a.txt': 'later\n' }, 'refs/pull/42/head');
  // A server of protocol version 0, which gives only the commits that it advertises.
  execFileSync('git', ['-C', repository.bare, 'config', 'uploadpack.allowAnySHA1InWant', 'false']);
  await sources.ensure(request(theirs), signal);
  await sources.place(request(theirs), instance, signal);
  assert.equal(readFileSync(join(instance, 'source/a.txt'), 'utf8'), 'fork\n');
});

test('a commit that nobody has is COMMIT_NOT_FOUND, a server that is away SOURCE_UNAVAILABLE', async (t) => {
  const { sources, request, repository, root, mirror } = aRig(t);
  const sha = repository.commit({ 'a.txt': 'one\n' });
  const nobody = parseSha('1234567890123456789012345678901234567890') as Sha;
  await assert.rejects(sources.ensure(request(nobody), signal), { code: 'COMMIT_NOT_FOUND' });
  await sources.ensure(request(sha), signal);
  await assert.rejects(sources.ensure(request(nobody), signal), { code: 'COMMIT_NOT_FOUND' });
  rmSync(join(root, 'remote/acme/shop.git'), { recursive: true });
  await assert.rejects(sources.ensure(request(nobody), signal), { code: 'SOURCE_UNAVAILABLE' });
  // What was there still is.
  await sources.ensure(request(sha), signal);
  assert.deepEqual(readdirSync(join(mirror, '..')), ['81.git']);
});

test('many at once for one repository fetch one after the other, and all get theirs', async (t) => {
  const { sources, request, repository } = aRig(t);
  const shas = Array.from({ length: 8 }, (_, index) => repository.commit({ 'a.txt': `${index}\n` }));
  await Promise.all(shas.map((sha) => sources.ensure(request(sha), signal)));
  const read = await Promise.all(shas.map((sha) => sources.readFile(request(sha), 'a.txt', 100)));
  assert.deepEqual(
    read,
    shas.map((_, index) => `${index}\n`),
  );
});

test('a mirror that is torn, locked or garbage is replaced', async (t) => {
  const { sources, request, repository, mirror, instance } = aRig(t);
  const first = repository.commit({ 'a.txt': 'one\n' });
  await sources.ensure(request(first), signal);
  const second = repository.commit({ 'a.txt': 'two\n' });
  writeFileSync(join(mirror, 'shallow.lock'), '');
  await sources.ensure(request(second), signal);
  assert.equal(await sources.readFile(request(second), 'a.txt', 100), 'two\n');

  // The commit has its name, and its objects are gone.
  rmSync(join(mirror, 'objects'), { recursive: true });
  await sources.place(request(second), instance, signal);
  assert.equal(readFileSync(join(instance, 'source/a.txt'), 'utf8'), 'two\n');

  writeFileSync(join(mirror, 'HEAD'), '\0\0\0');
  const third = repository.commit({ 'a.txt': 'three\n' });
  await sources.ensure(request(third), signal);
  assert.equal(await sources.readFile(request(third), 'a.txt', 100), 'three\n');
});

test('reads single files, and says what is not one', async (t) => {
  const { sources, request, repository } = aRig(t);
  const sha = repository.commit({ 'preview.toml': 'x = 1\n', 'dir/f': 'x', l: { link: 'preview.toml' } });
  await sources.ensure(request(sha), signal);
  assert.equal(await sources.readFile(request(sha), 'preview.toml', 100), 'x = 1\n');
  assert.equal(await sources.readFile(request(sha), 'absent', 100), null);
  assert.equal(await sources.hasFile(request(sha), 'preview.toml'), true);
  assert.equal(await sources.hasFile(request(sha), 'dir'), false);
  assert.equal(await sources.hasFile(request(sha), '*'), false);
  await assert.rejects(sources.readFile(request(sha), 'preview.toml', 3), { code: 'SOURCE_REFUSED' });
  await assert.rejects(sources.readFile(request(sha), 'dir', 100), {
    code: 'SOURCE_REFUSED',
    message: /"dir" is a directory/,
  });
  await assert.rejects(sources.readFile(request(sha), 'l', 100), {
    code: 'SOURCE_REFUSED',
    message: /"l" is a symlink/,
  });
});

const ESCAPING: Record<string, Record<string, { link: string }>> = {
  absolute: { passwd: { link: '/etc/passwd' } },
  above: { 'a/b': { link: '../../x' } },
  'through another link': { 'd/e/up': { link: '../..' }, out: { link: 'd/e/up/..' } },
  circular: { x: { link: 'y' }, y: { link: 'x' } },
};
for (const [name, files] of Object.entries(ESCAPING)) {
  test(`a symbolic link that leaves the tree is refused: ${name}`, async (t) => {
    const { sources, request, repository, instance } = aRig(t);
    const sha = repository.commit({ 'a.txt': 'x', ...files });
    await sources.ensure(request(sha), signal);
    await assert.rejects(sources.place(request(sha), instance, signal), {
      code: 'SOURCE_REFUSED',
      message: /is a symbolic link that leads out of the tree/,
    });
    assert.deepEqual(readdirSync(instance), []);
  });
}

test('nothing of the tree is run: no filters, hooks, submodules or LFS', async (t) => {
  const { sources, request, repository, instance, root } = aRig(t);
  const canary = join(root, 'canary');
  const sha = repository.commit({
    '.gitattributes': '* filter=evil\n*.bin filter=lfs diff=lfs merge=lfs\n',
    '.gitmodules': `[submodule "x"]\n\tpath = x\n\turl = file://${root}/remote/acme/shop.git\n\tupdate = !touch ${canary}\n`,
    'a.bin': 'version https://git-lfs.github.com/spec/v1\n',
    'hooks/post-checkout': `#!/bin/sh\ntouch ${canary}\n`,
  });
  await sources.ensure(request(sha), signal);
  await sources.place(request(sha), instance, signal);
  assert.equal(existsSync(canary), false);
  assert.equal(readFileSync(join(instance, 'source/a.bin'), 'utf8'), 'version https://git-lfs.github.com/spec/v1\n');
});

test('an abort ends the fetch and leaves no half-made thing', async (t) => {
  const { sources, request, repository, instance } = aRig(t);
  const sha = repository.commit({ 'a.txt': 'one\n' });
  const controller = new AbortController();
  const ensured = sources.ensure(request(sha), controller.signal);
  const reason = new Error('superseded');
  controller.abort(reason);
  await assert.rejects(ensured, (error) => error === reason);
  await sources.ensure(request(sha), signal);
  await sources.place(request(sha), instance, signal);
});

test('removes the mirrors of repositories that nobody needs', async (t) => {
  const { sources, request, repository, mirror } = aRig(t);
  await sources.ensure(request(repository.commit({ 'a.txt': 'x' })), signal);
  await sources.removeUnused(new Set([81]));
  assert.equal(existsSync(mirror), true);
  await sources.removeUnused(new Set([82]));
  assert.equal(existsSync(mirror), false);
});
