/**
 * The stack of a NixOS host as a stage, for a program that runs as root inside a test host: containers, hostd, Caddy, the host's PostgreSQL, nftables, Nix.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { get } from '../../scripts/demo/steady-load.ts';
import { host, startHostd } from '../host/inside/a-host-runtime.ts';
import { aGitServer } from '../support/a-git-server.ts';
import { startFakeGitHub } from '../support/fake-github.ts';
import { startOperatorProcess } from '../support/operator-process.ts';
import { stageDirectory, SWEEP_SECONDS, type FoundThing, type HostLook, type OpenStage } from './real-stage.ts';

const DOMAIN = 'preview.test';
const STATE = '/var/lib/berth';
const database = (user: string) => `postgresql:///berth?host=/run/postgresql&user=${user}`;

export const hostStage: OpenStage = async (stack, prepare) => {
  const directory = await stageDirectory(stack);
  const github = stack.use(await startFakeGitHub());
  const { repositories } = await prepare(github);
  const server = await aGitServer({ after: (end) => stack.defer(end) }, github.world.directory);
  if (server === null) throw new Error('git has no http-backend');
  startHostd();
  const webhookSecret = randomBytes(32).toString('hex');
  const operator = stack.adopt(
    await startOperatorProcess({
      directory,
      repositories,
      apiUrl: github.apiUrl,
      cloneBase: server.base,
      token: github.token,
      webhookSecret,
      gatewayPort: 0,
      drafts: false,
      databaseUrl: database('berth'),
      limits: { sweep_seconds: SWEEP_SECONDS },
      stateDirectory: STATE,
      sections: {
        gateway: { kind: 'caddy', domain: DOMAIN, public_port: 80 },
        runtime: { kind: 'nixos-container', guest: resolve(import.meta.dirname, '../host/guest') },
      },
      become: ['env', `HOME=${STATE}`, 'setpriv', '--reuid=berth', '--regid=berth', '--groups=berth,caddy', '--'],
    }),
    (each) => each.stop(),
  );
  github.deliverTo({ url: `${operator.webhookUrl}/webhook/github`, secret: webhookSecret });
  return {
    github,
    operator,
    look: () => Promise.resolve(lookAtHost()),
    databaseUrl: () => Promise.resolve(database('postgres')),
    askApp: (label) => get({ port: 80, host: `${label}.${DOMAIN}`, path: '/' }),
    killHostd: () => {
      host('systemctl', 'kill', '--signal=SIGKILL', 'berth-hostd');
      startHostd();
      return Promise.resolve();
    },
  };
};

/** Every place where a container, a route or an address leaves something, whoever made it. */
export function lookAtHost(): HostLook {
  const running = host('systemctl', 'list-units', '--state=active', '--plain', '--no-legend', 'container@*.service');
  return {
    running: new Map(named(running, /^container@(p\d+)\.service/gm).map((name) => [name, 1])),
    things: [...partsOfContainers(), ...elements(), ...routes()],
  };
}

function partsOfContainers(): FoundThing[] {
  const folders: Readonly<Record<string, RegExp>> = {
    '/var/lib/berth/instances': /^(p\d+)$/,
    '/etc/nixos-containers': /^(p\d+)\.conf$/,
    '/var/lib/nixos-containers': /^(?:\.#)?(p\d+)(?:\.lck)?$/,
    '/var/lib/berth-disks': /^(p\d+)\./,
    '/nix/var/nix/profiles/per-container': /^(p\d+)/,
    '/nix/var/nix/gcroots/per-container': /^(p\d+)/,
    '/run/systemd/system': /^container@(p\d+)\.service\.d$/,
    '/sys/class/net': /^ve-(p\d+)$/,
  };
  const entries = Object.entries(folders).flatMap(([folder, pattern]) =>
    entriesOf(folder).flatMap((entry) => thing(`entry of ${folder}`, 'instance', pattern.exec(entry)?.[1])),
  );
  const links = ['/nix/var/nix/gcroots/auto', '/var/log/journal'].flatMap((folder) =>
    entriesOf(folder).flatMap((entry) =>
      thing(`link in ${folder}`, 'instance', /\/(p\d+)(?:\/|$)/.exec(linkAt(join(folder, entry)))?.[1]),
    ),
  );
  const units = host('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'container@*.service');
  const machines = host('machinectl', 'list', '--no-legend');
  const mounts = host('findmnt', '--noheadings', '--list', '--output', 'SOURCE,TARGET');
  return [
    ...entries,
    ...links,
    ...named(units, /container@(p\d+)\.service/g).flatMap((name) => thing('unit', 'instance', name)),
    ...named(mounts, /nixos-containers\/(p\d+)$/gm).flatMap((name) => thing('mount', 'instance', name)),
    ...named(machines, /^(p\d+)\s/gm).flatMap((name) => thing('machine', 'instance', name)),
  ];
}

/** What the rules of the network name: containers that are admitted, and the one that answers at a preview's address. */
function elements(): FoundThing[] {
  const tenants = host('nft', 'list', 'table', 'inet', 'berth');
  const answers = host('nft', 'list', 'map', 'inet', 'berth_answers', 'answers');
  const addresses = new Set(lookups().map(([, file]) => file.split('~')[0]));
  const answered = [...answers.matchAll(/(10\.101\.[\d.]+) \. \d+ : (10\.100\.[\d.]+) \. \d+/g)];
  return [
    ...named(tenants, /"ve-(p\d+)"/g).flatMap((name) => thing('element of the rules', 'instance', name)),
    ...answered.flatMap(([, address = '', target = '']) => thing(`answer at ${address}`, 'instance', nameAt(target))),
    // An address that no host name leads to is nobody's.
    ...answered.flatMap(([, address = '']) =>
      addresses.has(address) ? [] : [{ what: 'answer without a host name', of: 'preview', name: address } as const],
    ),
  ];
}

function routes(): FoundThing[] {
  const files = entriesOf('/etc/caddy/previews').flatMap((file) =>
    thing('route file', 'preview', /^([^.]+)\.caddy(?:\.refused)?$/.exec(file)?.[1]),
  );
  const names = lookups().flatMap(([label]) => thing('host name', 'preview', label.replace(/^admin-/, '')));
  return [...files, ...names];
}

/** `<label>/<address>~<kind>` */
function lookups(): [string, string][] {
  const folder = '/etc/caddy/previews/hosts';
  return entriesOf(folder).flatMap((label) => {
    const found = entriesOf(join(folder, label));
    return found.length === 0 ? [[label, '']] : found.map((file): [string, string] => [label, file]);
  });
}

/** Slot N has the addresses 2 N and 2 N + 1 of the pool, the second one in the container. */
function nameAt(address: string): string {
  const [, , third = 0, fourth = 0] = address.split('.').map(Number);
  return `p${(third * 256 + fourth - 1) / 2}`;
}

const thing = (what: string, of: FoundThing['of'], name: string | undefined): FoundThing[] =>
  name === undefined ? [] : [{ what, of, name }];

const named = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1] ?? '');

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return basename(path);
  }
}
