import { Logger } from 'graphile-worker';
import type { Log } from '../../ports.ts';

/** graphile-worker's words in our log. Its `info` tells of every job that ended, so it is `debug` here. */
export function graphileLogger(log: Log): Logger {
  return new Logger((scope) => (level, message) => {
    const fields = { ...scope };
    if (level === 'error') log.error(fields, message);
    else if (level === 'warning') log.warn(fields, message);
    else log.debug(fields, message);
  });
}
