import { spawnSync } from 'node:child_process';

/** What `systemd-analyze security` says of a unit file: 0 is best, 10 worst; up to 5 it is called OK. */
export interface Exposure {
  readonly level: number;
  readonly verdict: string;
}

/** @throws Error with systemd-analyze's words when it can't judge the file. */
export function exposureOf(unitFile: string): Exposure {
  const argv = ['security', '--offline=yes', '--no-pager', unitFile];
  const judged = spawnSync('systemd-analyze', argv, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } });
  const found = /Overall exposure level for .*: ([0-9.]+) ([A-Z]+)/.exec(judged.stdout);
  if (found === null) throw new Error(`systemd-analyze security ${unitFile}: ${judged.stderr}`);
  return { level: Number(found[1]), verdict: String(found[2]) };
}
