/** The previews that the benchmark fills Caddy with, by their number, from 1, and the ranges that their addresses come from. */
import { parseSlug, type Slug } from '../../../webhook/core/names.ts';
import { addressesOf, parsePool, type AddressPool } from '../../../webhook/core/slots.ts';

export const domain = 'preview.test';
export const pool = poolOf('10.100.0.0/16');
export const previewPool = poolOf('10.101.0.0/16');

export function slugOf(preview: number): Slug {
  const slug = parseSlug(`shop-${preview}`);
  if (slug === null) throw new Error(`preview ${preview} has no slug`);
  return slug;
}

export const hostNameOf = (preview: number): string => `${slugOf(preview)}.${domain}`;

/** Where the instance of a slot answers. */
export const instanceAddress = (slot: number): string => addressesOf(pool, slot).instance;

function poolOf(cidr: string): AddressPool {
  const found = parsePool(cidr);
  if (found === null) throw new Error(`${cidr} is no pool`);
  return found;
}
