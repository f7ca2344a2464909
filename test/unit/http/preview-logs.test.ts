/** Following the output of one instance whose stream ends and begins again, and of a PostgreSQL that is away meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperatorError } from '../../../webhook/core/errors.ts';
import type { LogLine } from '../../../webhook/ports.ts';
import { logsOf } from '../../../webhook/http/preview-logs.ts';
import { aLiveInstance, aPreview, commit } from '../../support/a-preview.ts';

const A = commit('a');
const live = aPreview({ instances: [aLiveInstance(1, A)], answering: aLiveInstance(1, A).name });
const line = (ms: number, text: string): LogLine => ({ at: new Date(ms), source: 'web', text });

for (const lines of [200, 10_000]) {
  test(`each line once and none lost, also when ${lines} were asked for`, async () => {
    // The second stream has all that was printed, as a log that is read again from its beginning.
    const streams = [
      [line(1, 'a'), line(2, 'b')],
      [line(1, 'a'), line(2, 'b'), line(3, 'c'), line(3, 'd')],
    ];
    const stopping = new AbortController();
    let [asks, looks] = [0, 0];
    const runtime = {
      async *logs() {
        yield* streams[asks] ?? [];
        asks += 1;
        if (asks > streams.length) stopping.abort();
      },
    };
    const store = {
      async load() {
        looks += 1;
        if (looks === 1) throw new OperatorError('STATE_UNAVAILABLE', 'PostgreSQL does not answer.');
        return live;
      },
    };
    const clock = { now: () => new Date(0), sleep: () => new Promise<void>((resolve) => setImmediate(resolve)) };
    const shown: string[] = [];
    const asked = { follow: true, lines, signal: stopping.signal };
    // Of the ports only what is used here.
    const op = { runtime, store, clock } as unknown as Parameters<typeof logsOf>[0];
    for await (const each of logsOf(op, live, asked)) shown.push('text' in each ? each.text : JSON.stringify(each));
    assert.deepEqual(shown, ['a', 'b', 'c', 'd']);
    assert.ok(looks > 1, 'it looked again after PostgreSQL was away');
  });
}
