/**
 * What may be built of a system that a repository describes in code. A fixed-output derivation has the host's network while it is built, loopback
 * included (promises.md, E8), so one that would have to be built here is refused: all that a NixOS system needs is in the binary cache.
 */
import { z } from 'zod';

const derivationSchema = z.looseObject({
  builder: z.string(),
  outputs: z.record(z.string(), z.looseObject({})),
});
const derivationsSchema = z.record(z.string(), derivationSchema);

/** Features of a builder that give its builds no more than others have. */
const HARMLESS_FEATURES = new Set(['big-parallel', 'benchmark']);

/** Reads `nix show-derivation` (all its versions). A sentence for each derivation that asks for more than a build needs. */
export function refusedDerivations(json: string): string[] {
  const value = z.record(z.string(), z.unknown()).parse(JSON.parse(json));
  const derivations = derivationsSchema.parse(value['derivations'] ?? value);
  return Object.entries(derivations).flatMap(([path, derivation]) => {
    const why = objection(derivation);
    return why === null ? [] : [`${path.replace(/^.*\/[0-9a-z]{32}-/, '')}: ${why}`];
  });
}

function objection(derivation: z.infer<typeof derivationSchema>): string | null {
  if (derivation.builder.startsWith('builtin:')) return `its builder is ${derivation.builder}`;
  for (const output of Object.values(derivation.outputs)) {
    if ('hash' in output || 'hashAlgo' in output || 'impure' in output)
      return 'it fetches from the network while it is built, and is in no binary cache';
  }
  // In plain and in structured attributes alike, wherever a version of Nix shows them.
  const text = JSON.stringify(derivation).replaceAll('\\"', '"');
  if (/"__(?:noChroot|impure|impureHostDeps|darwinAllowLocalNetworking)":/.test(text))
    return 'it asks for a build without sandbox';
  const features = /"requiredSystemFeatures":(?:"([^"]*)"|\[([^\]]*)\])/.exec(text);
  const asked = (features?.[1] ?? features?.[2]?.replaceAll(/[",]/g, ' ') ?? '')
    .split(/\s+/)
    .filter((name) => name !== '');
  const foreign = asked.find((name) => !HARMLESS_FEATURES.has(name));
  return foreign === undefined ? null : `it asks for a builder with ${foreign}`;
}
