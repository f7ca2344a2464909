/**
 * Which preview a request is for: the one label in front of our domain. The Host header comes from anyone, so it is matched against a
 * grammar and never repaired.
 */

export type RequestedHost =
  | { readonly kind: 'label'; readonly label: string }
  /** Well formed, but not one label below our domain: the bare domain, a foreign name, an IP address. */
  | { readonly kind: 'foreign' }
  /** Not a host at all (RFC 9112 section 3.2: answer 400). */
  | { readonly kind: 'malformed' };

// RFC 3986 section 3.2.2, without what no browser sends for a name of ours: no user part, no percent-encoding. An IPv6 literal is
// well formed but can be no preview.
const NAME = /^([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::[0-9]{1,5})?$/i;
const IPV6_LITERAL = /^\[[0-9a-f:.]{2,45}\](?::[0-9]{1,5})?$/i;
// RFC 1035 section 2.3.4: a name has at most 255 octets. With a port, and before any other work is done on it.
const LENGTH_MAX = 262;

/** Reads the label out of a Host header. Case, a trailing dot and the port make no difference. */
export function requestedHost(header: string, domain: string): RequestedHost {
  if (header.length > LENGTH_MAX) return { kind: 'malformed' };
  const name = NAME.exec(header)?.[1]?.toLowerCase();
  if (name === undefined) return { kind: IPV6_LITERAL.test(header) ? 'foreign' : 'malformed' };
  if (!name.endsWith(`.${domain}`)) return { kind: 'foreign' };
  const label = name.slice(0, -domain.length - 1);
  return label.includes('.') ? { kind: 'foreign' } : { kind: 'label', label };
}

/**
 * Splits the target of a request line in absolute form (`GET http://host/path`, RFC 9112 section 3.2.2) into host and path; its host
 * overrules the Host header. Null for anything else that is not a path: `*`, an authority, another scheme.
 */
export function absoluteTarget(target: string): { host: string; path: string } | null {
  const match = /^https?:\/\/([^/?#@\\]+)([/?].*)?$/i.exec(target);
  if (match === null) return null;
  const [, host = '', rest = '/'] = match;
  return { host, path: rest.startsWith('/') ? rest : `/${rest}` };
}
