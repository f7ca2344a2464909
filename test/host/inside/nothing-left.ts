/**
 * Promise R10, through the real door: pull requests are opened and closed, four at a time, each with its container, database, route and rules, and the host is
 * then what it was before. BERTH_CYCLES says how many lives; `npm run bench -- cycles` runs 500.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FakePullRequest } from '../../support/fake-github/pull-request.ts';
import { eventually } from './a-host-runtime.ts';
import { inventory, isAsBefore } from './an-inventory.ts';
import { anOperator, askCaddy, shopAt } from './an-operator.ts';

const cycles = Number(process.env['BERTH_CYCLES'] ?? 12);
const sideBySide = 4;

/** From open to gone. Its comment says how far it is, which costs the host less than asking the operator. */
async function live(pull: FakePullRequest): Promise<void> {
  const says = (text: string) =>
    eventually(() => pull.comments.at(-1)?.body.includes(text) === true, `#${pull.number}: ${text}`);
  await says('is live');
  assert.equal((await askCaddy(`shop-${pull.number}.preview.test`, '/visits')).text, '1\n');
  await pull.close();
  await says('**Preview** removed');
}

test('lives of previews leave a delta of nothing in every class', async (t) => {
  const github = await anOperator(t);
  const repository = await github.addRepository('acme/shop', shopAt('0'));
  const pulls: FakePullRequest[] = [];
  // The first lives leave what is made once: the copy of the repository, the closure, Caddy's block for this kind of route.
  for (let number = 0; number < sideBySide; number += 1) {
    await repository.commit(`feature-${number}`, shopAt(String(number)), 'One');
    pulls.push(await repository.openPullRequest({ head: `feature-${number}` }));
  }
  await Promise.all(pulls.map(live));
  const before = inventory();
  const began = performance.now();
  let begun = 0;
  await Promise.all(
    pulls.map(async (pull) => {
      while (begun < cycles) {
        begun += 1;
        if (begun % 50 === 0)
          console.log(`${begun} of ${cycles} after ${((performance.now() - began) / 1000).toFixed(0)} s`);
        await pull.reopen();
        await live(pull);
      }
    }),
  );
  const seconds = Number(((performance.now() - began) / 1000).toFixed(1));
  await isAsBefore(before);
  console.log(
    `cycles: ${JSON.stringify({ cycles, sideBySide, seconds, classes: Object.keys(before).length, left: 0 })}`,
  );
});
