/** Bad input, the row "Webhook HTTP request": each try over real HTTP, raw sockets where a client library would not send it. */
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { after, before, suite, test } from 'node:test';
import { AWebhookServer, payloadWith, PREVIOUS_SECRET, SECRET } from '../../support/a-webhook-server.ts';

const GOOD = JSON.stringify(payloadWith());
const hmac = (body: string | Buffer, secret = SECRET) => createHmac('sha256', secret).update(body).digest('hex');

let server: AWebhookServer;
before(async () => {
  server = await AWebhookServer.start();
});
after(() => server.close());

/** A request as bytes. `lines` come after the usual headers, which they do not replace. */
function request(options: {
  start?: string;
  body?: string | Buffer;
  signature?: string | null;
  lines?: string[];
  lengthOf?: string | Buffer | null;
}): Buffer {
  const { start = 'POST /webhook/github HTTP/1.1', body = GOOD, lines = [] } = options;
  const signature = options.signature === undefined ? `sha256=${hmac(body)}` : options.signature;
  const length = options.lengthOf === undefined ? body : options.lengthOf;
  const head = [
    start,
    'Host: webhook.example.com',
    'Content-Type: application/json',
    'X-GitHub-Event: pull_request',
    `X-GitHub-Delivery: ${randomUUID()}`,
    ...(signature === null ? [] : [`X-Hub-Signature-256: ${signature}`]),
    ...(length === null ? [] : [`Content-Length: ${Buffer.byteLength(length)}`]),
    'Connection: close',
    ...lines,
  ];
  // latin1: a header of bytes that are not ASCII is sent as it is.
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), Buffer.from(body)]);
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
const bodyOf = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n') + 4);

suite('method and path', () => {
  for (const [start, status] of [
    ['GET /webhook/github HTTP/1.1', 405],
    ['PUT /webhook/github HTTP/1.1', 405],
    ['DELETE /webhook/github HTTP/1.1', 405],
    ['OPTIONS /webhook/github HTTP/1.1', 405],
    ['POST /health HTTP/1.1', 405],
    ['POST //webhook/github HTTP/1.1', 404],
    ['POST /webhook/github/ HTTP/1.1', 404],
    ['POST /webhook//github HTTP/1.1', 404],
    ['POST /%77ebhook/github HTTP/1.1', 404],
    ['POST /webhook%2fgithub HTTP/1.1', 404],
    ['POST /Webhook/GitHub HTTP/1.1', 404],
    ['POST /webhook/github;x=1 HTTP/1.1', 404],
    ['POST /./webhook/github HTTP/1.1', 404],
    ['POST /x/../webhook/github HTTP/1.1', 404],
    ['POST http://webhook.example.com/webhook/github HTTP/1.1', 404],
    ['POST /internal/token HTTP/1.1', 404],
    ['GET /internal/token HTTP/1.1', 404],
    ['GET / HTTP/1.1', 404],
    ['GET /%zz HTTP/1.1', 404],
    ['GET /..%2f..%2fetc/passwd HTTP/1.1', 404],
    ['CONNECT 127.0.0.1:22 HTTP/1.1', 405],
    ['TRACE /webhook/github HTTP/1.1', 405],
    ['BREW /webhook/github HTTP/1.1', 400],
    ['POST /webhook/github HTTP/x', 400],
    ['PRI * HTTP/2.0', 400],
  ] as const) {
    test(`${start} is ${status}`, async () => {
      const answer = await server.raw(request({ start }));
      assert.equal(statusOf(answer), status, answer);
      assert.ok(!bodyOf(answer).includes('webhook'), 'the body gives no detail');
    });
  }
});

suite('signature', () => {
  const good = `sha256=${hmac(GOOD)}`;
  const answers = new Set<string>();
  for (const [name, signature, lines] of [
    ['absent', null],
    ['empty', ''],
    ['sha1', `sha1=${createHmac('sha1', SECRET).update(GOOD).digest('hex')}`],
    ['63 digits', good.slice(0, -1)],
    ['65 digits', `${good}0`],
    ['upper case', `sha256=${hmac(GOOD).toUpperCase()}`],
    ['a space inside', good.replace('=', '= ')],
    ['no prefix', hmac(GOOD)],
    ['bytes that are not ASCII, of the right length', `sha256=${'é'.repeat(64)}`],
    ['of other bytes', `sha256=${hmac(`${GOOD} `)}`],
    ['with the secret of another repository', `sha256=${hmac(GOOD, 'another-secret-0123456789-0123456789')}`],
    ['with an empty secret', `sha256=${hmac(GOOD, '')}`],
    ['all zeros', `sha256=${'0'.repeat(64)}`],
    ['two headers, both good', good, [`X-Hub-Signature-256: ${good}`]],
    ['two headers, the first bad', `sha256=${'0'.repeat(64)}`, [`X-Hub-Signature-256: ${good}`]],
  ] as const) {
    test(`${name}: 401, the same answer for all`, async () => {
      const answer = await server.raw(request({ signature, lines: [...(lines ?? [])] }));
      assert.equal(statusOf(answer), 401, answer);
      assert.deepEqual(JSON.parse(bodyOf(answer)), { error: 'Invalid signature', code: 'bad_signature' });
      answers.add(answer.replace(/Date: .*\r\n/i, ''));
      assert.equal(answers.size, 1);
    });
  }

  test('a signature without a body is 401 (the ancestor: an unauthenticated 500)', async () => {
    const answer = await server.raw(request({ body: '', signature: good }));
    assert.equal(statusOf(answer), 401);
  });

  test('512 kB of signature is 431', async () => {
    const answer = await server.raw(request({ signature: `sha256=${'a'.repeat(512 * 1024)}` }));
    assert.equal(statusOf(answer), 431);
  });

  test('during a rotation both secrets are good', async () => {
    for (const secret of [SECRET, PREVIOUS_SECRET]) {
      assert.equal((await server.deliver(GOOD, { secret })).status, 202);
    }
  });

  test('nothing unsigned reached the intake, and each try is one line in the log', async () => {
    await using fresh = await AWebhookServer.start();
    for (let at = 0; at < 3; at += 1) await fresh.deliver(GOOD, { secret: 'wrong' });
    assert.equal(fresh.accepted.size, 0);
    const lines = fresh
      .logText()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: number; code: string });
    assert.deepEqual(
      lines.map(({ level, code }) => [level, code]),
      Array.from({ length: 3 }, () => [40, 'bad_signature']),
    );
  });

  test('an address with too many bad signatures gets 429, and is still answered when it signs', async () => {
    await using strict = await AWebhookServer.start({ limits: { badSignaturesPerMinute: 3 } });
    const statuses = [];
    for (let at = 0; at < 5; at += 1) statuses.push((await strict.deliver(GOOD, { secret: 'wrong' })).status);
    assert.deepEqual(statuses, [401, 401, 401, 429, 429]);
    const refused = await strict.deliver(GOOD, { secret: 'wrong' });
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9][0-9]*$/);
    assert.equal((await strict.deliver(GOOD)).status, 202);
    assert.equal(
      strict
        .logText()
        .split('\n')
        .filter((line) => line.includes('bad_signature')).length,
      3,
    );
  });
});

suite('event and delivery headers', () => {
  for (const [name, headers, expected] of [
    ['no event', { 'x-github-event': undefined }, [400, 'bad_event']],
    ['an empty event', { 'x-github-event': '' }, [400, 'bad_event']],
    ['two events in one', { 'x-github-event': 'pull_request, push' }, [400, 'bad_event']],
    ['an unknown event', { 'x-github-event': 'something_new' }, [200, 'event_not_relevant']],
    ['ping', { 'x-github-event': 'ping' }, [200, 'pong']],
    ['no delivery id', { 'x-github-delivery': undefined }, [400, 'bad_delivery_id']],
    ['a delivery id that is no UUID', { 'x-github-delivery': 'abc' }, [400, 'bad_delivery_id']],
    ['a delivery id of 10 kB', { 'x-github-delivery': 'a'.repeat(10_000) }, [400, 'bad_delivery_id']],
  ] as const) {
    test(`${name}: ${expected.join(' ')}`, async () => {
      const { status, body } = await server.deliver(GOOD, { headers });
      const { code, reason, status: word } = body as Record<string, string>;
      assert.deepEqual([status, code ?? reason ?? word], expected);
    });
  }

  test('an event with a NUL in its name is refused by the HTTP parser', async () => {
    const answer = await server.raw(request({ lines: ['X-GitHub-Event: pull_request\0'] }));
    assert.equal(statusOf(answer), 400);
  });

  test('two event headers are 400', async () => {
    const answer = await server.raw(request({ lines: ['X-GitHub-Event: pull_request'] }));
    assert.equal(statusOf(answer), 400);
  });

  test('the same delivery again is 202 duplicate, also with its id in upper case', async () => {
    const guid = randomUUID();
    const answers = [];
    for (const each of [guid, guid, guid.toUpperCase()])
      answers.push((await server.deliver(GOOD, { guid: each })).body);
    const slug = 'shop-7';
    assert.deepEqual(answers, [
      { status: 'accepted', slug },
      { status: 'duplicate', slug },
      { status: 'duplicate', slug },
    ]);
  });
});

suite('content type', () => {
  for (const [contentType, status] of [
    ['application/json; charset=utf-8', 202],
    ['application/json;charset="UTF-8"', 202],
    ['Application/JSON', 202],
    ['application/json; charset=utf-16', 415],
    ['multipart/form-data; boundary=x', 415],
    ['text/plain', 415],
    ['application/jsonx', 415],
    ['nonsense', 415],
    [undefined, 415],
  ] as const) {
    test(`${contentType ?? 'absent'}: ${status}`, async () => {
      const { status: answered, body } = await server.deliver(GOOD, { headers: { 'content-type': contentType } });
      assert.equal(answered, status);
      if (status === 415) assert.match(JSON.stringify(body), /application\/json/, 'it names the setting');
    });
  }

  test('a compressed body is 415: GitHub compresses none, and a small one can be a bomb', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024, ' '));
    const { status } = await server.deliver(bomb, { headers: { 'content-encoding': 'gzip' } });
    assert.equal(status, 415);
  });

  for (const [name, form] of [
    ['no payload', 'other=1'],
    ['two fields', `payload=${encodeURIComponent(GOOD)}&payload=1`],
    ['a broken escape', 'payload=%zz'],
    ['an escape that is not UTF-8', 'payload=%ff%fe'],
    ['empty', ''],
  ] as const) {
    test(`a form with ${name} is 400`, async () => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const { status, body } = await server.deliver(form, { headers });
      assert.deepEqual([status, (body as { code: string }).code], [400, 'bad_json']);
    });
  }
});

suite('body', () => {
  const good = payloadWith();
  for (const [name, body] of [
    ['empty', ''],
    ['no JSON', '{'],
    ['bytes after the value', `${GOOD}x`],
    ['two values', `${GOOD}${GOOD}`],
    ['duplicate members', GOOD.replace('"action":"opened"', '"action":"closed","action":"opened"')],
    ['duplicate members, one escaped', GOOD.replace('"action":"opened"', '"action":"closed","\\u0061ction":"opened"')],
    ['duplicates deep inside', GOOD.replace('"ref":"feature"', '"ref":"a","ref":"b"')],
    ['__proto__', GOOD.replace('"action"', '"__proto__":{"action":"opened"},"action"')],
    ['half a surrogate pair', GOOD.replace('feature', '\\ud800')],
    [
      'invalid UTF-8',
      Buffer.concat([Buffer.from(GOOD.replace('feature"', '')), Buffer.from([0xff]), Buffer.from('"}')]),
    ],
    ['UTF-8 longer than it need be', Buffer.from(GOOD.replace('feature', '\xc0\xaf'), 'latin1')],
    ['a byte order mark', `\ufeff${GOOD}`],
    ['UTF-16', Buffer.from(GOOD, 'utf16le')],
    ['NaN', GOOD.replace(':7', ':NaN')],
    ['1e400', GOOD.replace(':7', ':1e400')],
    ['-1e400', GOOD.replace(':7', ':-1e400')],
    ['a comment', `/* */${GOOD}`],
    ['nesting of 65', `${'['.repeat(65)}${']'.repeat(65)}`],
    ['a megabyte of [', '['.repeat(1024 * 1024)],
  ] as const) {
    test(`${name}: 400 bad_json`, async () => {
      const { status, body: answer } = await server.deliver(body);
      assert.deepEqual([status, (answer as { code: string }).code], [400, 'bad_json']);
    });
  }

  for (const [name, body] of [
    ['null', null],
    ['[]', []],
    ['a text', '"x"'],
    ['an empty object', {}],
    ['constructor', { constructor: { prototype: { action: 'opened' } } }],
  ] as const) {
    test(`${name}: 400 bad_payload`, async () => {
      const { status, body: answer } = await server.deliver(typeof body === 'string' ? body : JSON.stringify(body));
      assert.deepEqual([status, (answer as { code: string }).code], [400, 'bad_payload']);
    });
  }

  test('nesting of 64, a member that is called constructor, and 25 MB are none of them too much', async () => {
    const deep: unknown = JSON.parse(`${'['.repeat(62)}${']'.repeat(62)}`);
    assert.equal((await server.deliver({ ...good, deep: { deep }, constructor: 'x' })).status, 202);
    const padding = 'x'.repeat(25 * 1024 * 1024 - GOOD.length - 20);
    assert.equal((await server.deliver({ ...good, padding })).status, 202);
  });

  test('26 MB is 413, before it is sent', async () => {
    const answer = await server.raw(request({ lengthOf: Buffer.alloc(26 * 1024 * 1024) }));
    assert.equal(statusOf(answer), 413);
  });

  test('25 MB of [, signed, is 400', async () => {
    assert.equal((await server.deliver('['.repeat(25 * 1024 * 1024))).status, 400);
  });

  test('a body in chunks that grows too large is 413', async () => {
    await using small = await AWebhookServer.start({ limits: { bodyMaxBytes: 1_000 } });
    const chunk = `3e8\r\n${'x'.repeat(1_000)}\r\n`;
    const head = request({ body: '', lengthOf: null, lines: ['Transfer-Encoding: chunked'] });
    assert.equal(statusOf(await small.raw(Buffer.concat([head, Buffer.from(`${chunk}${chunk}`)]))), 413);
  });

  test('a signed body in chunks, with extensions, is what its bytes are', async () => {
    const head = request({
      body: '',
      signature: `sha256=${hmac(GOOD)}`,
      lengthOf: null,
      lines: ['Transfer-Encoding: chunked'],
    });
    const chunks = `${GOOD.length.toString(16)};name=value\r\n${GOOD}\r\n0\r\n\r\n`;
    assert.equal(statusOf(await server.raw(Buffer.concat([head, Buffer.from(chunks)]))), 202);
  });

  test('more bodies at once than we hold are 503 with Retry-After, and the room is free again afterwards', async () => {
    await using small = await AWebhookServer.start({ limits: { bodiesMaxBytes: GOOD.length + 10 } });
    assert.equal((await small.deliver({ ...good, padding: 'x'.repeat(100) })).status, 503);
    for (let at = 0; at < 5; at += 1) assert.equal((await small.deliver(GOOD)).status, 202);
  });
});

suite('framing', () => {
  for (const [name, lines] of [
    ['Content-Length and Transfer-Encoding', ['Transfer-Encoding: chunked']],
    ['two different lengths', ['Content-Length: 5']],
    ['an unknown encoding', ['Transfer-Encoding: gzip']],
    ['a header line that is folded', ['X-Folded: a', ' b']],
    ['a header without a colon', ['nonsense']],
  ] as const) {
    test(`${name}: 400`, async () => {
      const answer = await server.raw(request({ lines: [...lines] }));
      assert.equal(statusOf(answer), 400, answer);
    });
  }

  test('requests one behind the other on a connection are answered in order', async () => {
    const first = request({}).toString('latin1').replace('Connection: close\r\n', '');
    const answer = await server.raw(first + request({ signature: '' }).toString('latin1'));
    assert.deepEqual(answer.match(/HTTP\/1\.1 \d{3}/g), ['HTTP/1.1 202', 'HTTP/1.1 401']);
  });

  test('what follows a refused request on its connection is not looked at', async () => {
    const refused = request({ signature: '' }).toString('latin1').replace('Connection: close\r\n', '');
    const answer = await server.raw(refused + request({}).toString('latin1'));
    assert.deepEqual(answer.match(/HTTP\/1\.1 \d{3}/g), ['HTTP/1.1 401']);
  });
});
