/**
 * What is done inside a running guest, always by the guest's own systemd over its bus, never with nsenter: a process that hostd put inside
 * would lack the guest's limits, its system-call filter and its bar on new privileges.
 */
import type { HostRequest } from '../core/host-verbs.ts';
import { eachLine, run } from './programs.ts';

type StartUnit = Extract<HostRequest, { verb: 'start-unit' }>;
type ReadJournal = Extract<HostRequest, { verb: 'read-journal' }>;

/** The longest setup that a manifest may ask for is an hour; the caller's own limit comes first. */
const unitTimeoutMs = 61 * 60_000;

/** Starts a unit and waits for its job. When the caller goes away the unit is ended. */
export async function startUnit(request: StartUnit, signal: AbortSignal): Promise<{ ok: boolean }> {
  try {
    const started = await run(['systemctl', '-M', request.name, 'start', request.unit], {
      signal,
      timeoutMs: unitTimeoutMs,
    });
    return { ok: started.status === 0 };
  } catch (error) {
    await run(['systemctl', '-M', request.name, 'stop', request.unit]);
    throw error;
  }
}

/** A line of the journal as JSON; longer ones are cut by the reader, so they need not come whole. */
const lineMaxLength = 64 * 1024;

/**
 * The app's lines as JSON objects of journalctl. It runs inside the guest: the journal's files are the guest's, and root of the host does not
 * open those.
 */
export async function readJournal(
  request: ReadJournal,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<null> {
  const query = [
    '--unit=setup-preview.service',
    '--unit=app-*.service',
    `--lines=${request.tailLines}`,
    '--output=json',
    '--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT',
    '--no-pager',
    ...(request.follow ? ['--follow'] : []),
  ];
  // A login shell, because only the guest knows where its programs are.
  const inside = ['/bin/sh', '-lc', 'exec journalctl "$@"', 'sh', ...query];
  const argv = [
    'systemd-run',
    '-M',
    request.name,
    '--quiet',
    '--pipe',
    '--wait',
    '--collect',
    '--',
    ...inside,
  ] as const;
  await eachLine(argv, signal, (line) => {
    if (line.length <= lineMaxLength) onLine(line);
  });
  return null;
}
