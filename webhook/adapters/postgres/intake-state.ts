/** What takes deliveries and nothing else: one connection, which needs of the schema only what migrations/0005-web-role.sql grants. */
import { OperatorError } from '../../core/errors.ts';
import type { Intake, Log } from '../../ports.ts';
import { connectionConfig, openPool, rowsOf } from './connections.ts';
import { INTAKE_TIMEOUT_MS, openIntake } from './intake.ts';

/** Whose connection that is where the web is a process of its own. */
export const WEB_ROLE = 'berth_web';

/** All that a process needs which takes deliveries. */
export interface IntakeState {
  readonly intake: Intake;
  /** Whether PostgreSQL takes deliveries. Never throws. */
  readonly isReady: () => Promise<boolean>;
  readonly close: () => Promise<void>;
}

/** Connects when it is first used, and again after a connection broke. */
export function intakeState(url: string, log: Log): IntakeState & { acceptNothing(): Promise<void> } {
  const pool = openPool({ ...connectionConfig(url, 'berth intake'), max: 1, query_timeout: INTAKE_TIMEOUT_MS }, log);
  // All that an acceptance needs, and no delivery.
  const acceptNothing = async () => {
    await rowsOf(pool, `select from berth.accept_deliveries('{}', '{}', '{}', '{}', '{}', '{}', '{}')`);
  };
  return {
    intake: openIntake(pool, log),
    acceptNothing,
    isReady: () =>
      acceptNothing().then(
        () => true,
        () => false,
      ),
    close: () => pool.end(),
  };
}

/** SQLSTATE of PostgreSQL's manual, appendix A: no such schema, no such function, no right to it or to the database. */
const NOT_MIGRATED: ReadonlySet<unknown> = new Set(['3F000', '42883', '42501']);

/**
 * For a process of its own, which changes no schema. Throws STATE_UNAVAILABLE when PostgreSQL is away, and while no operator of this version
 * has brought the database up to date; then nothing is left open.
 */
export async function openIntakeState(url: string, log: Log): Promise<IntakeState> {
  const state = intakeState(url, log);
  try {
    await state.acceptNothing();
    return state;
  } catch (error) {
    await state.close();
    if (!(error instanceof Error) || !('code' in error) || !NOT_MIGRATED.has(error.code)) throw error;
    throw new OperatorError(
      'STATE_UNAVAILABLE',
      `The database has no intake for this role (${error.message}). The operator makes it when it starts.`,
      { cause: error },
    );
  }
}
