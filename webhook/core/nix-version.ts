/** Which Nix may evaluate and build what a repository describes in code. */

/**
 * First releases in which CVE-2026-44028, CVE-2026-44029 and CVE-2026-39860 are mended, per branch: whoever may talk to the daemon of an older one
 * can become root (NixOS Discourse, "Security advisory: local privilege escalation in Lix and Nix", 2026-05-05; GHSA-g3g9-5vj6-r3gj).
 */
const FLOORS = {
  Nix: ['2.28.7', '2.29.4', '2.30.5', '2.31.5', '2.32.8', '2.33.6', '2.34.7'],
  Lix: ['2.93.4', '2.94.2', '2.95.2'],
} as const;

/** Reads `nix --version`. Null when it may be used; otherwise a sentence that says what is needed. */
export function whyNixIsTooOld(versionText: string): string | null {
  const match = /\(\w* ?(Nix|Lix)[^)]*\) (\d+)\.(\d+)(?:\.(\d+))?/.exec(versionText);
  if (match === null) return `The version of Nix cannot be read from ${JSON.stringify(versionText.slice(0, 80))}.`;
  const kind = match[1] === 'Lix' ? 'Lix' : 'Nix';
  const [major, minor, patch] = [match[2], match[3], match[4] ?? '0'].map(Number) as [number, number, number];
  const floors = FLOORS[kind].map((text) => text.split('.').map(Number) as [number, number, number]);
  const newest = floors.at(-1) ?? [0, 0, 0];
  const own = floors.find((floor) => floor[0] === major && floor[1] === minor);
  const isNewer = major > newest[0] || (major === newest[0] && minor > newest[1]);
  if (isNewer || (own !== undefined && patch >= own[2])) return null;
  const wanted = own === undefined ? FLOORS[kind][0] : own.join('.');
  return `${kind} ${major}.${minor}.${patch} has known holes; ${wanted} or later is needed.`;
}
