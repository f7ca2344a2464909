/**
 * How long those who make a change waited for a core while others ran on all of them: the operator's part (this process), hostd and its nft. A change goes
 * from one to the next and back, so what a change took less this is what it would take where nobody else needs the cores.
 */
import { readFileSync } from 'node:fs';
import { host } from '../../../test/host/inside/a-host-runtime.ts';

/** Milliseconds so far, of the main threads: /proc/PID/schedstat has nanoseconds on a core, nanoseconds waiting for one, and turns. */
export function waitedForACore(): () => number {
  const hostd = host('systemctl', 'show', 'berth-hostd', '--property=MainPID', '--value');
  return () => {
    // nft is replaced now and then.
    const children = readFileSync(`/proc/${hostd}/task/${hostd}/children`, 'utf8').split(' ').filter(Boolean);
    const all = [String(process.pid), hostd, ...children];
    return all.reduce((sum, pid) => sum + waitedMs(pid), 0);
  };
}

function waitedMs(pid: string): number {
  const [, waited] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ');
  return Number(waited) / 1e6;
}
