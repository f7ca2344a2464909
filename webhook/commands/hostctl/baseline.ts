import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lastSuccess } from './backup.ts';
import { deviationsFrom } from './configuration-tree.ts';
import { currentOwner } from './harden.ts';
import type { Host } from './open-host.ts';
import { listFailedUnits } from './rebuild.ts';
import { readSoftening } from './softened-until.ts';

/** One promise about a host, and how it stands: `why` says what was seen, or the reason of the opt-out. */
export interface BaselineItem {
  readonly name: string;
  readonly state: 'held' | 'broken' | 'opted-out';
  readonly why: string;
}

type Check = (host: Host) => Promise<{ held: boolean; why: string }>;

/** The baseline, in the order in which it is shown. The names are those that `optOuts` may give a reason for. */
const checks: Readonly<Record<string, Check>> = {
  'ssh-password-refused': async (host) => {
    const sshd = await effectiveSshd(host);
    const on = ['passwordauthentication', 'kbdinteractiveauthentication'].filter((key) => sshd.get(key) !== 'no');
    return { held: on.length === 0, why: on.length === 0 ? 'sshd takes no password' : `sshd allows ${on.join(', ')}` };
  },
  'root-by-key-only': async (host) => {
    const root = (await effectiveSshd(host)).get('permitrootlogin') ?? 'unknown';
    return { held: ['prohibit-password', 'without-password', 'no'].includes(root), why: `PermitRootLogin ${root}` };
  },
  'open-ports': async (host) => {
    const open = await openTcpPorts(host);
    const extra = open.filter((port) => !host.settings.openTcpPorts.includes(port));
    return {
      held: extra.length === 0,
      why: extra.length === 0 ? `listening: ${open.join(', ')}` : `unexpected: ${extra.join(', ')}`,
    };
  },
  firewall: async (host) => unitActive(host, 'nftables.service'),
  fail2ban: async (host) => unitActive(host, 'fail2ban.service'),
  'kernel-settings': async (host) => {
    const other = Object.entries(host.settings.kernelSettings)
      .map(([name, wanted]) => ({ name, wanted, found: kernelSetting(host, name) }))
      .filter(({ wanted, found }) => found !== String(wanted))
      .map(({ name, wanted, found }) => `${name} is ${found}, not ${wanted}`);
    const count = Object.keys(host.settings.kernelSettings).length;
    return { held: other.length === 0, why: other.join('; ') || `${count} as configured` };
  },
  'sudo-wheel-only': async (host) => {
    const { sudo } = host.settings;
    if (!existsSync(sudo)) return { held: true, why: 'there is no sudo' };
    const byOthers = (statSync(sudo).mode & 0o001) !== 0;
    return { held: !byOthers, why: byOthers ? `every user may run ${sudo}` : `only its group may run ${sudo}` };
  },
  'nix-users-restricted': async (host) => {
    const shown = await host.runner.ask(['nix', 'config', 'show', 'allowed-users']);
    const users = shown.stdout.trim();
    return {
      held: shown.status === 0 && users !== '' && !users.split(/\s+/).includes('*'),
      why: `allowed-users: ${users || 'unknown'}`,
    };
  },
  'no-failed-units': async (host) => {
    const failed = await listFailedUnits(host);
    return { held: failed.length === 0, why: failed.join(', ') || 'none failed' };
  },
  'configuration-hardened': async (host) => {
    const softening = readSoftening(host.settings.stateDirectory);
    if (softening) return { held: false, why: `${softening.user} may edit it until ${softening.until.toISOString()}` };
    if (!existsSync(host.settings.checkout)) return { held: false, why: `${host.settings.checkout} is not there` };
    const count = deviationsFrom(currentOwner(), host.settings.checkout).length;
    return {
      held: count === 0,
      why: count === 0 ? 'written by root alone' : `${count} entries are open; run \`hostctl harden\``,
    };
  },
  'backup-recent': async (host) => {
    const { backup } = host.settings;
    if (!backup) return { held: false, why: 'no backup is configured' };
    const last = lastSuccess(backup);
    if (!last) return { held: false, why: 'there has been no backup yet' };
    const hours = (host.now.getTime() - last.getTime()) / 3_600_000;
    return { held: hours <= backup.staleAfterHours, why: `last success ${last.toISOString()}` };
  },
};

/** The names of all items, which the NixOS module takes opt-outs for. */
export const baselineItems: readonly string[] = Object.keys(checks);

/** Looks at every item; an item that was opted out of is not looked at, its reason is shown instead. */
export async function checkBaseline(host: Host): Promise<BaselineItem[]> {
  const items: BaselineItem[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const reason = host.settings.optOuts[name];
    if (reason !== undefined) {
      items.push({ name, state: 'opted-out', why: reason });
      continue;
    }
    // A probe that cannot run does not hide the others: what is not known to hold is reported as broken.
    const { held, why } = await check(host).catch((error: unknown) => ({
      held: false,
      why: error instanceof Error ? error.message : String(error),
    }));
    items.push({ name, state: held ? 'held' : 'broken', why });
  }
  return items;
}

/** What sshd would do, after all its files: lower-case keys as `sshd -T` prints them. */
async function effectiveSshd(host: Host): Promise<Map<string, string>> {
  const shown = await host.runner.ask(['sshd', '-T']);
  return new Map(
    shown.stdout.split('\n').map((line): [string, string] => {
      const space = line.indexOf(' ');
      return [line.slice(0, space), line.slice(space + 1).trim()];
    }),
  );
}

/** TCP ports that something listens on at an address other than loopback. */
async function openTcpPorts(host: Host): Promise<number[]> {
  const listed = await host.runner.ask(['ss', '-H', '-l', '-t', '-n']);
  const ports = listed.stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/)[3] ?? '')
    .filter((address) => address !== '' && !/^(127\.|\[::1\]|\[::ffff:127\.)/.test(address))
    .map((address) => Number(address.slice(address.lastIndexOf(':') + 1)));
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** What the running kernel has, as text; `missing` where it knows no such setting. */
function kernelSetting(host: Host, name: string): string {
  try {
    return readFileSync(join(host.settings.procSys, ...name.split('.')), 'utf8').trim();
  } catch {
    return 'missing';
  }
}

async function unitActive(host: Host, unit: string): Promise<{ held: boolean; why: string }> {
  const state = (await host.runner.ask(['systemctl', 'is-active', unit])).stdout.trim() || 'unknown';
  return { held: state === 'active', why: `${unit} is ${state}` };
}
