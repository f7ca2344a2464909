import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import {
  databaseNameOf,
  extraHostLabel,
  instanceNameOf,
  parseDatabaseName,
  parseTemplateName,
  templateNameOf,
  parseInstanceName,
  parseSlug,
  RESERVED_LABELS,
  slotOf,
  slugCandidates,
  slugOfDatabase,
  type Slug,
} from '../../../webhook/core/names.ts';
import { parsePool } from '../../../webhook/core/slots.ts';
import {
  keyText,
  parseKeyText,
  parseRepositoryName,
  PULL_NUMBER_MAX,
  type PreviewKey,
  type RepositoryName,
} from '../../../webhook/core/pull-request.ts';

/** Promise R9 asks for a hundred thousand. The seed is fresh each time; SEED repeats a run. */
const RUNS = 100_000;
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** What people and attackers call repositories: case, hyphens in a row, dots, underscores, the longest owner, nothing but punctuation. */
const shortName = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'aAbZz09-._'.split('')), minLength: 1, maxLength: 100 }),
  fc.constantFrom(
    'a--b',
    'A--B',
    '-',
    '--',
    '._.',
    '___',
    'www',
    'api',
    'App',
    'frontend-app',
    'frontend-api',
    'x'.repeat(100),
  ),
);
const owner = fc.oneof(
  fc.constantFrom('acme', 'ACME', 'a', 'x'.repeat(39)),
  fc.string({ unit: fc.constantFrom(...'abC-9'.split('')), minLength: 1, maxLength: 39 }),
);
const repository = fc
  .tuple(owner, shortName)
  .map(([first, second]) => parseRepositoryName(`${first}/${second}`))
  .filter((name): name is RepositoryName => name !== null);
const pull = fc.oneof(fc.constantFrom(1, 42, PULL_NUMBER_MAX), fc.integer({ min: 1, max: PULL_NUMBER_MAX }));
const branch = fc.oneof(
  fc.constantFrom('main', 'Main', 'feature/x', 'ünïcode', '日本', 'pull/1', 'a'.repeat(244)),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
);
const repositoryId = fc.oneof(fc.constantFrom(1, Number.MAX_SAFE_INTEGER), fc.integer({ min: 1, max: 2 ** 40 }));
const key: fc.Arbitrary<PreviewKey> = fc
  .tuple(
    repositoryId,
    fc.oneof(
      pull.map((number) => ({ kind: 'pull', number }) as const),
      branch.map((name) => ({ kind: 'branch', name }) as const),
    ),
  )
  .map(([id, subject]): PreviewKey => ({ repositoryId: id, subject }))
  .filter((each) => parseKeyText(keyText(each)) !== null);

const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

suite(`names, seed ${seed}`, () => {
  test(`${RUNS} keys, named one after the other as the store does: every name fits where it goes, and no two previews share one`, (t) => {
    const owners = new Map<string, string>();
    const databases = new Map<string, string>();
    let hashed = 0;
    fc.assert(
      fc.property(repository, key, (name, each) => {
        const text = keyText(each);
        const candidates = slugCandidates(name, each);
        const slug = candidates.find((candidate) => (owners.get(candidate) ?? text) === text);
        assert.ok(slug, `no name is left for ${name} ${text}`);
        assert.equal(parseSlug(slug), slug);
        assert.ok(
          DNS_LABEL.test(slug) && DNS_LABEL.test(extraHostLabel('p'.repeat(20), slug)) && !RESERVED_LABELS.has(slug),
        );
        const database = databaseNameOf(slug);
        assert.ok(Buffer.byteLength(database) <= 63 && parseDatabaseName(database) === database);
        assert.equal(slugOfDatabase(database), slug);
        assert.equal(databases.get(database) ?? text, text);
        if (slug !== candidates[0]) hashed += 1;
        owners.set(slug, text);
        databases.set(database, text);
      }),
      { numRuns: RUNS, seed },
    );
    t.diagnostic(`${owners.size} names, ${hashed} of them with a hash because the plain one was taken`);
  });

  test('the key’s text is the key', () => {
    fc.assert(
      fc.property(key, key, (one, two) => {
        assert.deepEqual(parseKeyText(keyText(one)), one);
        assert.equal(keyText(one) === keyText(two), JSON.stringify(one) === JSON.stringify(two));
      }),
      { numRuns: RUNS / 10, seed },
    );
  });

  test('no text that is not a slug is taken for one', () => {
    const wrong = [
      '',
      '-',
      'a-',
      '-a',
      'A',
      'a--b',
      'a_b',
      'a.b',
      'a/b',
      '../x',
      'ä',
      '１',
      'a\n',
      'a\u0000',
      'www',
      'x'.repeat(43),
      '--help',
    ];
    for (const text of wrong) assert.equal(parseSlug(text), null, JSON.stringify(text));
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const slug = parseSlug(text);
        assert.ok(slug === null || (slug === text && DNS_LABEL.test(text)));
      }),
      { numRuns: RUNS / 10, seed },
    );
  });

  test('databases of different slugs differ', () => {
    const slug = fc
      .string({ unit: fc.constantFrom(...'ab1-'.split('')), minLength: 1, maxLength: 42 })
      .map(parseSlug)
      .filter((each): each is Slug => each !== null);
    fc.assert(
      fc.property(slug, slug, (one, two) => {
        assert.equal(databaseNameOf(one) === databaseNameOf(two), one === two);
      }),
      { numRuns: RUNS / 10, seed },
    );
  });

  test('an instance’s name is its slot’s, within eleven characters, for every slot of the widest pool', () => {
    const widest = parsePool('10.0.0.0/8');
    assert.equal(parseInstanceName(instanceNameOf(widest?.slotMax ?? 0)), 'p8388606');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: widest?.slotMax ?? 0 }), (slot) => {
        const name = instanceNameOf(slot);
        assert.ok(name.length <= 11);
        assert.equal(parseInstanceName(name), name);
        assert.equal(slotOf(name), slot);
      }),
      { seed },
    );
    for (const text of ['p0', 'p01', 'P1', 'p', 'p10000000', 'a1', 'p1 ', 'p-1', 'p1e3'])
      assert.equal(parseInstanceName(text), null, text);
  });
});

test('a template’s name fits PostgreSQL, is recognised, and differs by repository and by seed', () => {
  const [one, other] = ['0123456789abcdef'.repeat(4), 'fedcba9876543210'.repeat(4)];
  const names = [1, 2, Number.MAX_SAFE_INTEGER].flatMap((id) => [one, other].map((hash) => templateNameOf(id, hash)));
  assert.equal(new Set(names).size, 6);
  for (const name of names) {
    assert.ok(name.length <= 63, name);
    assert.equal(parseTemplateName(name), name);
    assert.equal(parseDatabaseName(name), null);
  }
  for (const text of [
    'berth_seed_1_',
    'berth_seed_0_' + one.slice(0, 32),
    'berth_seeds',
    'berth_seed_1_' + one,
    'preview_shop_1',
  ])
    assert.equal(parseTemplateName(text), null, text);
});
