/**
 * Which test hosts exist on this machine. A claim is one file, `/run/berth-test-hosts/<number>.json`; the number gives the
 * host's name, its network and its cgroup, so that whoever finds the claim can remove everything the host ever made,
 * also after its owner was killed.
 */
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const claimsDirectory = '/run/berth-test-hosts';

/** 10.99.<number>.0/30 is the link; 250 hosts at once is far beyond what a machine carries. */
const claimsMax = 250;

const claimSchema = z.strictObject({
  ownerPid: z.number().int().positive(),
  /** Start time of the owner in clock ticks: tells it from a later process with the same PID. */
  ownerStartedAt: z.string(),
  stateDirectory: z.string().startsWith('/'),
});
type ClaimRecord = z.infer<typeof claimSchema>;

export interface Claim {
  readonly number: number;
  readonly stateDirectory: string;
}

const fileOf = (number: number): string => join(claimsDirectory, `${number}.json`);

/** Field 22 of /proc/PID/stat (proc(5)), or undefined when no such process exists. */
function startedAt(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name (field 2) may hold spaces and brackets; everything after the last bracket is plain.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** Takes the lowest free number for this process. Throws when every number is taken. */
export async function claimHost(stateDirectory: string): Promise<Claim> {
  await mkdir(claimsDirectory, { recursive: true, mode: 0o700 });
  const record: ClaimRecord = {
    ownerPid: process.pid,
    ownerStartedAt: startedAt(process.pid) ?? '',
    stateDirectory,
  };
  // Written apart and linked into place: a claim is never seen without its owner.
  const draft = join(claimsDirectory, `.draft-${process.pid}-${crypto.randomUUID()}`);
  await writeFile(draft, JSON.stringify(record), { mode: 0o600 });
  try {
    for (let number = 0; number < claimsMax; number += 1) {
      const taken = await link(draft, fileOf(number)).then(
        () => false,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EEXIST') return true;
          throw error;
        },
      );
      if (!taken) return { number, stateDirectory };
    }
  } finally {
    await rm(draft, { force: true });
  }
  throw new Error(`All ${claimsMax} test hosts are claimed; see ${claimsDirectory}.`);
}

/** Gives the number back. Only after everything of the host is gone. */
export async function releaseClaim(claim: Claim): Promise<void> {
  await rm(fileOf(claim.number), { force: true });
}

/** Claims whose owner no longer runs. */
export async function abandonedClaims(): Promise<Claim[]> {
  const names = await readdir(claimsDirectory).catch(() => []);
  const claims: Claim[] = [];
  for (const name of names) {
    const number = Number(/^(\d+)\.json$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) continue;
    const text = await readFile(fileOf(number), 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const record = claimSchema.parse(JSON.parse(text));
    if (startedAt(record.ownerPid) !== record.ownerStartedAt)
      claims.push({ number, stateDirectory: record.stateDirectory });
  }
  return claims;
}
