/**
 * What is done inside a running guest, always by the guest's own systemd over its bus, never with nsenter: a process that hostd put inside
 * would lack the guest's limits, its system-call filter and its bar on new privileges.
 */
import { readFile } from 'node:fs/promises';
import type { HostRequest } from '../core/host-verbs.ts';
import type { InstanceName } from '../core/names.ts';
import { unitsFromConf } from './definition.ts';
import { eachLine, run } from './programs.ts';
import { placeOf, type HostSettings } from './settings.ts';

type StartUnit = Extract<HostRequest, { verb: 'start-unit' }>;
type ReadJournal = Extract<HostRequest, { verb: 'read-journal' }>;

/** The longest setup that a manifest may ask for is an hour; the caller's own limit comes first. */
const unitTimeoutMs = 61 * 60_000;

/** The app's units in this container, by its conf file, which is the host's. */
async function unitsOf(settings: HostSettings, name: InstanceName): Promise<ReturnType<typeof unitsFromConf>> {
  return unitsFromConf(await readFile(placeOf(settings, name).conf, 'utf8').catch(() => ''));
}

/** Starts a unit and waits for its job. When the caller goes away the unit is ended. */
export async function startUnit(
  settings: HostSettings,
  request: StartUnit,
  signal: AbortSignal,
): Promise<{ ok: boolean }> {
  const { setup } = await unitsOf(settings, request.name);
  const unit = request.unit === 'setup-preview.service' ? setup : request.unit;
  try {
    const started = await run(['systemctl', '-M', request.name, 'start', unit], {
      signal,
      timeoutMs: unitTimeoutMs,
    });
    return { ok: started.status === 0 };
  } catch (error) {
    await run(['systemctl', '-M', request.name, 'stop', unit]);
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
  settings: HostSettings,
  request: ReadJournal,
  { signal, onLine }: { signal: AbortSignal; onLine: (line: string) => void },
): Promise<null> {
  const units = await unitsOf(settings, request.name);
  const query = [
    ...[units.setup, ...units.apps].map((unit) => `--unit=${unit}`),
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
