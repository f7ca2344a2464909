/** What systemd says of a container, and what the systemd inside it says of the app's units. */
import { lstat, readlink } from 'node:fs/promises';
import type { ContainerState } from '../core/host-verbs.ts';
import type { InstanceName } from '../core/names.ts';
import { run } from './programs.ts';
import type { ContainerPlace } from './settings.ts';

/** A guest's bus is the guest's: it may answer late or never, and that must hold up nobody else. */
const guestAnswerTimeoutMs = 5_000;

/** `systemctl show`'s blocks of KEY=VALUE lines, separated by empty lines. */
function parseShow(text: string): Record<string, string>[] {
  return text
    .split('\n\n')
    .map((block) => block.split('\n').filter((line) => line.includes('=')))
    .filter((lines) => lines.length > 0)
    .map((lines) =>
      Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])),
    );
}

const count = (text: string | undefined): number => (/^\d{1,9}$/.test(text ?? '') ? Number(text) : 0);

/** Containers that were seen to run, each with systemd's name for that run (its invocation). In memory alone: what is forgotten is asked again. */
export type SeenRuns = Map<InstanceName, string>;

/**
 * Null when the unit does not run. systemd keeps this link from the start of a unit until it is inactive or has failed, whoever ended it, and names every start
 * anew (unit_export_invocation_id in its unit.c).
 */
function runOf({ unit }: ContainerPlace): Promise<string | null> {
  return readlink(`/run/systemd/units/invocation:${unit}`).catch(() => null);
}

/** `status` of nixos-container says "down" for starting, stopping and failed alike (trap 4), so systemd is asked; of a run that was seen up before, its link says enough. */
export async function containerState(
  place: ContainerPlace,
  apps: readonly string[],
  seen: SeenRuns,
): Promise<ContainerState> {
  const { name } = place;
  const current = await runOf(place);
  if (apps.length === 0 && current !== null && current === seen.get(name)) return { name, state: 'running', units: [] };
  // Both at once: for a live preview, which is what is asked about most, that takes half as long.
  const [shown, units] = await Promise.all([
    run(['systemctl', 'show', place.unit, '--property=ActiveState']),
    (await hasLink(place)) ? guestUnits(place, apps) : [],
  ]);
  const states = { active: 'running', activating: 'starting', failed: 'failed' } as const;
  const state = states[parseShow(shown.stdout)[0]?.['ActiveState'] as keyof typeof states] ?? 'stopped';
  if (state === 'running' && current !== null) seen.set(name, current);
  return { name, state, units: state === 'running' ? units : [] };
}

/** A container has its link from before its guest runs until it has stopped: without one there is no guest to be asked, and that costs no process to see. */
export function hasLink({ link }: ContainerPlace): Promise<boolean> {
  return lstat(`/sys/class/net/${link}`).then(
    () => true,
    () => false,
  );
}

async function guestUnits(place: ContainerPlace, apps: readonly string[]): Promise<ContainerState['units']> {
  if (apps.length === 0) return [];
  const shown = await run(
    ['systemctl', '-M', place.name, 'show', ...apps, '--property=Id,ActiveState,SubState,NRestarts'],
    { timeoutMs: guestAnswerTimeoutMs },
  );
  const units = parseShow(shown.stdout).flatMap((unit) => {
    const name = /^(?:app-)?([a-z][a-z0-9-]{0,62})\.service$/.exec(unit['Id'] ?? '')?.[1];
    if (name === undefined) return [];
    const restarting = unit['SubState'] === 'auto-restart' || unit['ActiveState'] === 'activating';
    const state = unit['ActiveState'] === 'active' ? 'running' : restarting ? 'restarting' : 'stopped';
    return [{ name, state, restarts: count(unit['NRestarts']) } as const];
  });
  return units.slice(0, 16);
}
