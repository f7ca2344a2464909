import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { addressesOf, nextSlot, parsePool, poolsOverlap, type AddressPool } from '../../../webhook/core/slots.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

function pool(cidr: string): AddressPool {
  const parsed = parsePool(cidr);
  assert.ok(parsed, cidr);
  return parsed;
}

const anyPool = fc
  .record({ prefix: fc.integer({ min: 8, max: 29 }), bits: fc.integer({ min: 0, max: 2 ** 32 - 1 }) })
  .map(({ prefix, bits }) => {
    const size = 2 ** (32 - prefix);
    const base = Math.floor(bits / size) * size;
    return pool(`${[24, 16, 8, 0].map((shift) => (base >>> shift) & 255).join('.')}/${prefix}`);
  });

function number(address: string): number {
  return address.split('.').reduce((value, octet) => value * 256 + Number(octet), 0);
}

suite(`slots, seed ${seed}`, () => {
  test('a slot has the two addresses that the decision names', () => {
    assert.deepEqual(addressesOf(pool('10.100.0.0/16'), 1), { host: '10.100.0.2', instance: '10.100.0.3' });
    assert.deepEqual(addressesOf(pool('10.100.0.0/16'), 127), { host: '10.100.0.254', instance: '10.100.0.255' });
    assert.deepEqual(addressesOf(pool('10.100.0.0/16'), 128), { host: '10.100.1.0', instance: '10.100.1.1' });
    assert.equal(pool('10.100.0.0/16').slotMax, 32_766);
    assert.equal(pool('10.0.0.0/29').slotMax, 2);
  });

  test('addresses of different slots of any pool differ, lie inside, and are neither its network’s nor its broadcast address', () => {
    fc.assert(
      fc.property(anyPool, fc.nat(), fc.nat(), (each, a, b) => {
        const slots = [1 + (a % each.slotMax), 1 + (b % each.slotMax)];
        const size = 2 ** (32 - Number(each.cidr.split('/')[1]));
        const addresses = [...new Set(slots)].flatMap((slot) => Object.values(addressesOf(each, slot)).map(number));
        assert.equal(new Set(addresses).size, addresses.length);
        assert.ok(addresses.every((address) => address > each.base + 1 && address < each.base + size - 1));
      }),
      { numRuns: 10_000, seed },
    );
    const small = pool('10.0.0.0/28');
    for (const slot of [0, -1, 7, 1.5, Number.NaN]) assert.throws(() => addressesOf(small, slot), RangeError);
  });

  test('what is not a pool is refused', () => {
    const wrong = [
      '',
      '10.0.0.0',
      '10.0.0.0/7',
      '10.0.0.0/30',
      '10.0.0.1/16',
      '256.0.0.0/8',
      '10.0.0/16',
      '10.0.0.0/16 ',
      '::/16',
      '10.0.0.0/016a',
    ];
    for (const text of wrong) assert.equal(parsePool(text), null, text);
  });

  test('two pools overlap exactly when they share an address', () => {
    fc.assert(
      fc.property(anyPool, anyPool, (a, b) => {
        const end = (each: AddressPool) => each.base + 2 ** (32 - Number(each.cidr.split('/')[1])) - 1;
        assert.equal(poolsOverlap(a, b), a.base <= end(b) && b.base <= end(a));
        assert.ok(poolsOverlap(a, a));
      }),
      { numRuns: 10_000, seed },
    );
  });

  test('any history of taking and giving back: never one in use, none again before the wrap, refused only when full', (t) => {
    let taken = 0;
    let refused = 0;
    const command = fc.oneof(
      { weight: 3, arbitrary: fc.constant('take' as const) },
      { weight: 2, arbitrary: fc.nat() },
    );
    fc.assert(
      fc.property(
        fc.constantFrom('10.0.0.0/29', '10.0.0.0/28', '10.0.0.0/27', '10.0.0.0/24').map(pool),
        fc.array(command, { maxLength: 200 }),
        (each, commands) => {
          const inUse = new Set<number>();
          const lastTaken = new Map<number, number>();
          let counter = 1;
          let turns = 0;
          for (const next of commands) {
            if (next !== 'take') {
              inUse.delete([...inUse][next % Math.max(1, inUse.size)] ?? 0);
              continue;
            }
            if (inUse.size === each.slotMax) {
              assert.throws(() => nextSlot(each, counter, inUse), { code: 'SLOTS_EXHAUSTED' });
              refused += 1;
              continue;
            }
            const before = counter;
            const given = nextSlot(each, counter, inUse);
            assert.ok(given.slot >= 1 && given.slot <= each.slotMax && !inUse.has(given.slot));
            // Distance walked along the ring: a number comes back only after a whole turn.
            turns += ((given.counter - before + each.slotMax - 1) % each.slotMax) + 1;
            const last = lastTaken.get(given.slot);
            assert.ok(last === undefined || turns - last >= each.slotMax, `slot ${given.slot} again too early`);
            lastTaken.set(given.slot, turns);
            inUse.add(given.slot);
            counter = given.counter;
            taken += 1;
          }
        },
      ),
      { numRuns: 5_000, seed },
    );
    t.diagnostic(`${taken} taken, ${refused} refused`);
  });
});
