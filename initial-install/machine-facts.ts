import { z } from 'zod';

/** What a machine says about itself in the rescue system or in the installer. */
export interface MachineFacts {
  readonly system: string;
  readonly firmware: 'bios' | 'uefi';
  readonly disks: readonly DiskFacts[];
  readonly uplink: UplinkFacts | undefined;
  readonly memoryBytes: number;
}

export interface DiskFacts {
  /** The kernel's name, which changes from boot to boot. */
  readonly path: string;
  /** The names that stay, below /dev/disk/by-id; the best one first. */
  readonly stablePaths: readonly string[];
  readonly serial: string | null;
  readonly model: string | null;
  readonly sizeBytes: number;
}

export interface UplinkFacts {
  readonly interface: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly gateways: readonly string[];
}

/**
 * The questions, each a constant: nothing from a file or from the machine ever becomes part of a remote command, for
 * ssh hands it to a shell.
 */
export const questions = {
  machine: 'uname -m',
  firmware: 'if test -d /sys/firmware/efi; then echo uefi; else echo bios; fi',
  disks: 'lsblk --json --bytes --nodeps --output PATH,SERIAL,MODEL,SIZE,TYPE',
  stablePaths: "find /dev/disk/by-id -type l -printf '%p %l\\n'",
  memory: 'cat /proc/meminfo',
  links: 'ip -json address show',
  routes4: 'ip -json -4 route show default',
  routes6: 'ip -json -6 route show default',
} as const;

export type Answers = Record<keyof typeof questions, string>;

const lsblk = z.object({
  blockdevices: z.array(
    z.object({
      path: z.string().regex(/^\/dev\/[A-Za-z0-9/_-]+$/),
      serial: z.string().nullable(),
      model: z.string().nullable(),
      // util-linux before 2.33 prints numbers as strings.
      size: z.coerce.number(),
      type: z.string(),
    }),
  ),
});
const routes = z.array(z.object({ dev: z.string(), gateway: z.string().optional() }));
const links = z.array(
  z.object({
    ifname: z.string(),
    address: z.string().optional(),
    addr_info: z.array(z.object({ local: z.string(), prefixlen: z.int(), scope: z.string() })),
  }),
);

/** Reads the machine's answers. @throws ZodError when a program there answers in a shape that we do not know. */
export function factsFrom(answers: Answers): MachineFacts {
  const stable = stablePathsFrom(answers.stablePaths);
  const disks = lsblk
    .parse(JSON.parse(answers.disks))
    .blockdevices.filter(({ type }) => type === 'disk')
    .map(({ path, serial, model, size }) => ({
      path,
      serial: plain(serial),
      model: plain(model),
      sizeBytes: size,
      stablePaths: stable.get(path) ?? [],
    }));
  return {
    system: `${answers.machine.trim()}-linux`,
    firmware: answers.firmware.trim() === 'uefi' ? 'uefi' : 'bios',
    disks,
    uplink: uplinkFrom(answers),
    memoryBytes: Number(/^MemTotal:\s+(\d+) kB$/m.exec(answers.memory)?.[1] ?? 0) * 1024,
  };
}

/** A disk's own text without control characters: it is printed on a terminal and into a TOML file. */
function plain(text: string | null): string | null {
  return text?.replace(/\p{Cc}+/gu, ' ').trim() || null;
}

function stablePathsFrom(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [link, target] = line.trim().split(' ');
    if (!link || !target) continue;
    const path = `/dev/${target.replace(/^(\.\.\/)+/, '')}`;
    found.set(path, [...(found.get(path) ?? []), link]);
  }
  // A name with model and serial tells more than a number; `_1` is udev's second spelling of an NVMe namespace.
  const rank = (link: string) => (/\/(wwn-|nvme-eui\.|nvme-nvme\.)/.test(link) ? 2 : /_\d$/.test(link) ? 1 : 0);
  for (const list of found.values()) list.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  return found;
}

function uplinkFrom(answers: Answers): UplinkFacts | undefined {
  const [four, six] = [answers.routes4, answers.routes6].map(
    (text) => routes.parse(JSON.parse(text.trim() || '[]'))[0],
  );
  const name = (four ?? six)?.dev;
  const link = links.parse(JSON.parse(answers.links)).find(({ ifname }) => ifname === name);
  if (!name || !link?.address) return undefined;
  return {
    interface: name,
    mac: link.address,
    addresses: link.addr_info
      .filter(({ scope }) => scope === 'global')
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    gateways: [four?.gateway, six?.gateway].filter((gateway) => gateway !== undefined),
  };
}
