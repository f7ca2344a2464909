/** What answers for the host names of a preview, and what its manifest says of it. */
import type { AppManifest, Route } from './app-manifest.ts';
import { extraHostLabel, hostLabelOf, type HostLabel, type InstanceName, type Slug } from './names.ts';
import type { Upstreams } from './preview.ts';

/** Everything that answers for the host names of one preview. */
export interface PreviewRoute {
  readonly slug: Slug;
  readonly hosts: readonly { readonly label: HostLabel; readonly routes: readonly Route[] }[];
  /** Null shows the status page. */
  readonly answering: { readonly instance: InstanceName; readonly upstreams: Upstreams } | null;
}

/** A file that is not as the routes in force would have it, by somebody's hand. */
export interface RouteDefect {
  /** `foreign`: no route has it. `changed`: a file of the routes that is gone, or not as it was written. */
  readonly kind: 'foreign' | 'changed';
  /** Below the folder of the routes. */
  readonly file: string;
  /** The name, which nobody reads, under which `mend` keeps a foreign file; absent where nothing is kept. */
  readonly keptAs?: string;
  /** It is as it should be when this resolves. */
  readonly mend: () => Promise<void>;
}

/** The hosts of a preview with this manifest and what answers where, the main one first. */
export function routeHostsOf(slug: Slug, manifest: AppManifest): PreviewRoute['hosts'] {
  const extra = manifest.extraHosts.map((host) => ({ label: extraHostLabel(host.prefix, slug), routes: host.routes }));
  return [{ label: hostLabelOf(slug), routes: manifest.routes }, ...extra];
}
