/** Promise R8: previews that hang, flood, never get healthy or lost their database, as many as there are places for work; and others beside them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { aRealService, type RealService } from '../support/a-real-service.ts';
import { liveBesidePoisons, PLACES_KEPT } from '../support/poisoned-previews.ts';

let service: RealService;
before(async () => {
  service = await aRealService({ concurrency: PLACES_KEPT });
});
after(() => service[Symbol.asyncDispose]());

test('healthy previews are created, updated and closed while poisoned ones keep every place for work', async (t) => {
  const { alone, beside, requests, failed } = await liveBesidePoisons(service);
  t.diagnostic(`alone ${JSON.stringify(alone)}, beside ${JSON.stringify(beside)}, ${requests} requests`);
  assert.deepEqual(failed, []);
  assert.ok(requests > 0);
});
