/** What can be typed. Help, completion, docs/reference/cli.md and the parser are made from this table. */

export interface OptionSpec {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  /** For help, where it takes a value: `<path>`. */
  readonly value?: string;
  readonly text: string;
}

export const OPTIONS = {
  json: { type: 'boolean', text: 'Print JSON, also for errors.' },
  socket: { type: 'string', value: '<path>', text: 'The operator’s socket, where it is not found by itself.' },
  help: { type: 'boolean', short: 'h', text: 'Explain the command.' },
  follow: { type: 'boolean', short: 'f', text: 'Go on with what is printed from now on.' },
  lines: { type: 'string', short: 'n', value: '<number>', text: 'How many of the last lines (200).' },
  'no-wait': { type: 'boolean', text: 'Do not wait until it is done.' },
  root: { type: 'boolean', text: 'As root of the container instead of as the app’s user.' },
  fix: { type: 'boolean', text: 'Ask for what is missing, remove what belongs to no preview.' },
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof OPTIONS;

/** Options that every command has. */
export const COMMON_OPTIONS: readonly OptionName[] = ['json', 'socket', 'help'];

export interface CommandSpec {
  readonly name: string;
  readonly args: readonly ('slug' | 'owner/repo' | 'branch' | 'command' | 'shell' | 'word')[];
  /** Whether the last argument may be followed by more of its kind. */
  readonly isOpen?: boolean;
  /** Arguments from this one on may be left out. */
  readonly optionalFrom?: number;
  readonly options: readonly OptionName[];
  readonly text: string;
  readonly details: string;
}

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'list',
    args: [],
    options: [],
    text: 'Show all previews.',
    details: 'One line each: name, status, branch and URL.',
  },
  {
    name: 'status',
    args: ['slug'],
    options: [],
    text: 'Show everything about one preview.',
    details: 'What it shows, what is under way, and why something failed.',
  },
  {
    name: 'logs',
    args: ['slug'],
    options: ['follow', 'lines'],
    text: 'Show what setup and services printed.',
    details:
      'Of the instance that answers, or of the newest one while that comes up or after it has failed. With --follow it goes on with the next one after a push, and ends when the preview is gone.',
  },
  {
    name: 'create',
    args: ['owner/repo', 'branch'],
    options: ['no-wait'],
    text: 'Make a preview of a branch.',
    details:
      'Of its open pull request, or of the branch itself if it has none. The repository must be on the allow-list.',
  },
  {
    name: 'update',
    args: ['slug'],
    options: ['no-wait'],
    text: 'Bring a preview to the newest commit.',
    details: 'Tries again what has failed, and ends a rollback. The URL answers all the while.',
  },
  {
    name: 'rollback',
    args: ['slug'],
    options: ['no-wait'],
    text: 'Put the previous commit back.',
    details: 'The instance that was replaced last answers again until the next push.',
  },
  {
    name: 'destroy',
    args: ['slug'],
    options: ['no-wait'],
    text: 'Remove a preview with its data.',
    details: 'Its processes, files, database and URL. A push to an open pull request brings it back.',
  },
  {
    name: 'plan',
    args: ['slug'],
    options: [],
    text: 'Show what would be done, and why.',
    details: 'Looks at GitHub and at the host, and does nothing.',
  },
  {
    name: 'build',
    args: ['owner/repo', 'branch'],
    optionalFrom: 1,
    options: [],
    text: 'Build what a preview of a branch will need.',
    details:
      'Its preview then comes up without a build. What was built before is not built again. Without a branch, of the repository’s default branch.',
  },
  {
    name: 'exec',
    args: ['slug', 'word'],
    isOpen: true,
    options: ['root'],
    text: 'Run a command inside a preview.',
    details:
      'Within its walls and limits, in the app’s folder and environment. Words go through as they are, no shell reads them: preview exec shop-42 -- node migrate.js. It ends with the command’s own status.',
  },
  {
    name: 'shell',
    args: ['slug'],
    options: ['root'],
    text: 'Open a shell inside a preview.',
    details: 'On a terminal, or with commands from a pipe. From elsewhere: ssh -t <host> preview shell <slug>.',
  },
  {
    name: 'doctor',
    args: [],
    options: ['fix'],
    text: 'Compare records, GitHub and the host.',
    details: 'Finds what is not as wanted and what belongs to no preview. Exit status 1 when there is something.',
  },
  {
    name: 'complete',
    args: ['shell'],
    options: [],
    text: 'Print completion for bash, zsh, fish or powershell.',
    details: 'For bash: source <(preview complete bash)',
  },
  {
    name: 'help',
    args: ['command'],
    optionalFrom: 0,
    options: [],
    text: 'Explain all commands, or one.',
    details: '',
  },
];

/** How the command ends, for scripts. Part of its contract. */
export const EXIT = { ok: 0, failed: 1, usage: 2, notFound: 3, unreachable: 4 } as const;
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_TEXTS: readonly (readonly [ExitStatus, string])[] = [
  [EXIT.ok, 'done'],
  [EXIT.failed, 'failed: the preview did not come up, the operator refused, or doctor found something'],
  [EXIT.usage, 'wrong usage; nothing was tried'],
  [EXIT.notFound, 'no such preview or branch'],
  [EXIT.unreachable, 'the operator does not answer'],
];
