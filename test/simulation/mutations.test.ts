import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkMutation } from './mutation-check.ts';
import { MUTATIONS } from './mutations.ts';

/** The same bound for every bug; each is found long before. */
const SCHEDULES = 500;

test('the simulator finds every deliberate bug within 500 schedules', async (t) => {
  for (const mutation of MUTATIONS) {
    await t.test(mutation.name, async (t) => {
      const verdict = await checkMutation(mutation, { schedules: SCHEDULES, seed: 1 });
      t.diagnostic(verdict.divergence);
      assert.ok(verdict.isFound, 'no history diverged');
    });
  }
});
