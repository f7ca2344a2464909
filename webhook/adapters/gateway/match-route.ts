/** Which declared port answers a path, and what the app sees of that path. Pure. */
import type { Route } from '../../core/app-manifest.ts';

export type RouteMatch =
  | { readonly kind: 'forward'; readonly port: number; readonly target: string }
  /** The bare path of a stripped prefix: relative links of the app only work below it. */
  | { readonly kind: 'redirect'; readonly location: string };

/** The routes of one host in the order in which they are tried. */
export type OrderedRoutes = readonly Route[];

/**
 * Longest first, so that "/" comes last. "/x/*" counts without its star: then "/x/y" stands before "/x/*", and no two that match the
 * same path are equally long.
 */
export function orderedRoutes(routes: readonly Route[]): OrderedRoutes {
  return routes.toSorted((a, b) => literal(b.path).length - literal(a.path).length);
}

/**
 * The first route that takes the path: "/" takes all, "/x" exactly that, "/x/*" what begins with "/x/". Paths are compared as they
 * were sent, without decoding. With `stripPrefix` the app sees "/x/y" as "/y", and "/x" alone is sent on to "/x/". Null when no
 * route takes it.
 *
 * @param target path and query, as in the request line
 */
export function matchRoute(routes: OrderedRoutes, target: string): RouteMatch | null {
  const queryAt = target.indexOf('?');
  const path = queryAt === -1 ? target : target.slice(0, queryAt);
  for (const route of routes) {
    const prefix = literal(route.path);
    const isTree = prefix.endsWith('/');
    if (isTree ? path.startsWith(prefix) : path === prefix) {
      return { kind: 'forward', port: route.port, target: route.stripPrefix ? stripped(target, prefix) : target };
    }
    if (isTree && route.stripPrefix && path.length === prefix.length - 1 && prefix.startsWith(path)) {
      const isDeclared = routes.some((each) => each.path === path);
      if (!isDeclared) return { kind: 'redirect', location: `${prefix}${target.slice(path.length)}` };
    }
  }
  return null;
}

function literal(path: string): string {
  return path.endsWith('/*') ? path.slice(0, -1) : path;
}

/** "/x/y?z" below "/x/" is "/y?z"; "/x?z" at exactly "/x" is "/?z". Slashes that the client doubled stay doubled. */
function stripped(target: string, prefix: string): string {
  const rest = target.slice(prefix.endsWith('/') ? prefix.length - 1 : prefix.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
