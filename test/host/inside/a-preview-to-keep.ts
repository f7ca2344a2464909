/** First half of the reboot test: brings one preview up, with an operator and a GitHub that are gone after the power cut. */
import type { TestContext } from 'node:test';
import { eventually } from './a-host-runtime.ts';
import { anOperator, preview, shopAt, shows } from './an-operator.ts';

// Nothing is cleaned up here: the power goes.
const github = await anOperator({ after: () => undefined } as unknown as TestContext);
const repository = await github.addRepository('acme/shop', shopAt('0'));
await repository.commit('feature', shopAt('1'), 'One');
await repository.openPullRequest({ head: 'feature' });
await shows('shop-1.preview.test', 'version 1');
// Written down, too: what a power cut takes before that, GitHub has to be asked for again.
await eventually(async () => (await preview('list', '--json')).includes('"live"'), 'it is live');
process.exit(0);
