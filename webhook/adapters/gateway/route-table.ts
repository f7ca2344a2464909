/**
 * The routes in force, in memory: host label → what answers. Looking up is one Map read at any number of previews. A cache of the
 * route files; the gateway puts a route here only after its file is durable.
 */
import { OperatorError } from '../../core/errors.ts';
import type { InstanceName, Slug } from '../../core/names.ts';
import type { PreviewRoute } from '../../core/preview-route.ts';
import { Backend, isSameBackend } from './backend.ts';
import { orderedRoutes, type OrderedRoutes } from './match-route.ts';

export interface LiveHost {
  readonly slug: Slug;
  readonly routes: OrderedRoutes;
  /** Null shows the status page. */
  readonly backend: Backend | null;
}

export class RouteTable {
  readonly #previews = new Map<Slug, PreviewRoute>();
  readonly #hosts = new Map<string, LiveHost>();
  /** By slug, with those that are retired and still answer something. */
  readonly #backends = new Map<Slug, Map<InstanceName, Backend>>();

  find(label: string): LiveHost | undefined {
    return this.#hosts.get(label);
  }

  get(slug: Slug): PreviewRoute | null {
    return this.#previews.get(slug) ?? null;
  }

  list(): PreviewRoute[] {
    return [...this.#previews.values()];
  }

  inFlight(slug: Slug, instance: InstanceName): number {
    return this.#backends.get(slug)?.get(instance)?.inFlight ?? 0;
  }

  /** Throws ROUTE_REFUSED when a host of the route belongs to another preview. */
  assertFree(route: PreviewRoute): void {
    for (const { label } of route.hosts) {
      const owner = this.#hosts.get(label)?.slug;
      if (owner !== undefined && owner !== route.slug)
        throw new OperatorError('ROUTE_REFUSED', `The host ${label} belongs to the preview ${owner}.`);
    }
  }

  /** From the next request on, the hosts of the preview are exactly these. Synchronous: no request sees a part of it. */
  put(route: PreviewRoute): void {
    const backend = route.answering === null ? null : this.#backendFor(route.slug, route.answering);
    this.#retireOthers(route.slug, backend);
    this.#dropHosts(route.slug);
    this.#previews.set(route.slug, route);
    for (const host of route.hosts)
      this.#hosts.set(host.label, { slug: route.slug, routes: orderedRoutes(host.routes), backend });
  }

  delete(slug: Slug): void {
    this.#retireOthers(slug, null);
    this.#dropHosts(slug);
    this.#previews.delete(slug);
  }

  /** Lets go of every connection to an app that is not in use. */
  close(): void {
    for (const known of this.#backends.values()) for (const backend of known.values()) backend.retire(() => undefined);
  }

  #dropHosts(slug: Slug): void {
    for (const { label } of this.#previews.get(slug)?.hosts ?? []) this.#hosts.delete(label);
  }

  #backendFor(slug: Slug, answering: NonNullable<PreviewRoute['answering']>): Backend {
    const known = this.#backends.get(slug) ?? new Map<InstanceName, Backend>();
    this.#backends.set(slug, known);
    const before = known.get(answering.instance);
    if (before !== undefined && isSameBackend(before, answering.instance, answering.upstreams)) {
      before.revive();
      return before;
    }
    // An instance never changes its upstreams (they follow from its slot); if it did, the old ones are drained uncounted.
    before?.retire(() => undefined);
    const backend = new Backend(answering.instance, answering.upstreams);
    known.set(answering.instance, backend);
    return backend;
  }

  #retireOthers(slug: Slug, answering: Backend | null): void {
    const known = this.#backends.get(slug);
    for (const backend of known?.values() ?? []) {
      if (backend === answering) continue;
      backend.retire(() => {
        if (known?.get(backend.instance) === backend) known.delete(backend.instance);
        if (known?.size === 0 && this.#backends.get(slug) === known) this.#backends.delete(slug);
      });
    }
  }
}
