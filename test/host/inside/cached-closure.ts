/** What `preview build` built is used by `preview create`, which says so and evaluates nothing. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { host } from './a-host-runtime.ts';
import { anOperator, preview, previewSaid, shopAt, shows } from './an-operator.ts';

const calls = '/var/tmp/nix-calls';
const evaluating = /^nix (build|eval|develop|flake)|^nix-(build|instantiate)/;

/** From now on every use of Nix on this host leaves a line. All of Nix's programs are links to one file. */
function recordNix(t: TestContext): void {
  const program = host('readlink', '-f', '/usr/bin/nix');
  copyFileSync(program, '/var/tmp/nix-itself');
  const recording = '/var/tmp/nix-recording';
  writeFileSync(
    recording,
    `#!/bin/bash\nname="$(basename "$0")"\necho "$name $*" >>${calls}\nexec -a "$name" /var/tmp/nix-itself "$@"\n`,
  );
  for (const path of [recording, '/var/tmp/nix-itself']) chmodSync(path, 0o755);
  writeFileSync(calls, '');
  chmodSync(calls, 0o666);
  host('mount', '--bind', recording, program);
  t.after(() => host('umount', program));
}

function evaluations(): string[] {
  const lines = existsSync(calls) ? readFileSync(calls, 'utf8').split('\n') : [];
  return lines.filter((line) => evaluating.test(line));
}

test('preview build, then preview create: the cached closure is used, and nothing is evaluated', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  await repository.commit('feature', shopAt('1'), 'One');
  recordNix(t);

  assert.match(
    await preview('build', 'acme/shop'),
    /^Preview closure for acme\/shop@main \([0-9a-f]{8}\) built and cached: /,
  );
  assert.notDeepEqual(evaluations(), [], 'a build is seen');
  assert.match(
    await preview('build', 'acme/shop', 'feature'),
    /^Preview closure for acme\/shop@feature .* was cached: /,
  );
  rmSync(calls);
  writeFileSync(calls, '');
  chmodSync(calls, 0o666);

  const { stderr, stdout } = await previewSaid('create', 'acme/shop', 'feature');
  assert.match(stderr, /^.*Using cached closure$/m);
  assert.equal(stderr.match(/Using cached closure/g)?.length, 1);
  assert.match(stdout, /^URL: http:\/\/shop-feature\.preview\.test$/m);
  await shows('shop-feature.preview.test', 'version 1');
  const view = JSON.parse(await preview('status', 'shop-feature', '--json')) as {
    preview: { instances: { closure: string }[] };
  };
  assert.deepEqual(
    view.preview.instances.map(({ closure }) => closure),
    ['cached'],
  );
  assert.deepEqual(evaluations(), []);
  assert.match(readFileSync(calls, 'utf8'), /^nix-env /m, 'the container was made in sight');
  await preview('destroy', 'shop-feature');
});
