/** Records for tests of the core, with everything that a test does not speak of filled in. */
import { manifestFrom, type AppManifest } from '../../webhook/core/app-manifest.ts';
import { instanceNameOf, type Slug } from '../../webhook/core/names.ts';
import type { Failure, InstanceRecord, PreviewRecord } from '../../webhook/core/preview.ts';
import type { RepositoryName, Revision, Sha } from '../../webhook/core/pull-request.ts';

export const NOW = new Date('2026-01-01T12:00:00Z');

/** A date so many milliseconds before NOW. */
export function ago(ms: number): Date {
  return new Date(NOW.getTime() - ms);
}

/** A commit of one digit. */
export function commit(digit: string): Revision {
  return { sha: digit.repeat(40) as Sha, ref: 'feature' };
}

export function aManifest(more: object = {}): AppManifest {
  const result = manifestFrom({ services: [{ name: 'web', command: 'run', port: 3_000 }], ...more });
  if (!result.ok) throw new Error(result.problems.join('; '));
  return result.manifest;
}

export function aPreview(more: Partial<PreviewRecord> = {}): PreviewRecord {
  return {
    id: 1,
    key: { repositoryId: 81, subject: { kind: 'pull', number: 42 } },
    repository: 'acme/shop' as RepositoryName,
    generation: 1,
    createdAt: ago(60_000),
    requestedAt: ago(60_000),
    slug: 'shop-42' as Slug,
    wanted: null,
    hold: null,
    concludedGeneration: 0,
    retryAskedAt: null,
    database: null,
    instances: [],
    answering: null,
    failure: null,
    doing: null,
    ...more,
  };
}

/** An instance that is not begun yet. */
export function anInstance(slot: number, revision: Revision, more: Partial<InstanceRecord> = {}): InstanceRecord {
  return {
    id: slot,
    name: instanceNameOf(slot),
    slot,
    revision,
    createdAt: ago(50_000),
    generation: 1,
    manifest: null,
    assumptions: [],
    system: null,
    isSystemCached: null,
    sourcePlacedAt: null,
    setUpAt: null,
    upstreams: null,
    healthyAt: null,
    routedAt: null,
    retiredAt: null,
    failedAt: null,
    discardedAt: null,
    timings: {},
    ...more,
  };
}

/** An instance that has come all the way up. */
export function aLiveInstance(slot: number, revision: Revision, more: Partial<InstanceRecord> = {}): InstanceRecord {
  const at = ago(40_000);
  return anInstance(slot, revision, {
    manifest: aManifest(),
    sourcePlacedAt: at,
    setUpAt: at,
    healthyAt: at,
    routedAt: at,
    upstreams: {},
    ...more,
  });
}

export function aFailure(more: Partial<Failure> = {}): Failure {
  return {
    code: 'SETUP_FAILED',
    step: 'set-up',
    message: 'The setup ended with status 1.',
    hint: 'Correct it and push.',
    detail: 'npm error missing script: build',
    sha: commit('a').sha,
    at: ago(10_000),
    attempts: 1,
    retry: 'on-new-input',
    nextAttemptAt: null,
    ...more,
  };
}
