/** One operator per state directory: who has the lock may touch what lies there; who has not must not even start the PostgreSQL in it. */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { OperatorError } from '../../core/errors.ts';

const LOCK_FILE = 'operator.lock';
/** sqlite.org/rescode.html: somebody else holds the lock. */
const SQLITE_BUSY = 5;

/**
 * Takes the lock, until disposed of or until this process ends, however it ends. Makes the directory when it is not there.
 * Throws OPERATOR_ALREADY_RUNNING when another process has it, CONFIG_INVALID for a directory that we cannot work in.
 *
 * The lock is SQLite's, an fcntl(2) lock on an empty file: the one lock in Node that two processes cannot both get and that the kernel itself
 * frees with a killed one. A file with a process number or a socket has a moment in between, in which two that start at once pass each other.
 */
export function lockStateDirectory(directory: string): Disposable {
  const database = openLockFile(directory);
  try {
    database.exec('begin immediate');
  } catch (error) {
    database.close();
    if (!(error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY)) throw error;
    throw new OperatorError('OPERATOR_ALREADY_RUNNING', `Another operator works with ${directory} already.`);
  }
  return { [Symbol.dispose]: () => database.close() };
}

function openLockFile(directory: string): DatabaseSync {
  const path = join(directory, LOCK_FILE);
  try {
    // The apps' own users have to pass; what is secret below has a mode of its own.
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    // Who can open the file can hold the lock.
    closeSync(openSync(path, 'a', 0o600));
    return new DatabaseSync(path);
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new OperatorError(
      'CONFIG_INVALID',
      `state.directory: ${directory} is none that we can write to (${reason}).`,
      {
        hint: 'Give it to the user that the operator runs as, with all that lies in it, or name another directory.',
        cause: error,
      },
    );
  }
}
