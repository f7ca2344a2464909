/** Where the services of an instance listen: an address of its slot, and ports that no other slot has. */
import type { AppManifest } from '../../../core/app-manifest.ts';
import { PROCESS_FIRST_PORT, PROCESS_PORTS_PER_SLOT } from '../../../core/limits.ts';
import type { Upstreams } from '../../../core/preview.ts';
import { addressesOf, type AddressPool, type SlotAddresses } from '../../../core/slots.ts';
import type { InstanceSpec } from '../../../ports.ts';

/** Every 127.x address answers without any set-up on Linux; elsewhere only the first does, and ports alone tell instances apart. */
export function localAddressesOf(pool: AddressPool, slot: number): SlotAddresses {
  const addresses = addressesOf(pool, slot);
  const hasAll = process.platform === 'linux' || !pool.cidr.startsWith('127.');
  return hasAll ? addresses : { host: '127.0.0.1', instance: '127.0.0.1' };
}

/** The n-th service with a port gets the n-th port of the slot: no two services on the machine share one, whatever address they bind. */
function portOf(slot: number, manifest: AppManifest, service: string): number | null {
  const index = manifest.services.filter((each) => each.port !== undefined).findIndex((each) => each.name === service);
  return index === -1 ? null : PROCESS_FIRST_PORT + slot * PROCESS_PORTS_PER_SLOT + index;
}

/** PORT and HOST of a service; nothing for a worker. */
export function placeOf({ slot, manifest, addresses }: InstanceSpec, service: string): Record<string, string> {
  const port = portOf(slot, manifest, service);
  return port === null ? {} : { PORT: String(port), HOST: addresses.instance };
}

export function upstreamsOf(pool: AddressPool, { slot, manifest }: Pick<InstanceSpec, 'slot' | 'manifest'>): Upstreams {
  const address = localAddressesOf(pool, slot).instance;
  const entries = manifest.services.flatMap(({ name, port }) => {
    const own = portOf(slot, manifest, name);
    return port === undefined || own === null ? [] : [[String(port), { address, port: own }] as const];
  });
  return Object.fromEntries(entries);
}
