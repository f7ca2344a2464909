/**
 * The command line that runs an app's command, in bubblewrap or without. Pure.
 *
 * Inside, the app sees: the system's programs and libraries, read-only; the tree of its commit as /app, its home and /tmp, which it may
 * write; a clonable copy of its repository; its environment in /etc/preview.env. It sees no process and no file of anybody else,
 * has no capability and cannot gain any. The network is the machine's own: that is what a container host is for.
 */
import { dirname } from 'node:path';
import type { AppManifest, Command } from '../../../core/app-manifest.ts';
import { VISIBLE_TREES, type HostPrograms } from './host-programs.ts';
import { MARKER_NAME, type InstanceLayout } from './layout.ts';
import type { Launch } from './launch.ts';

const APP = '/app';
const HOME = '/home/preview';
export const REPOSITORY_INSIDE = '/srv/repository.git';
export const USER = 'preview';
/** Inside a user namespace, whoever we are outside. */
export const UID_INSIDE = 1_000;

/** Of /etc: names, certificates, time. The rest is the machine's own business. */
const ETC_PATHS = [
  '/etc/resolv.conf',
  '/etc/hosts',
  '/etc/nsswitch.conf',
  '/etc/localtime',
  '/etc/ssl',
  '/etc/ca-certificates',
  '/etc/pki',
  '/etc/alternatives',
  '/etc/ld.so.cache',
  '/etc/static',
];

export interface SandboxOptions {
  readonly programs: HostPrograms;
  readonly layout: InstanceLayout;
  /** Where the operator is root: the user that the app runs as. Null where the app runs as the operator's own user. */
  readonly uid: number | null;
  readonly limits: AppManifest['limits'];
  readonly environment: Readonly<Record<string, string>>;
}

/** How to start a command of the app. A line of text is given to /bin/sh, inside. */
export function launchFor(options: SandboxOptions, command: Command): Launch {
  const words = typeof command === 'string' ? ['/bin/sh', '-c', command] : command;
  const { layout, programs } = options;
  const isSandbox = programs.bubblewrap !== null;
  const marker = { [MARKER_NAME]: layout.marker };
  const directories = isSandbox ? programs.pathInside : programs.pathOutside;
  const path = [...new Set([...directories, '/usr/local/bin', '/usr/bin', '/bin', '/run/current-system/sw/bin'])].join(
    ':',
  );
  const places = isSandbox ? { HOME } : { HOME: layout.home, TMPDIR: layout.tmp };
  const own = { PATH: path, ...places, USER, LANG: 'C.UTF-8' };
  const env = { ...own, ...options.environment, ...marker };
  const limited = [...limitWords(options), ...words];
  if (!isSandbox) return { argv: asArgv(limited), cwd: layout.source, env, uid: options.uid, isSandbox };
  const argv = asArgv([...bubblewrapWords(options, programs.bubblewrap), '--', ...userWords(options), ...limited]);
  // bubblewrap itself runs as we do; the user is changed inside.
  return { argv, cwd: '/', env, uid: null, isSandbox };
}

function bubblewrapWords({ programs, layout, uid }: SandboxOptions, bubblewrap: string): string[] {
  const bind = (from: string, at = from) => ['--ro-bind', from, at];
  const bindIfThere = (path: string) => ['--ro-bind-try', path, path];
  return [
    [bubblewrap],
    uid === null ? USER_NAMESPACE : POWERS_TO_BECOME_ANOTHER,
    ['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ['--die-with-parent', '--new-session', '--hostname', layout.name, '--unsetenv', MARKER_NAME],
    // bubblewrap would make them for its own user alone.
    ...parentsOf(programs.entries.map((entry) => entry.at)).map((path) => ['--dir', path]),
    ...VISIBLE_TREES.map(bindIfThere),
    ...programs.systemDirectories.map(({ path, link }) => (link === null ? bind(path) : ['--symlink', link, path])),
    ...ETC_PATHS.map(bindIfThere),
    bind(layout.passwd, '/etc/passwd'),
    bind(layout.group, '/etc/group'),
    bind(layout.environmentFile, '/etc/preview.env'),
    ...programs.entries.map((entry) =>
      entry.kind === 'bind' ? bind(entry.from, entry.at) : ['--symlink', entry.target, entry.at],
    ),
    bind(layout.repository, REPOSITORY_INSIDE),
    ['--proc', '/proc', '--dev', '/dev'],
    ['--bind', layout.tmp, '/tmp', '--bind', layout.home, HOME, '--bind', layout.source, APP],
    // The root itself is a file system in memory: nothing may be written there, or it would count as nobody's.
    ['--remount-ro', '/', '--chdir', APP],
  ].flat();
}

/** The directories that have to be there before anything can be mounted, outermost first. */
function parentsOf(paths: readonly string[]): string[] {
  const parents = [
    '/etc',
    dirname(REPOSITORY_INSIDE),
    dirname(HOME),
    '/nix',
    '/run',
    ...paths.map((path) => dirname(path)),
  ];
  const all = parents.flatMap((path) =>
    path
      .split('/')
      .slice(1)
      .map((_, index, parts) => `/${parts.slice(0, index + 1).join('/')}`),
  );
  return [...new Set(all)];
}

const USER_NAMESPACE = [
  '--unshare-user',
  '--uid',
  String(UID_INSIDE),
  '--gid',
  String(UID_INSIDE),
  '--cap-drop',
  'ALL',
];

/** Root needs no user namespace; of its powers it keeps what setpriv takes to become another user and to drop the rest. */
const POWERS_TO_BECOME_ANOTHER = [
  ['--cap-drop', 'ALL'],
  ['--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID', '--cap-add', 'CAP_SETPCAP'],
].flat();

/** Inside, still root without powers: becomes the instance's own user for good. */
function userWords({ programs, uid }: SandboxOptions): string[] {
  if (uid === null || programs.setpriv === null) return [];
  const none = ['--clear-groups', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'];
  return [programs.setpriv, `--reuid=${uid}`, `--regid=${uid}`, ...none, '--'];
}

/** What can be bounded without root and control groups: docs/reference/process-runtime.md says what is not. */
function limitWords({ programs, limits }: SandboxOptions): string[] {
  if (programs.prlimit === null) return [];
  const tasks = programs.tasksMax === null ? [] : [`--nproc=${Math.min(limits.tasks, programs.tasksMax)}`];
  return [programs.prlimit, ...tasks, `--fsize=${limits.diskMiB * 1024 * 1024}`, '--core=0', '--'];
}

function asArgv(words: readonly string[]): Launch['argv'] {
  const [program, ...rest] = words;
  if (program === undefined) throw new RangeError('a command needs a program');
  return [program, ...rest];
}

/** Names for the users inside, so that `whoami`, `~` and git find one. */
export function passwdText(uid: number): string {
  return [
    'root:x:0:0:root:/:/usr/sbin/nologin',
    `${USER}:x:${uid}:${uid}:preview:${HOME}:/bin/sh`,
    'nobody:x:65534:65534:nobody:/:/usr/sbin/nologin',
    '',
  ].join('\n');
}

export function groupText(uid: number): string {
  return ['root:x:0:', `${USER}:x:${uid}:`, 'nogroup:x:65534:', ''].join('\n');
}
