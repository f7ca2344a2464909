/**
 * The ways in which a `hostctl` verb ends, as exit statuses. They are part of the command's contract
 * (server-config/modules/hostctl/README.md lists them), because timers and the fleet act on them.
 */
export const exitStatus = {
  ok: 0,
  /** Something was tried and failed; the message says what the host runs now. */
  failed: 1,
  /** The command line or the settings file is wrong; nothing was tried. */
  usage: 2,
  /** Refused before anything was touched: not root, a dirty tree, another hostctl at work, a question not answered. */
  refused: 3,
  /** The new configuration is the running one, but some of its units did not start. */
  appliedWithFailedUnits: 4,
} as const;

export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

/** A failure with its exit status and the way out. The message is for the operator at the terminal. */
export class HostctlFailure extends Error {
  readonly status: ExitStatus;
  readonly hint: string;

  constructor(status: ExitStatus, message: string, hint: string) {
    super(message);
    this.name = 'HostctlFailure';
    this.status = status;
    this.hint = hint;
  }
}
