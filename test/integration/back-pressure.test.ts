/** Promise R12 on the real service: hundreds of pull requests at the same moment are worked off a few at a time, and nobody waits for somebody else's crowd. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { aRealService, type RealService } from '../support/a-real-service.ts';
import { openAtOnce } from '../support/back-pressure.ts';

const CONCURRENCY = 4;
/** Pull requests of each of two small repositories, behind those of a large one. */
const SMALL = 5;
const LARGE = 30;
/** docs/reference/reliability.md states it; the unit of the NixOS module enforces 2 GiB. */
const MEMORY_CEILING_MIB = 512;

let service: RealService;
before(async () => {
  service = await aRealService({ concurrency: CONCURRENCY });
});
after(() => service[Symbol.asyncDispose]());

test('R12: forty pull requests at once are built four at a time, each once, and repositories take turns', async (t) => {
  const crowd = await openAtOnce(service, { large: LARGE, small: SMALL });
  t.diagnostic(JSON.stringify(crowd));
  assert.equal(crowd.pulls, LARGE + 2 * SMALL);
  assert.equal(crowd.builds, crowd.pulls, 'one build each');
  assert.ok(crowd.most <= CONCURRENCY, `${crowd.most} builds at the same time`);
  // Three repositories take turns; what was begun before the small ones had asked, and what was being begun then, does not count.
  const turns = 3 * SMALL + crowd.aheadOfAll + 2 * CONCURRENCY;
  assert.ok(crowd.lastOfSmall <= turns, `the last of the small repositories was number ${crowd.lastOfSmall}`);
  if (crowd.memoryPeakMiB === null) t.diagnostic('memory: not measured, this system has no /proc/<pid>/status');
  else assert.ok(crowd.memoryPeakMiB <= MEMORY_CEILING_MIB, `${crowd.memoryPeakMiB} MiB`);
});
