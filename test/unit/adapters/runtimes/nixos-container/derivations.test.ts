import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedDerivations } from '../../../../../webhook/adapters/runtimes/nixos-container/derivations.ts';

const path = '/nix/store/00000000000000000000000000000000-thing.drv';
const plain = {
  builder: '/bin/sh',
  args: [],
  env: { name: 'thing', out: '/nix/store/x' },
  outputs: { out: { path: '/nix/store/x' } },
};
const judged = (parts: object): string[] => refusedDerivations(JSON.stringify({ [path]: { ...plain, ...parts } }));

test('an ordinary build is let through, in every form that Nix shows it in', () => {
  assert.deepEqual(judged({}), []);
  assert.deepEqual(refusedDerivations(JSON.stringify({ version: 4, derivations: { [path]: plain } })), []);
  assert.deepEqual(judged({ env: { requiredSystemFeatures: 'big-parallel' } }), []);
  assert.deepEqual(judged({ env: { description: 'says "__noChroot": in a text' } }), []);
});

test('a build that has the network, no sandbox or a special builder is refused by name', () => {
  const cases: [parts: object, why: RegExp][] = [
    [{ outputs: { out: { path: '/x', hash: 'abc', hashAlgo: 'sha256' } } }, /^thing\.drv: it fetches/],
    [{ outputs: { out: { hashAlgo: 'r:sha256' } } }, /it fetches/],
    [{ outputs: { out: { impure: true } } }, /it fetches/],
    [{ builder: 'builtin:fetchurl' }, /builtin:fetchurl/],
    [{ env: { __noChroot: '1' } }, /without sandbox/],
    [{ env: { __json: '{"__noChroot":true}' } }, /without sandbox/],
    [{ structuredAttrs: { __noChroot: true } }, /without sandbox/],
    [{ env: { requiredSystemFeatures: 'big-parallel kvm' } }, /with kvm/],
    [{ structuredAttrs: { requiredSystemFeatures: ['uid-range'] } }, /with uid-range/],
    // What looks like the attribute and is another one, and what looks like another one and is the attribute.
    [{ env: { a: '"requiredSystemFeatures":"benchmark"', requiredSystemFeatures: 'kvm' } }, /with kvm/],
    [{ env: { __json: '{ "requiredSystemFeatures" : [ "recursive-nix" ] }' } }, /with recursive-nix/],
    [{ env: { __json: String.raw`{"__noChroot" : true}` } }, /without sandbox/],
    [{ env: { __json: '{' } }, /cannot be read/],
  ];
  for (const [parts, why] of cases) assert.match(judged(parts).join('\n'), why, JSON.stringify(parts));
});
