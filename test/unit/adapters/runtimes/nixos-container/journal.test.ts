import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logLineFrom } from '../../../../../webhook/adapters/runtimes/nixos-container/journal.ts';

const entry = (fields: object) =>
  JSON.stringify({ __REALTIME_TIMESTAMP: '1700000000000000', _SYSTEMD_UNIT: 'app-web.service', ...fields });

test('a line of the app, with its service and its time', () => {
  assert.deepEqual(logLineFrom(entry({ MESSAGE: 'listening' })), {
    at: new Date(1_700_000_000_000),
    source: 'web',
    text: 'listening',
  });
  assert.equal(logLineFrom(entry({ MESSAGE: 'built', _SYSTEMD_UNIT: 'setup-preview.service' }))?.source, 'setup');
});

test('bytes that are no text, colours and control characters reach nobody’s terminal', () => {
  assert.equal(logLineFrom(entry({ MESSAGE: [104, 105, 255, 7] }))?.text, 'hi\u{fffd}\u{fffd}');
  assert.equal(
    logLineFrom(entry({ MESSAGE: '\u001b[31mred\u001b[0m \u001b]0;title\u0007\r\u0007x' }))?.text,
    'red \u{fffd}\u{fffd}x',
  );
  assert.equal(logLineFrom(entry({ MESSAGE: 'x'.repeat(100_000) }))?.text.length, 4_096);
});

test('what is not the app’s is left out: systemd’s words, other units, lies', () => {
  const left = [
    '',
    'not json',
    '[]',
    'null',
    entry({}),
    entry({ MESSAGE: null }),
    entry({ MESSAGE: 'x', _SYSTEMD_UNIT: 'init.scope' }),
    entry({ MESSAGE: 'x', _SYSTEMD_UNIT: 'app-../x.service' }),
    entry({ MESSAGE: 'x', __REALTIME_TIMESTAMP: '-1' }),
  ];
  for (const text of left) assert.equal(logLineFrom(text), null, text);
});
