/** What this machine has for running apps: bubblewrap, Node, the tools around them. Looked up once, when the service starts. */
import { access, constants, readFile, readlink, realpath } from 'node:fs/promises';
import { release } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { Shell } from '../../../ports.ts';

/** Something that has to be made visible in a sandbox for Node to be found there. */
export type SandboxEntry =
  | { readonly kind: 'bind'; readonly from: string; readonly at: string }
  | { readonly kind: 'link'; readonly target: string; readonly at: string };

export interface HostPrograms {
  /** Path of bubblewrap; null when there is none or it does not work here, and then why. */
  readonly bubblewrap: string | null;
  readonly whyNoBubblewrap: string;
  readonly prlimit: string | null;
  readonly setpriv: string | null;
  /** Directories to put first on PATH, outside of a sandbox and inside. */
  readonly pathOutside: readonly string[];
  readonly pathInside: readonly string[];
  readonly entries: readonly SandboxEntry[];
  /** `/bin` and the like: directories of their own, or links into /usr. */
  readonly systemDirectories: readonly { readonly path: string; readonly link: string | null }[];
  /** The most processes that we may allow ourselves; null where a limit would count those of other previews too. */
  readonly tasksMax: number | null;
}

/** Trees that every sandbox sees, read-only. */
export const VISIBLE_TREES = ['/usr', '/nix/store', '/run/current-system'];

/** Where Node appears inside, if it is not in a visible tree. */
const NODE_INSIDE = '/opt/node';

export async function hostPrograms(options: {
  readonly path: string;
  readonly useBubblewrap: boolean;
  readonly shell: Shell;
  readonly isRoot: boolean;
}): Promise<HostPrograms> {
  const find = (name: string) => programOn(options.path, name);
  const [bubblewrap, prlimit, setpriv, node] = await Promise.all([
    checkedBubblewrap(options, await find('bwrap')),
    find('prlimit').then(visibleOnly),
    find('setpriv').then(visibleOnly),
    nodeOn(options.path),
  ]);
  const needsSetpriv = bubblewrap.path !== null && options.isRoot && setpriv === null;
  return {
    bubblewrap: needsSetpriv ? null : bubblewrap.path,
    whyNoBubblewrap: needsSetpriv ? 'as root it needs setpriv of util-linux too' : bubblewrap.why,
    prlimit,
    setpriv,
    ...node,
    systemDirectories: await systemDirectories(),
    tasksMax: await tasksMax(options.isRoot),
  };
}

async function checkedBubblewrap(
  options: { readonly useBubblewrap: boolean; readonly shell: Shell; readonly isRoot: boolean },
  path: string | null,
): Promise<{ path: string | null; why: string }> {
  if (!options.useBubblewrap) return { path: null, why: 'it is switched off' };
  if (process.platform !== 'linux') return { path: null, why: 'it exists on Linux only' };
  if (path === null) return { path: null, why: 'bwrap is not on PATH' };
  // A try with the same namespaces: many a distribution or container forbids them to users.
  const words = [
    '--ro-bind',
    '/',
    '/',
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
  ];
  const user = options.isRoot ? [] : ['--unshare-user'];
  const result = await options.shell.run({
    argv: [path, ...user, ...words, '--', '/bin/sh', '-c', ':'],
    timeoutMs: 10_000,
  });
  if (result.exitCode === 0) return { path, why: '' };
  return { path: null, why: result.stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? 'a try failed' };
}

/** Absolute path of a program on PATH; null when there is none. */
async function programOn(path: string, name: string): Promise<string | null> {
  for (const directory of path.split(delimiter).filter((each) => each.startsWith('/'))) {
    const candidate = join(directory, name);
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
  }
  return null;
}

function isVisible(path: string): boolean {
  return [...VISIBLE_TREES, '/bin', '/sbin', '/lib'].some((tree) => path.startsWith(`${tree}/`));
}

function visibleOnly(path: string | null): string | null {
  return path !== null && isVisible(path) ? path : null;
}

/**
 * Node and npm as they are on PATH, made visible inside. Three layouts occur: in a visible tree (packages of the distribution, Nix);
 * `<prefix>/bin` and `<prefix>/lib/node_modules` somewhere else (nvm, tarballs); the binary alone, with npm from elsewhere (the `node` package of npm).
 */
async function nodeOn(path: string): Promise<Pick<HostPrograms, 'pathOutside' | 'pathInside' | 'entries'>> {
  const found = await programOn(path, 'node');
  if (found === null) return { pathOutside: [], pathInside: [], entries: [] };
  const node = await realpath(found);
  const npm = await programOn(path, 'npm').then((each) => (each === null ? null : realpath(each)));
  const pathOutside = [dirname(found), ...(npm === null ? [] : [dirname((await programOn(path, 'npm')) ?? npm)])];
  if (isVisible(node)) return { pathOutside, pathInside: [dirname(node)], entries: [] };
  const prefix = dirname(dirname(node));
  const pathInside = [`${NODE_INSIDE}/bin`];
  if (npm?.startsWith(`${prefix}/lib/node_modules/`) === true) {
    const parts = ['bin', 'lib/node_modules'];
    const entries = parts.map(
      (part) => ({ kind: 'bind', from: join(prefix, part), at: join(NODE_INSIDE, part) }) as const,
    );
    return { pathOutside, pathInside, entries };
  }
  const entries: SandboxEntry[] = [{ kind: 'bind', from: node, at: `${NODE_INSIDE}/bin/node` }];
  if (npm !== null) entries.push(...npmEntries(npm));
  return { pathOutside, pathInside, entries };
}

/** `npm` is the real path of npm's bin/npm-cli.js. */
function npmEntries(npm: string): SandboxEntry[] {
  const inside = `${NODE_INSIDE}/lib/node_modules/npm`;
  const root = isVisible(npm) ? dirname(dirname(npm)) : inside;
  return [
    ...(root === inside ? [{ kind: 'bind', from: dirname(dirname(npm)), at: inside } as const] : []),
    { kind: 'link', target: join(root, 'bin/npm-cli.js'), at: `${NODE_INSIDE}/bin/npm` },
    { kind: 'link', target: join(root, 'bin/npx-cli.js'), at: `${NODE_INSIDE}/bin/npx` },
  ];
}

async function systemDirectories(): Promise<HostPrograms['systemDirectories']> {
  const paths = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
  const found = await Promise.all(
    paths.map(async (path) => {
      const link = await readlink(path).catch(() => null);
      const isThere =
        link !== null ||
        (await access(path).then(
          () => true,
          () => false,
        ));
      return isThere ? { path, link } : null;
    }),
  );
  return found.filter((each) => each !== null);
}

/**
 * RLIMIT_NPROC counts per user; since Linux 5.14 per user and user namespace, so that each sandbox has its own count. As root every
 * instance has a user of its own. Otherwise the limit would count all previews together, and is not set.
 */
async function tasksMax(isRoot: boolean): Promise<number | null> {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (process.platform !== 'linux' || (!isRoot && (major < 5 || (major === 5 && minor < 14)))) return null;
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const hard = /^Max processes\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === undefined || hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard);
}
