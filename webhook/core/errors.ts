/**
 * Every error that a person can meet has a code here, and a section of the same name in docs/reference/errors.md
 * (test/docs.test.ts compares the two, both ways). An error says what happens next: that is what the reconciler acts on.
 */

/** What happens after a failure without anybody doing anything. */
export type Retry =
  /** Tried again by itself, with growing pauses: the cause is likely to pass (GitHub away, PostgreSQL restarting). */
  | 'later'
  /** Not tried again until something new comes in: a push, or `preview update`. */
  | 'on-new-input'
  /** Needs a person on the host; repeated only when asked. */
  | 'never';

interface CodeDescription {
  /** One line for the docs index and for people who see only the code. */
  summary: string;
  retry: Retry;
  /** What to do about it, in one sentence. `<slug>` in it is the preview's name (hintAbout). */
  hint: string;
}

/** The registry. Order: life of a preview, then the doors (webhook, command line), then the host. */
export const ERROR_CODES = {
  // Reading GitHub
  GITHUB_UNREACHABLE: {
    summary: 'GitHub did not answer, or answered with an error of its own.',
    retry: 'later',
    hint: 'Nothing to do: it is tried again by itself. If it lasts, see https://www.githubstatus.com and the host’s outgoing network.',
  },
  GITHUB_RATE_LIMITED: {
    summary: 'GitHub refuses further requests for a while.',
    retry: 'later',
    hint: 'Nothing to do: it is tried again when GitHub says so. A GitHub App has a higher limit than a personal token.',
  },
  GITHUB_FORBIDDEN: {
    summary: 'GitHub does not let our token do this.',
    retry: 'later',
    hint: 'Check that the token or App installation has read access to the repository and write access to pull requests and commit statuses.',
  },
  SUBJECT_NOT_FOUND: {
    summary: 'GitHub says that the pull request or branch does not exist, or hides it from us.',
    retry: 'later',
    hint: 'What runs is kept. If the repository was renamed or the token lost access, restore access; if it is gone for good, use `preview destroy`.',
  },
  // Source and manifest
  SOURCE_UNAVAILABLE: {
    summary: 'The repository could not be fetched.',
    retry: 'later',
    hint: 'It is tried again by itself. Check that the host reaches the git server and that the token may read the repository.',
  },
  COMMIT_NOT_FOUND: {
    summary: 'The commit that GitHub names cannot be fetched.',
    retry: 'later',
    hint: 'Usually a force-push that overtook us; the next look at the pull request settles it.',
  },
  SOURCE_REFUSED: {
    summary: 'The tree of the commit holds something that we do not place on a host.',
    retry: 'on-new-input',
    hint: 'Remove the entry that the message names from the repository, or make it smaller.',
  },
  MANIFEST_INVALID: {
    summary: 'preview.toml does not say what it should.',
    retry: 'on-new-input',
    hint: 'Correct the keys that the message names; docs/reference/app-manifest.md lists all of them.',
  },
  MANIFEST_MISSING: {
    summary:
      'The repository has no preview.toml or preview-config.nix, and is not a Node.js project that we could guess.',
    retry: 'on-new-input',
    hint: 'Add a preview.toml to the root of the repository; docs/guides/add-your-app.md has examples.',
  },
  CONFIG_REFUSED: {
    summary: 'preview-config.nix asks for something that we do not evaluate or build, or it is not valid Nix.',
    retry: 'on-new-input',
    hint: 'The message names the class of what was refused; docs/reference/errors.md says what to do about each.',
  },
  EVAL_TIMEOUT: {
    summary: 'The evaluation of preview-config.nix did not end in its time.',
    retry: 'on-new-input',
    hint: 'Simplify the expression; a whole NixOS system takes ten to twenty seconds.',
  },
  EVAL_MEMORY: {
    summary: 'The evaluation of preview-config.nix took more memory than it may.',
    retry: 'on-new-input',
    hint: 'Simplify the expression; a whole NixOS system takes less than a gigabyte.',
  },
  META_INVALID: {
    summary: 'system.build.previewMeta of preview-config.nix does not say what it should.',
    retry: 'on-new-input',
    hint: 'Correct what the pointer names; docs/guides/add-your-app.md shows the fields.',
  },
  SECRET_NOT_ALLOWED: {
    summary: 'The app asks for a secret that this repository has not been given.',
    retry: 'on-new-input',
    hint: 'Ask the operator to add the name to `[[grants]]` in berth.toml, or take it off the app’s list: `secrets` in preview.toml, `hostSecrets` in preview-config.nix.',
  },
  HOST_NAME_TAKEN: {
    summary: 'An extra host of this preview would have the name of another preview.',
    retry: 'on-new-input',
    hint: 'Choose another prefix in `extraHosts`.',
  },
  // Room
  SLOTS_EXHAUSTED: {
    summary: 'Every slot of the host’s address range is in use.',
    retry: 'later',
    hint: 'Close previews that nobody needs, or widen `runtime.pool` in berth.toml.',
  },
  SLUG_UNAVAILABLE: {
    summary: 'No free name could be found for the preview.',
    retry: 'never',
    hint: 'Destroy the preview that holds the name; `preview list` shows it.',
  },
  // Bring-up
  BUILD_FAILED: {
    summary: 'The system that the manifest describes could not be built.',
    retry: 'on-new-input',
    hint: 'The last lines of the build say why; correct `packages` in preview.toml, or preview-config.nix, and push.',
  },
  SETUP_FAILED: {
    summary: 'The app’s setup command failed.',
    retry: 'on-new-input',
    hint: 'The last lines say why; correct it and push. `preview logs <slug>` shows the whole output.',
  },
  SETUP_TIMED_OUT: {
    summary: 'The app’s setup command did not end in its time.',
    retry: 'on-new-input',
    hint: 'Make the setup shorter, or raise `setup.timeoutSeconds` in preview.toml.',
  },
  START_FAILED: {
    summary: 'A service of the app could not be started.',
    retry: 'on-new-input',
    hint: 'Check the `command` of the service that the message names.',
  },
  SERVICE_CRASHED: {
    summary: 'A service of the app ended again and again while we waited for it to answer.',
    retry: 'on-new-input',
    hint: 'The last lines say why; correct it and push.',
  },
  NEVER_LISTENED: {
    summary: 'A service of the app did not accept connections on its port in time.',
    retry: 'on-new-input',
    hint: 'Listen on the port in the environment variable PORT (and the address in HOST), or raise `health.timeoutSeconds`.',
  },
  UNHEALTHY: {
    summary: 'The app answers its health path with an error.',
    retry: 'on-new-input',
    hint: 'Open the health path of the app; `preview logs <slug>` shows what it printed.',
  },
  DATABASE_FAILED: {
    summary: 'The preview’s database could not be made ready.',
    retry: 'later',
    hint: 'Check that PostgreSQL runs on the host; it is tried again by itself.',
  },
  DATABASE_TOO_LARGE: {
    summary: 'The preview’s database holds more than it may, so nobody can connect to it.',
    retry: 'later',
    hint: 'Raise `limits.databaseMiB` in preview.toml and push; or begin with an empty database: `preview destroy`, then push. It opens by itself when it fits again.',
  },
  SEED_FAILED: {
    summary: 'The seed of the preview’s database could not be loaded.',
    retry: 'on-new-input',
    hint: 'Correct the file that the message names and push. It is plain SQL, loaded with the rights of the preview’s own role; docs/guides/add-your-app.md says how to make one.',
  },
  ROUTE_REFUSED: {
    summary: 'The route of the preview was not accepted by the proxy.',
    retry: 'never',
    hint: 'Other previews are not affected. `preview doctor` shows the details.',
  },
  RUNTIME_FAILED: {
    summary: 'The host could not do what the runtime asked of it.',
    retry: 'later',
    hint: 'It is tried again by itself; the operator’s log has the details.',
  },
  SUPERSEDED: {
    summary: 'Newer input arrived, so this work was given up for it.',
    retry: 'later',
    hint: 'Nothing to do: the newer state is being worked on.',
  },
  SHUTTING_DOWN: {
    summary: 'The operator is stopping; the work goes on when it is back.',
    retry: 'later',
    hint: 'Nothing to do.',
  },
  STATE_UNAVAILABLE: {
    summary: 'PostgreSQL, which holds all of our state, does not answer.',
    retry: 'later',
    hint: 'Start PostgreSQL; deliveries are refused with 503 until then and GitHub shows them for redelivery.',
  },
  // Command line and API
  PREVIEW_NOT_FOUND: {
    summary: 'There is no preview of that name.',
    retry: 'never',
    hint: '`preview list` shows the names.',
  },
  PREVIEW_NOT_RUNNING: {
    summary: 'The preview has no running instance at the moment.',
    retry: 'never',
    hint: '`preview status <slug>` shows why; `preview update <slug>` tries to bring it up.',
  },
  COMMAND_REFUSED: {
    summary: 'This host cannot run the command in that way.',
    retry: 'never',
    hint: 'The process runtime runs commands as the app’s user and without a terminal: leave out `--root`, and use `preview exec` or pipe into `preview shell`. On the nixos-container runtime both work.',
  },
  PREVIEW_EXISTS: {
    summary: 'There is a preview of this branch or pull request already.',
    retry: 'never',
    hint: '`preview update` brings it to the newest commit; `preview destroy` removes it.',
  },
  NO_SUCH_BRANCH: {
    summary: 'The repository has no branch of that name.',
    retry: 'never',
    hint: 'Check the spelling; branch names are case-sensitive.',
  },
  REPOSITORY_NOT_ALLOWED: {
    summary: 'The repository is not on the allow-list.',
    retry: 'never',
    hint: 'Add it to `github.repositories` in berth.toml and restart the operator.',
  },
  NOTHING_TO_ROLL_BACK: {
    summary: 'No earlier instance of this preview is kept.',
    retry: 'never',
    hint: 'Only the instance that was replaced last is kept; push the commit that you want instead.',
  },
  BAD_REQUEST: {
    summary: 'The request is not one that we understand.',
    retry: 'never',
    hint: 'The message names the field; `preview help` lists what there is.',
  },
  OPERATOR_UNREACHABLE: {
    summary: 'The operator does not answer on its socket.',
    retry: 'never',
    hint: 'Start it with `npm start` (or `systemctl start berth-operator`), or say where it is with --socket.',
  },
  // Start-up
  CONFIG_INVALID: {
    summary: 'The configuration is not usable; nothing was started.',
    retry: 'never',
    hint: 'Correct the keys that the message names; berth.example.toml explains each.',
  },
  OPERATOR_ALREADY_RUNNING: {
    summary: 'Another operator already works with this state directory, or with this database.',
    retry: 'never',
    hint: 'Stop the other one, or give this one a `state.directory` and a database of its own.',
  },
  STATE_OF_ANOTHER_HOST: {
    summary: 'The database is that of another host: what it knows does not lie in this state directory.',
    retry: 'never',
    hint: 'Give this host a database of its own. If it is to take the other’s over, whose operator is stopped for good, remove `host-id` from the state directory: what runs is then brought up here again.',
  },
  STATE_TOO_NEW: {
    summary: 'The database was written by a newer version of Berth.',
    retry: 'never',
    hint: 'Run that version or a newer one, or restore the backup made before the upgrade.',
  },
  EMBEDDED_POSTGRES_FAILED: {
    summary: 'The embedded PostgreSQL did not start.',
    retry: 'never',
    hint: 'The message has its last lines; or set DATABASE_URL to use a PostgreSQL of your own.',
  },
  INTERNAL: {
    summary: 'Something went wrong that we did not foresee.',
    retry: 'later',
    hint: 'The operator’s log has the details. Please report it.',
  },
} as const satisfies Record<string, CodeDescription>;

export type ErrorCode = keyof typeof ERROR_CODES;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

interface OperatorErrorOptions {
  /** For the log and, where it is the app's own output, for its author: the last lines, already bounded. */
  detail?: string;
  /** Overrides the registry's hint where the place knows better. */
  hint?: string;
  /** Overrides the registry's retry. */
  retry?: Retry;
  /** The earliest useful moment of a retry, when the other side told us (for example Retry-After). */
  retryAfterMs?: number;
  cause?: unknown;
}

/** The one error type of the service. `message` may be shown to the author of a pull request: no secrets, no host paths. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly hint: string;
  readonly retry: Retry;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: OperatorErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
    this.hint = options.hint ?? ERROR_CODES[code].hint;
    this.retry = options.retry ?? ERROR_CODES[code].retry;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A hint as people read it: `<slug>` is the name of the preview that it is about. Stays as it is where there is no name yet. */
export function hintAbout(slug: string | null, hint: string): string {
  return slug === null ? hint : hint.replaceAll('<slug>', slug);
}

/** Whatever was thrown, as an OperatorError; anything unforeseen becomes INTERNAL with a neutral text and the original as its cause. */
export function operatorErrorFrom(thrown: unknown): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  return new OperatorError('INTERNAL', 'Something went wrong on our side.', { cause: thrown });
}
