/** How an installation ends, as exit statuses; README.md lists them. */
export const exitStatus = {
  ok: 0,
  /** Something was tried and failed; the message says at which phase to go on. */
  failed: 1,
  /** The command line or hosts.toml is wrong; no machine was contacted. */
  usage: 2,
  /** The machine is not the one described, or the question was not answered with yes; nothing was written. */
  refused: 3,
} as const;

export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

/** A failure with its exit status and the way out, for the person who installs. */
export class InstallFailure extends Error {
  readonly status: ExitStatus;
  readonly hint: string;

  constructor(status: ExitStatus, message: string, hint: string) {
    super(message);
    this.name = 'InstallFailure';
    this.status = status;
    this.hint = hint;
  }
}
