/** Which variables an app may set. One pattern, for the schema, for the published JSON Schema and for the helper on the host. */

/** Names that are refused, by reason. docs/reference/app-manifest.md lists them from here. */
export const REFUSED_NAMES = [
  {
    why: 'they are ours, or of who starts the app',
    names: ['DATABASE_URL', 'HOME', 'HOST', 'PATH', 'PORT', 'SHELL', 'USER'],
  },
  { why: 'they would change programs that are not the app', names: ['ENV', 'IFS', 'NODE_OPTIONS'] },
  {
    // OPTIND ends dash's reading of a file at that line; to the others bash gives a value of its own, or none may be given.
    why: 'a shell that sources /etc/preview.env makes their values itself, or stops reading there',
    names: [
      '_',
      'BASH',
      'BASHOPTS',
      'BASHPID',
      'COMP_WORDBREAKS',
      'DIRSTACK',
      'EPOCHREALTIME',
      'EPOCHSECONDS',
      'EUID',
      'FUNCNAME',
      'GROUPS',
      'HISTCMD',
      'LINENO',
      'OLDPWD',
      'OPTIND',
      'PIPESTATUS',
      'PPID',
      'PWD',
      'RANDOM',
      'SECONDS',
      'SHELLOPTS',
      'SHLVL',
      'SRANDOM',
      'UID',
    ],
  },
  { why: 'JavaScript keeps no value under it', names: ['__proto__'] },
] as const;

/** No name that begins like this: ours, the loader's, and bash's, which adds to its own with each version. */
export const REFUSED_PREFIXES = ['BASH_', 'BERTH_', 'DYLD_', 'LD_', 'PREVIEW_'] as const;

const refused = REFUSED_NAMES.flatMap(({ names }) => names);

/** The names that an app may set, and that a secret may have. */
export const ENVIRONMENT_NAME = new RegExp(
  `^(?!(?:${refused.join('|')})$|${REFUSED_PREFIXES.join('|')})[A-Za-z_][A-Za-z0-9_]{0,63}$`,
);

export const NOT_A_NAME = 'is not a name that an app may set';

/** Whether an app, or a secret's name, may set this environment variable. */
export function isEnvironmentName(name: string): boolean {
  return ENVIRONMENT_NAME.test(name);
}
