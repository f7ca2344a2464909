/**
 * Keeps the elements and the table of ruleset.ts true: at hostd's start, with every container, and again whenever somebody has flushed the host's rules.
 * The kernel holds the facts; what is kept here is a copy that a flush is mended from.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { OperatorError } from '../core/errors.ts';
import type { Answers } from '../core/host-verbs.ts';
import { instanceNameOf, parseInstanceName, type InstanceName } from '../core/names.ts';
import { addressesOf, type AddressPool } from '../core/slots.ts';
import { openNftSession } from './nft-session.ts';
import { must, run } from './programs.ts';
import {
  admitScript,
  answersScript,
  forgetScript,
  lookScript,
  switchScript,
  type Answer,
  type Instance,
} from './ruleset.ts';
import { confDirectory, placeOf, type HostSettings } from './settings.ts';

/** How long a flush by somebody else may leave containers without rules. A look costs a millisecond, however many there are. */
const watchMs = 1_000;

export interface Network {
  /** The rules of a container, in place before its link is. */
  admit(name: InstanceName): Promise<null>;
  forget(name: InstanceName): Promise<null>;
  /** Containers that the rules in force name, whoever put them there. */
  admitted(): Promise<InstanceName[]>;
  switchAnswers(address: string, to: { name: InstanceName; ports: readonly number[] } | null): Promise<null>;
  answers(): Answers[];
  connections(name: InstanceName): Promise<number>;
  close(): void;
}

/** Puts rules and answers in force, with what containers and answers there are, and watches over them. */
export async function openNetwork(settings: HostSettings): Promise<Network> {
  const network = new NetworkInForce(settings);
  await network.open();
  return network;
}

class NetworkInForce implements Network {
  readonly #settings: HostSettings;
  readonly #instances = new Map<InstanceName, Instance>();
  readonly #answers = new Map<string, Answer[]>();
  readonly #session = openNftSession();
  #watch: NodeJS.Timeout | undefined;

  constructor(settings: HostSettings) {
    this.#settings = settings;
  }

  async open(): Promise<void> {
    const { previewPool } = this.#settings;
    for (const entry of await readdir(confDirectory).catch(() => [])) {
      const name = parseInstanceName(basename(entry, '.conf'));
      if (name !== null) this.#instances.set(name, placeOf(this.#settings, name));
    }
    for (const each of await answersInForce())
      this.#answers.set(each.address, [...(this.#answers.get(each.address) ?? []), each]);
    // Addresses of previews are the host's own, so that one which nobody answers refuses at once.
    await must(['ip', 'route', 'replace', 'local', previewPool.cidr, 'dev', 'lo']);
    await this.#restore();
    this.#watch = setInterval(() => {
      void this.#session
        .apply(lookScript)
        .then(async (yes) => (yes ? undefined : this.#restore()))
        .catch((error: unknown) => console.error(error));
    }, watchMs);
  }

  admit(name: InstanceName): Promise<null> {
    const place = placeOf(this.#settings, name);
    this.#instances.set(name, place);
    return this.#change(admitScript(place));
  }

  async forget(name: InstanceName): Promise<null> {
    const place = placeOf(this.#settings, name);
    for (const [address, targets] of this.#answers) {
      if (targets.some((each) => each.to.address === place.addresses.instance)) await this.#switchTo(address, []);
    }
    this.#instances.delete(name);
    return this.#change(forgetScript(place));
  }

  async admitted(): Promise<InstanceName[]> {
    const listed = await run(['nft', 'list', 'map', 'inet', 'berth', 'own_addresses']);
    const links = listed.stdout.matchAll(/"ve-([a-z0-9]+)"/g);
    return [...links].map((link) => parseInstanceName(link[1] ?? '')).filter((name) => name !== null);
  }

  async switchAnswers(address: string, to: { name: InstanceName; ports: readonly number[] } | null): Promise<null> {
    requireIn(this.#settings.previewPool, address);
    const target = to === null ? '' : placeOf(this.#settings, to.name).addresses.instance;
    return this.#switchTo(
      address,
      (to?.ports ?? []).map((port) => ({ address, port, to: { address: target, port } })),
    );
  }

  answers(): Answers[] {
    return [...this.#answers].map(([address, targets]) => ({
      address,
      name: instanceAt(this.#settings, targets[0]?.to.address ?? ''),
      ports: targets.map((each) => each.port),
    }));
  }

  connections(name: InstanceName): Promise<number> {
    return countConnections(this.#settings, placeOf(this.#settings, name).addresses.instance);
  }

  close(): void {
    clearInterval(this.#watch);
    this.#session.close();
  }

  #switchTo(address: string, after: Answer[]): Promise<null> {
    const before = this.#answers.get(address) ?? [];
    if (after.length === 0) this.#answers.delete(address);
    else this.#answers.set(address, after);
    return this.#change(switchScript(before, after));
  }

  /** An element that cannot be changed means that somebody has removed our tables: then all of them is put back, with the change. */
  async #change(script: string): Promise<null> {
    if (!(await this.#session.apply(script))) await this.#restore();
    return null;
  }

  async #restore(): Promise<void> {
    const { rules, previewPool } = this.#settings;
    // The host's own file: it keeps elements that are there, and may be loaded at any time.
    await must(['nft', '--file', rules]);
    await nft([...this.#instances.values()].map(admitScript).join(''));
    await nft(answersScript(previewPool.cidr, [...this.#answers.values()].flat()));
  }
}

async function nft(script: string): Promise<void> {
  await must(['nft', '--file', '-'], { input: script });
}

const concatenated = z.object({ concat: z.tuple([z.string(), z.number()]) });
const mapAnswer = z.object({
  nftables: z.array(
    z.object({ map: z.object({ elem: z.array(z.tuple([concatenated, concatenated])).optional() }).optional() }),
  ),
});

/** What the kernel has, from before hostd's start; nothing when there is no table yet. */
async function answersInForce(): Promise<Answer[]> {
  const listed = await run(['nft', '--json', 'list', 'map', 'inet', 'berth_answers', 'answers']);
  if (listed.status !== 0) return [];
  const parsed = mapAnswer.parse(JSON.parse(listed.stdout));
  return parsed.nftables.flatMap(({ map }) =>
    (map?.elem ?? []).map(([from, to]) => ({
      address: from.concat[0],
      port: from.concat[1],
      to: { address: to.concat[0], port: to.concat[1] },
    })),
  );
}

const octets = (address: string): number => address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);

function isIn({ base, slotMax }: AddressPool, address: string): boolean {
  const offset = octets(address) - base;
  return offset >= 1 && offset <= 2 * slotMax + 1;
}

function requireIn(pool: AddressPool, address: string): void {
  if (!isIn(pool, address)) throw new OperatorError('BAD_REQUEST', `address: ${address} is outside of ${pool.cidr}`);
}

/** The reverse of addressesOf, for addresses that we put into the map ourselves. */
function instanceAt(settings: HostSettings, address: string): InstanceName {
  const slot = (octets(address) - settings.pool.base - 1) / 2;
  if (addressesOf(settings.pool, slot).instance !== address) throw new Error(`${address} is no instance's address`);
  return instanceNameOf(slot);
}

/** A kernel without this file (CONFIG_NF_CONNTRACK_PROCFS) leaves a replaced instance running until its drain limit. */
const connectionTable = '/proc/net/nf_conntrack';

/** Open TCP connections to preview addresses that this instance answers. The kernel translated each at its first packet. */
async function countConnections(settings: HostSettings, instance: string): Promise<number> {
  const text = await readFile(connectionTable, 'utf8').catch(() => null);
  if (text === null) return 1;
  return text.split('\n').filter((line) => {
    // … ESTABLISHED src=<Caddy> dst=<preview> sport=… dport=… src=<instance> dst=<Caddy> …
    const asked = / ESTABLISHED src=\S+ dst=(\S+) .* src=(\S+) /.exec(line);
    return asked !== null && asked[2] === instance && isIn(settings.previewPool, asked[1] ?? '');
  }).length;
}
