/** Everything of previews that can be left on the host, class by class (promise R10). */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { eventually, host } from './a-host-runtime.ts';

export type Inventory = Record<string, readonly string[]>;

const linesOf = (...argv: [string, ...string[]]): string[] =>
  host(...argv)
    .split('\n')
    .filter(Boolean)
    .toSorted();
const psql = (query: string) => linesOf('psql', '-XAtU', 'postgres', '-c', query);
/** Paths below the directories that exist, without those that are the host's own and grow: `-path` patterns of find. */
const pathsBelow = (directories: readonly string[], without: readonly string[] = []) =>
  linesOf(
    'sh',
    '-c',
    'find "$@" 2>/dev/null || true',
    'find',
    ...directories,
    ...without.flatMap((pattern) => ['-path', pattern, '-prune', '-o']),
    '-printf',
    '%p %l\\n',
  );

/** Those that hold a file of ours. The machine has one list for all test hosts, where each calls its files the same; inodes tell them apart. */
function loopDevices(): string[] {
  const ours = linesOf('find', '/var/lib/berth-disks', '-type', 'f', '-printf', '%i\\n');
  return linesOf('losetup', '--list', '--noheadings', '--output', 'BACK-INO,BACK-FILE')
    .map((line) => line.trim())
    .filter((line) => line.endsWith('(deleted)') || ours.includes(line.split(/\s+/)[0] ?? ''))
    .map((line) => line.replace(/^\d+ +/, ''));
}

/** The host's own address on its link to the machine: the kernel adds it a second after the host is up, when nobody else turns out to have it. */
const OWN_LINK_LOCAL = /^local fe80:\S+ dev host0 /;

/**
 * The host as it is now. Left out, because they are not a preview's: PostgreSQL's processes (the operator's pool opens and closes connections; those of
 * tenants are a class of their own), the copies of repositories, node's compile cache, and what a journal holds.
 */
export function inventory(): Inventory {
  const hostdPid = host('systemctl', 'show', 'berth-hostd', '--property=MainPID', '--value');
  return {
    processes: linesOf('ps', '-e', '--no-headers', '-o', 'comm').filter((name) => name !== 'postgres'),
    mounts: linesOf('findmnt', '--noheadings', '--list', '--output', 'TARGET'),
    disks: pathsBelow(['/var/lib/berth-disks']),
    loopDevices: loopDevices(),
    namespaces: linesOf('lsns', '--noheadings', '--output', 'TYPE').concat(linesOf('ip', 'netns', 'list')),
    links: readdirSync('/sys/class/net').toSorted(),
    routesOfTheKernel: linesOf('ip', 'route', 'show', 'table', 'all').filter((line) => !OWN_LINK_LOCAL.test(line)),
    nft: linesOf('nft', '--stateless', 'list', 'ruleset'),
    cgroups: linesOf('find', '/sys/fs/cgroup', '-type', 'd'),
    units: linesOf('systemctl', 'list-units', '--all', '--plain', '--no-legend', '--output=json').flatMap((json) =>
      (JSON.parse(json) as { unit: string; load: string }[])
        .filter(({ load }) => load !== 'not-found')
        .map(({ unit }) => unit)
        .toSorted(),
    ),
    machines: linesOf('machinectl', 'list', '--no-legend'),
    roles: psql('select rolname from pg_roles'),
    databases: psql('select datname from pg_database'),
    connections: psql("select usename from pg_stat_activity where usename like 'preview_%'"),
    routes: pathsBelow(['/etc/caddy']),
    files: pathsBelow(
      ['/etc/nixos-containers', '/var/lib/nixos-containers', '/var/lib/berth', '/run', '/tmp', '/var/tmp'],
      [
        '*.git',
        '/var/lib/berth/.cache',
        '/run/systemd/units',
        '/run/log/journal/*',
        '/run/systemd/transient',
        '/run/systemd/journal/streams',
      ],
    ),
    profiles: pathsBelow(['/nix/var/nix/profiles']),
    gcroots: pathsBelow(['/nix/var/nix/gcroots', '/nix/var/nix/temproots']),
    sockets: linesOf('ss', '--no-header', '--listening', '--unix', '--tcp', '--udp', '--numeric').map((line) =>
      // Without how many connections wait to be taken.
      line
        .replace(/\s+/g, ' ')
        .replace(/^(\S+ \S+) \d+/, '$1')
        .replace(/ \d+ \* \d+ *$/, ''),
    ),
    journalLinks: pathsBelow(['/var/log/journal', '/run/log/journal'], ['*.journal*']),
    filesOfHostd: readdirSync(`/proc/${hostdPid}/fd`).map(() => 'one'),
  };
}

/** What came and what went, as `class: + line` and `class: - line`. */
function difference(before: Inventory, after: Inventory): string[] {
  const lessThan = (all: readonly string[], others: readonly string[]) => {
    const left = [...others];
    return all.filter((line) => {
      const at = left.indexOf(line);
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
  };
  // Requests that were under way at the first look held files open: fewer afterwards is nothing left.
  const mayShrink = new Set(['filesOfHostd']);
  return Object.keys(before).flatMap((name) => [
    ...lessThan(after[name] ?? [], before[name] ?? []).map((line) => `${name}: + ${line}`),
    ...(mayShrink.has(name) ? [] : lessThan(before[name] ?? [], after[name] ?? [])).map((line) => `${name}: - ${line}`),
  ]);
}

/** Throws with the difference. What the kernel and systemd take apart after an answer is given time. */
export async function isAsBefore(before: Inventory): Promise<void> {
  let left: string[] = [];
  await eventually(() => {
    left = difference(before, inventory());
    return left.length === 0;
  }, 'a delta of nothing').catch(() => undefined);
  assert.deepEqual(left, []);
}
