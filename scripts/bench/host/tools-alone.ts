/**
 * What the tools and the app take of a life by themselves, asked by nobody but this file: the same closure, environment and files as an instance of the
 * operator's has, in containers of our own. Where the operator does more than a tool needs, or asks it in a dearer way, that counts as ours.
 */
import { appendFile, chown, mkdir, readFile, realpath, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { adaptCaddyfile } from '../../../webhook/hostd/caddy.ts';
import { limitsFromConf, nspawnFlags, unitSettings } from '../../../webhook/hostd/definition.ts';
import type { NftSession } from '../../../webhook/hostd/nft-session.ts';
import { must, mustPipe, run } from '../../../webhook/hostd/programs.ts';
import { admitScript, forgetScript } from '../../../webhook/hostd/ruleset.ts';
import { placeOf, type ContainerPlace, type HostSettings } from '../../../webhook/hostd/settings.ts';
import type { ContainerLimits } from '../../../webhook/core/host-verbs.ts';
import { instanceNameOf, type InstanceName } from '../../../webhook/core/names.ts';
import type { Timed } from '../parts/steps.ts';

const appPort = 3000;
/** `preview` in the guest. */
const appUid = 1000;

/** A container like the one of an instance that the operator has made. */
export interface AloneContainer {
  /** nixos-container create beside mkfs.ext4 and mount. */
  create(): Promise<void>;
  /** From there to the app's first good answer. */
  open(timed: Timed): Promise<void>;
  stop(): Promise<void>;
  /** From stopped to the app's first good answer. */
  startAgain(timed: Timed): Promise<void>;
  remove(): Promise<void>;
}

export function containerAlone(
  { settings, nft }: { settings: HostSettings; nft: NftSession },
  slot: number,
  original: InstanceName,
): AloneContainer {
  const like = placeOf(settings, original);
  const place = placeOf(settings, instanceNameOf(slot));
  const { name, unit } = place;
  const services = async (timed: Timed): Promise<void> => {
    await timed('the app’s start by the guest’s systemd', () =>
      must(['systemctl', '-M', name, 'start', 'preview.target']),
    );
    await timed('the app’s boot', () => answers(place.addresses.instance));
  };
  const start = (timed: Timed) => timed('the container’s boot', () => must(['nixos-container', 'start', name]));
  return {
    create: async () => {
      const system = await realpath(join(like.profile, 'system'));
      const { diskMiB } = await limitsOf(like);
      await Promise.all([create(place, system), disk(place, diskMiB)]);
    },
    open: async (timed) => {
      const limits = await limitsOf(like);
      await timed('tar', () => fill(place, like));
      // The same walls and limits, which systemd and nspawn put up.
      await mkdir(place.dropIn, { recursive: true });
      await writeFile(join(place.dropIn, 'berth.conf'), unitSettings(place, limits));
      await appendFile(place.conf, `EXTRA_NSPAWN_FLAGS="${nspawnFlags(place).join(' ')}"\n`);
      await nft.apply(admitScript(place));
      await start(timed);
      await timed('the app’s setup', () => must(['systemctl', '-M', name, 'start', 'setup-preview.service']));
      await services(timed);
    },
    stop: async () => {
      await must(['systemctl', 'stop', unit]);
    },
    startAgain: async (timed) => {
      await start(timed);
      await services(timed);
    },
    remove: async () => {
      await must(['systemctl', 'stop', unit]);
      await must(['umount', place.root]);
      await rm(place.disk);
      await rm(place.dropIn, { recursive: true });
      await must(['nixos-container', 'destroy', name]);
      await nft.apply(forgetScript(place));
    },
  };
}

async function limitsOf({ conf, name }: ContainerPlace): Promise<ContainerLimits> {
  const limits = limitsFromConf(await readFile(conf, 'utf8'));
  if (limits === null) throw new Error(`${name} has no limits`);
  return limits;
}

function create({ name, addresses }: ContainerPlace, system: string): Promise<string> {
  const words = [
    `--system-path=${system}`,
    `--host-address=${addresses.host}`,
    `--local-address=${addresses.instance}`,
  ];
  return must(['nixos-container', 'create', name, ...words]);
}

async function disk({ disk, root }: ContainerPlace, sizeMiB: number): Promise<void> {
  await writeFile(disk, '', { mode: 0o600 });
  await truncate(disk, sizeMiB * 1024 * 1024);
  const quick = 'nodiscard,lazy_itable_init=1,lazy_journal_init=1';
  await must(['mkfs.ext4', '-q', '-F', '-b', '4096', '-i', '8192', '-m', '0', '-E', quick, disk]);
  await mkdir(root, { recursive: true });
  await must(['mount', '-o', 'loop,nosuid,nodev,noinit_itable,discard', disk, root]);
}

async function fill(place: ContainerPlace, like: ContainerPlace): Promise<void> {
  const home = join(place.root, 'home/preview');
  await mkdir(join(place.root, 'etc'), { recursive: true });
  await mkdir(home, { recursive: true });
  const environment = await readFile(join(like.root, 'etc/preview.env'), 'utf8');
  const own = environment.replaceAll(like.addresses.host, place.addresses.host);
  await writeFile(join(place.root, 'etc/preview.env'), own, { mode: 0o600 });
  const uid = place.uid + appUid;
  await chown(home, uid, uid);
  await mustPipe(
    { argv: ['tar', '--create', '--file=-', 'source', 'repository.git'], cwd: like.staged },
    { argv: ['tar', '--extract', '--file=-', '--preserve-permissions'], cwd: home, uid, gid: uid },
  );
  await rename(join(home, 'source'), join(home, 'app'));
}

async function answers(address: string): Promise<void> {
  const isGood = () =>
    new Promise<boolean>((done) => {
      get({ host: address, port: appPort, agent: false }, (response) => {
        response.resume();
        done(response.statusCode === 200);
      }).once('error', () => done(false));
    });
  while (!(await isGood())) await delay(1);
}

/** Caddy's reading of a preview's route, in the site as it is. */
export async function caddyAlone(settings: HostSettings, routeFile: string, timed: Timed): Promise<void> {
  const site = await readFile(join(dirname(routeFile), 'previews.site'), 'utf8');
  const own = await readFile(routeFile, 'utf8');
  const text = `{\nauto_https off\n}\n(cloudflare_tls) {\n}\n${own}\nhttp://*.preview.test {\n${site}\n}\n`;
  const read = await timed('Caddy’s adapt', () => adaptCaddyfile(settings, text));
  if ('refused' in read) throw new Error(read.refused);
}

/** Any command line of Node.js, as the operator's user. */
export async function nodeAlone(timed: Timed): Promise<void> {
  await timed('the command’s start: Node.js', () =>
    run(['/usr/sbin/runuser', '-u', 'berth', '--', '/usr/local/bin/node', '-e', '0']),
  );
}
