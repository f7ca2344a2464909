import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playRealWorld } from './real-world.ts';

test('R2, R3 in the real world: four random histories with lost deliveries and kill -9 of the operator', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const result = await playRealWorld({ world: 'real', schedules: 4, seed });
  assert.deepEqual(
    result.failures.map((failure) => failure.story.join('\n')),
    [],
  );
});
