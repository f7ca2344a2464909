/** The host as maps: what exists, whatever the records say. */
import type { AppKind } from './simulated-github.ts';
import type { DatabaseName, InstanceName, Slug, TemplateName } from '../../webhook/core/names.ts';
import type { Sha } from '../../webhook/core/pull-request.ts';
import type { PreviewRoute } from '../../webhook/core/preview-route.ts';

export interface HostInstance {
  readonly name: InstanceName;
  /** The commit whose tree is in its directory; null for an empty or half-placed one. */
  placed: Sha | null;
  /** Whether a setup was begun on the files that are there: most do not get through a second time. */
  setUpBegun: boolean;
  running: boolean;
  /** Owner of the repository whose code is in it, to see whether a stranger's code ever ran. */
  headRepositoryId: number | null;
}

export class SimulatedHost {
  readonly instances = new Map<InstanceName, HostInstance>();
  readonly databases = new Map<DatabaseName, string>();
  readonly templates = new Set<TemplateName>();
  readonly routes = new Map<Slug, PreviewRoute>();
  /** `repositoryId/sha` of commits in mirrors. */
  readonly fetched = new Set<string>();
  /** Commits that setup was begun for, with how often: builds. */
  readonly builds: Sha[] = [];
  /** Every commit that was ever fetched or run. */
  readonly touched = new Set<Sha>();
  apps: ReadonlyMap<string, AppKind> = new Map();

  appOf(sha: Sha): AppKind {
    return this.apps.get(sha) ?? 'good';
  }
}
