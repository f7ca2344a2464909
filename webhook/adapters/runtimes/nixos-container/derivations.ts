/**
 * What may be built of a system that a repository describes in code. A fixed-output derivation has the host's network while it is built, loopback
 * included, so one that would have to be built here is refused: all that a NixOS system needs is in the binary cache.
 */
import { z } from 'zod';

const attributes = z.record(z.string(), z.unknown());
const derivationSchema = z.looseObject({
  builder: z.string(),
  env: z.record(z.string(), z.string()).default({}),
  structuredAttrs: attributes.nullish().transform((given) => given ?? {}),
  outputs: z.record(z.string(), z.looseObject({})),
});
const derivationsSchema = z.record(z.string(), derivationSchema);

/** Features of a builder that give its builds no more than others have. */
const HARMLESS_FEATURES = new Set(['big-parallel', 'benchmark']);

/** Attributes by which a derivation asks to be built outside the sandbox, or with more of the host in it (Nix manual, "Advanced attributes"). */
const NO_SANDBOX = ['__noChroot', '__impure', '__impureHostDeps', '__darwinAllowLocalNetworking'];

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
  const given = attributesOf(derivation);
  if (given === null) return 'its attributes cannot be read';
  if (given.some((each) => NO_SANDBOX.some((name) => name in each))) return 'it asks for a build without sandbox';
  const foreign = given.flatMap(featuresIn).find((name) => !HARMLESS_FEATURES.has(name));
  return foreign === undefined ? null : `it asks for a builder with ${foreign}`;
}

/** Plain attributes, and structured ones wherever a version of Nix shows them: beside, or as the text that a build without them may set too. */
function attributesOf({ env, structuredAttrs }: z.infer<typeof derivationSchema>): Record<string, unknown>[] | null {
  const text = env['__json'];
  try {
    return [env, structuredAttrs, ...(text === undefined ? [] : [attributes.parse(JSON.parse(text))])];
  } catch {
    // The app's own text, which may be anything.
    return null;
  }
}

/** A list, or words in one text. Whatever else stands there is no feature that we know. */
function featuresIn({ requiredSystemFeatures: asked = [] }: Record<string, unknown>): string[] {
  const names =
    typeof asked === 'string' ? asked.split(/\s+/) : Array.isArray(asked) ? asked.map(String) : [String(asked)];
  return names.filter((name) => name !== '');
}
