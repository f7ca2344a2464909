/**
 * Slots: one counter per host, for previews and agents alike. Slot N owns two addresses of the pool, `.2N` for the host's side and
 * `.2N+1` for the container's, carried over octets: slot 128 of 10.100.0.0/16 has 10.100.1.0 and 10.100.1.1. A number is not used
 * again until the counter wraps at the end of the pool; then numbers in use are skipped.
 */
import { OperatorError } from './errors.ts';

/** An IPv4 network in CIDR form, parsed. */
export interface AddressPool {
  readonly cidr: string;
  /** The network address as an unsigned 32-bit number. */
  readonly base: number;
  /** The highest slot: both of its addresses lie inside, and the broadcast address belongs to none. */
  readonly slotMax: number;
}

export interface SlotAddresses {
  readonly host: string;
  readonly instance: string;
}

/** Null unless the text is `a.b.c.d/n` with 8 ≤ n ≤ 29 and no bit set below the prefix. */
export function parsePool(cidr: string): AddressPool | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  if (match === null) return null;
  const [a = 0, b = 0, c = 0, d = 0, prefix = 0] = match.slice(1).map(Number);
  if ([a, b, c, d].some((octet) => octet > 255) || prefix < 8 || prefix > 29) return null;
  const base = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const size = 2 ** (32 - prefix);
  if (base % size !== 0) return null;
  return { cidr, base, slotMax: size / 2 - 2 };
}

function addressText(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** The two addresses of a slot. Throws a RangeError for a slot outside of the pool: that is a defect, not an input. */
export function addressesOf(pool: AddressPool, slot: number): SlotAddresses {
  if (!Number.isInteger(slot) || slot < 1 || slot > pool.slotMax)
    throw new RangeError(`slot ${slot} is outside of ${pool.cidr}`);
  return { host: addressText(pool.base + 2 * slot), instance: addressText(pool.base + 2 * slot + 1) };
}

/** Whether two networks share an address. */
export function poolsOverlap(a: AddressPool, b: AddressPool): boolean {
  const end = (pool: AddressPool) => pool.base + 2 * (pool.slotMax + 2) - 1;
  return a.base <= end(b) && b.base <= end(a);
}

/**
 * The slot that the counter gives next, and where it stands afterwards.
 * Throws SLOTS_EXHAUSTED when every slot is in use; then nothing has changed.
 */
export function nextSlot(
  pool: AddressPool,
  counter: number,
  inUse: ReadonlySet<number>,
): { slot: number; counter: number } {
  for (let step = 0; step < pool.slotMax; step += 1) {
    const slot = ((counter - 1 + step) % pool.slotMax) + 1;
    if (!inUse.has(slot)) return { slot, counter: (slot % pool.slotMax) + 1 };
  }
  throw new OperatorError('SLOTS_EXHAUSTED', `All ${pool.slotMax} slots of ${pool.cidr} are in use.`);
}
