/** Bad input, the row "Payload fields": signed deliveries whose payload is not what GitHub sends. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { AWebhookServer, payloadWith } from '../../support/a-webhook-server.ts';

let server: AWebhookServer;
before(async () => {
  server = await AWebhookServer.start({ repositories: ['acme/shop'] });
});
after(() => server.close());

/** The status and the one word that says why. */
async function answerTo(changes: Record<string, unknown>): Promise<[number, string | undefined]> {
  const { status, body } = await server.deliver(payloadWith(changes));
  const { status: word, reason, code } = body as Record<string, string>;
  return [status, code ?? reason ?? word];
}

const SHA = '0123456789abcdef0123456789abcdef01234567';
const BAD = [400, 'bad_payload'] as const;
const IGNORED = [200, 'action_not_relevant'] as const;
const FOREIGN = [200, 'not_allowed'] as const;
const ACCEPTED = [202, 'accepted'] as const;

/** Each: what it is, the changes to a good payload, the answer. */
const cases: Readonly<
  Record<string, readonly (readonly [string, Record<string, unknown>, readonly [number, string]])[]>
> = {
  action: [
    ['unknown', { action: 'something_new' }, IGNORED],
    ['of another case', { action: 'Closed' }, IGNORED],
    ['empty', { action: '' }, IGNORED],
    ['missing', { action: undefined }, BAD],
    ['a megabyte', { action: 'a'.repeat(1024 * 1024) }, BAD],
    ['a number', { action: 1 }, BAD],
  ],
  number: [
    ['0', { number: 0, 'pull_request.number': 0 }, BAD],
    ['-1', { number: -1, 'pull_request.number': -1 }, BAD],
    ['1.5', { number: 1.5, 'pull_request.number': 1.5 }, BAD],
    ['a text', { number: '7' }, BAD],
    ['2^31', { number: 2 ** 31, 'pull_request.number': 2 ** 31 }, BAD],
    ['2^31 - 1', { number: 2 ** 31 - 1, 'pull_request.number': 2 ** 31 - 1 }, ACCEPTED],
    ['2^53 + 1', { number: 2 ** 53 + 2, 'pull_request.number': 2 ** 53 + 2 }, BAD],
    ['missing', { number: undefined }, BAD],
    ['not that of the pull request', { 'pull_request.number': 8 }, BAD],
  ],
  'repository.id': [
    ['a text', { 'repository.id': '42' }, BAD],
    ['0', { 'repository.id': 0, 'pull_request.base.repo.id': 0 }, BAD],
    ['beyond 2^53', { 'repository.id': 2 ** 60, 'pull_request.base.repo.id': 2 ** 60 }, BAD],
    ['missing', { 'repository.id': undefined }, BAD],
  ],
  'repository.full_name': [
    ['of another repository', { 'repository.full_name': 'acme/other' }, FOREIGN],
    ['that begins like an allowed one', { 'repository.full_name': 'acme/shop-evil' }, FOREIGN],
    ['of another case', { 'repository.full_name': 'ACME/Shop' }, ACCEPTED],
    ['../x', { 'repository.full_name': '../x' }, BAD],
    ['a/b/c', { 'repository.full_name': 'a/b/c' }, BAD],
    ['-x/y', { 'repository.full_name': '-x/y' }, BAD],
    ['x/-y, which GitHub allows', { 'repository.full_name': 'x/-y' }, FOREIGN],
    ['x/.git', { 'repository.full_name': 'x/.git' }, BAD],
    ['x/..', { 'repository.full_name': 'x/..' }, BAD],
    ['a look-alike in another script', { 'repository.full_name': 'асme/shop' }, BAD],
    ['full-width letters', { 'repository.full_name': 'ａcme/shop' }, BAD],
    ['an owner of 40 characters', { 'repository.full_name': `${'a'.repeat(40)}/x` }, BAD],
    ['a name of 101 characters', { 'repository.full_name': `x/${'a'.repeat(101)}` }, BAD],
    ['a line break', { 'repository.full_name': 'acme/shop\n' }, BAD],
    ['a wild card', { 'repository.full_name': 'acme/*' }, BAD],
  ],
  pull_request: [
    ['missing', { pull_request: undefined }, BAD],
    ['1', { pull_request: 1 }, BAD],
    ['null', { pull_request: null }, BAD],
    ['without a head', { 'pull_request.head': undefined }, BAD],
    ['from a fork that was deleted', { 'pull_request.head.repo': null }, ACCEPTED],
    ['from a fork', { 'pull_request.head.repo.id': 43 }, ACCEPTED],
    ['whose base is another repository', { 'pull_request.base.repo.id': 43 }, BAD],
    ['that is closed though the action says opened', { 'pull_request.state': 'closed' }, ACCEPTED],
    ['in a state that does not exist', { 'pull_request.state': 'merged' }, BAD],
    [
      'that is a draft, merged, locked',
      { 'pull_request.draft': true, 'pull_request.merged': true, 'pull_request.locked': true },
      ACCEPTED,
    ],
  ],
  'head.sha': [
    ['short', { 'pull_request.head.sha': '0123456' }, BAD],
    ['upper case', { 'pull_request.head.sha': SHA.toUpperCase() }, BAD],
    ['41 digits', { 'pull_request.head.sha': `${SHA}0` }, BAD],
    ['64 digits, SHA-256', { 'pull_request.head.sha': 'a'.repeat(64) }, ACCEPTED],
    ['HEAD', { 'pull_request.head.sha': 'HEAD' }, BAD],
    ['an option', { 'pull_request.head.sha': '--upload-pack=x' }, BAD],
    ['with a line break', { 'pull_request.head.sha': `${SHA}\n` }, BAD],
  ],
  'head.ref': [
    ...[
      "'",
      '"',
      '$(id)',
      '`id`',
      ';',
      '&',
      '|',
      '{',
      '}',
      '%0a',
      '-x',
      '--slug',
      'refs/heads/x',
      '@',
      'main',
      'x.lock',
    ].map((ref) => [ref, { 'pull_request.head.ref': ref }, ACCEPTED] as const),
    ['244 bytes', { 'pull_request.head.ref': 'x'.repeat(244) }, ACCEPTED],
    ['right to left', { 'pull_request.head.ref': '\u202eniam' }, ACCEPTED],
    ['combining, zero-width, emoji', { 'pull_request.head.ref': 'e\u0301\u200b🚢' }, ACCEPTED],
    ['empty', { 'pull_request.head.ref': '' }, BAD],
    ['a megabyte', { 'pull_request.head.ref': 'x'.repeat(1024 * 1024) }, BAD],
  ],
  'text and people': [
    [
      'markup',
      { 'pull_request.title': '<script>@everyone</script>', 'pull_request.body': '<!-- berth:0 -->' },
      ACCEPTED,
    ],
    ['65 kB', { 'pull_request.body': '\u001b[31m'.repeat(13_000) }, ACCEPTED],
    ['of a wrong type', { 'pull_request.title': 1, 'pull_request.user': null }, ACCEPTED],
    ...[
      'COLLABORATOR',
      'CONTRIBUTOR',
      'FIRST_TIMER',
      'FIRST_TIME_CONTRIBUTOR',
      'MANNEQUIN',
      'MEMBER',
      'NONE',
      'OWNER',
      'owner',
      undefined,
    ].map(
      (association) =>
        [`association ${association}`, { 'pull_request.author_association': association }, ACCEPTED] as const,
    ),
  ],
};

for (const [field, tries] of Object.entries(cases)) {
  suite(field, () => {
    for (const [name, changes, expected] of tries) {
      test(`${name}: ${expected.join(' ')}`, async () => {
        assert.deepEqual(await answerTo(changes), [...expected]);
      });
    }
  });
}

test('a refusal names the field and repeats nothing of what was sent', async () => {
  const { body } = await server.deliver(payloadWith({ 'pull_request.head.sha': '--upload-pack=x' }));
  const { error } = body as { error: string };
  assert.match(error, /^pull_request\.head\.sha: /);
  assert.ok(!error.includes('upload-pack'));
});

test('what is accepted holds the id, the number and the action, and nothing else of the payload', async () => {
  await using fresh = await AWebhookServer.start({ repositories: ['acme/shop'] });
  await fresh.deliver(payloadWith({ 'pull_request.head.ref': '$(id)' }));
  const [event] = fresh.accepted.values();
  assert.deepEqual(event, {
    key: { repositoryId: 42, subject: { kind: 'pull', number: 7 } },
    repository: 'acme/shop',
    action: 'opened',
  });
});
