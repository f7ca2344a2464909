/** Promise R1: what was answered 202 is never lost, whatever is killed when. The larger figures: `npm run bench -- durability`. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SeededRandom } from '../simulation/random.ts';
import { traceAcknowledgements } from '../support/durability/acknowledgement-order.ts';
import { crashAtEverySyscall } from '../support/durability/crash-at-every-syscall.ts';
import { killUnderLoad } from '../support/durability/kill-under-load.ts';
import { straceMissing } from '../support/durability/strace.ts';
import { openTestDatabase } from '../support/test-database.ts';

const skip = straceMissing();

test('killed at every system call that writes or waits, the listener loses nothing that it acknowledged', {
  skip,
}, async (t) => {
  await using database = await openTestDatabase();
  const rows = await crashAtEverySyscall({ databaseUrl: database.url, isWarm: true });
  for (const { syscall, kills, acknowledged } of rows)
    t.diagnostic(`${syscall}: ${kills} kills, ${acknowledged} acknowledged`);
  assert.deepEqual(
    rows.filter(({ lost }) => lost > 0),
    [],
  );
  const kills = rows.reduce((sum, row) => sum + row.kills, 0);
  assert.ok(kills > 5, `strace killed it ${kills} times only`);
});

test('PostgreSQL has flushed and committed a delivery before its 202 is written', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-durability-'));
  await chmod(folder, 0o755);
  try {
    const { acknowledged, inOrder, fsync, synchronousCommit } = await traceAcknowledgements(folder, 100);
    assert.deepEqual(
      { acknowledged, inOrder, fsync, synchronousCommit },
      { acknowledged: 100, inOrder: 100, fsync: 'on', synchronousCommit: 'on' },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('kill -9 of the operator under load, at times with its PostgreSQL: all acknowledged is there and is worked off', async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const result = await killUnderLoad({ kills: 6, perSecond: 50, random: new SeededRandom(seed) });
  t.diagnostic(JSON.stringify(result));
  const { lost, unserved, otherAnswers, acknowledged } = result;
  assert.deepEqual({ lost, unserved, otherAnswers }, { lost: 0, unserved: 0, otherAnswers: 0 });
  assert.ok(acknowledged > 6 * 5);
});
