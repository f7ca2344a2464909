/** A thread that writes numbered lines to a log: as many as it is told each time, and says when they are written. */
import { parentPort, workerData } from 'node:worker_threads';
import { LogFile } from '../../webhook/adapters/runtimes/process/log-files.ts';

export interface LogWriting {
  readonly directory: string;
  readonly source: string;
  /** Characters after the number of each line. */
  readonly padding: number;
}

const { directory, source, padding } = workerData as LogWriting;
const log = new LogFile(directory, source);
let next = 0;

parentPort?.on('message', (lines: number) => {
  for (let count = 0; count < lines; count += 1) log.note(`${next++} ${'x'.repeat(padding)}`);
  parentPort?.postMessage(next);
});
