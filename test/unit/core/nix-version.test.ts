import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNixIsTooOld } from '../../../webhook/core/nix-version.ts';

test('each branch has a floor, newer branches are taken, older ones are told what they need', () => {
  for (const version of ['2.28.7', '2.31.5', '2.34.7', '2.34.12', '2.35.0', '3.0.0'])
    assert.equal(whyNixIsTooOld(`nix (Nix) ${version}`), null, version);
  assert.equal(whyNixIsTooOld('nix (Lix, like Nix) 2.95.2'), null);
  assert.match(whyNixIsTooOld('nix (Nix) 2.8.0') ?? '', /2\.28\.7 or later/);
  assert.match(whyNixIsTooOld('nix (Nix) 2.31.4') ?? '', /2\.31\.5 or later/);
  assert.match(whyNixIsTooOld('nix (Nix) 2.34.6') ?? '', /2\.34\.7 or later/);
  assert.match(whyNixIsTooOld('nix (Lix, like Nix) 2.93.0') ?? '', /2\.93\.4 or later/);
  // Determinate Nix counts differently and shows upstream's number last.
  assert.equal(whyNixIsTooOld('nix (Determinate Nix 3.15.0) 2.34.7'), null);
  for (const text of ['', 'nix', 'bash: nix: command not found'])
    assert.match(whyNixIsTooOld(text) ?? '', /cannot be read/);
});
