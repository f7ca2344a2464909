/**
 * nftables scripts, as pure text. The rules that hold containers in are the host's (server-config/modules/firewall/tenants.nft) and are not
 * repeated here: a container is admitted to them by two elements, before its link is up, and reaches nothing without. What answers at a preview's
 * address is a table of our own. Each script is one transaction.
 */
import type { SlotAddresses } from '../core/slots.ts';

const tenants = 'inet berth';
const answersTable = 'inet berth_answers';

export interface Instance {
  readonly link: string;
  readonly addresses: SlotAddresses;
}

export interface Answer {
  readonly address: string;
  readonly port: number;
  readonly to: { readonly address: string; readonly port: number };
}

const own = ({ link, addresses }: Instance): string => `"${link}" . ${addresses.instance}`;
const gateway = ({ link, addresses }: Instance): string => `"${link}" . ${addresses.host}`;
const answer = (each: Answer): string => `${each.address} . ${each.port} : ${each.to.address} . ${each.to.port}`;

/** Adding what is there already is no error. */
export function admitScript(instance: Instance): string {
  return [
    `add element ${tenants} own_addresses { ${own(instance)} : accept }`,
    `add element ${tenants} own_gateway { ${gateway(instance)} }`,
    '',
  ].join('\n');
}

/** The reverse. Each element is added first, because deleting what is not there is an error. */
export function forgetScript(instance: Instance): string {
  return [
    admitScript(instance),
    `delete element ${tenants} own_gateway { ${gateway(instance)} }`,
    `delete element ${tenants} own_addresses { ${own(instance)} }`,
    '',
  ].join('\n');
}

/** Addresses of no network (RFC 5737). */
const nobody: Instance = { link: 've-nobody', addresses: { host: '192.0.2.1', instance: '192.0.2.2' } };
const noAnswer: Answer = { address: '192.0.2.1', port: 1, to: { address: '192.0.2.2', port: 1 } };

/**
 * Changes nothing, and fails when a table or one of its maps is not there. It adds and deletes, and lists nothing, because a list of whatever kind has
 * nft read every element first: 38 ms with 5,000 previews, in which no switch gets its turn.
 */
export const lookScript = [
  forgetScript(nobody),
  `add element ${answersTable} answers { ${answer(noAnswer)} }`,
  `delete element ${answersTable} answers { ${noAnswer.address} . ${noAnswer.port} }`,
  '',
].join('\n');

/**
 * The whole table of answers, in place of what there is of it. Only the host itself asks at a preview's address (its Caddy does), so only its
 * output is translated. The kernel translates a connection at its first packet: one in flight stays with the instance it began with.
 */
export function answersScript(previewPool: string, answers: readonly Answer[]): string {
  return `
table ${answersTable} {}
delete table ${answersTable}
table ${answersTable} {
  map answers {
    type ipv4_addr . inet_service : ipv4_addr . inet_service
    ${answers.length === 0 ? '' : `elements = { ${answers.map(answer).join(', ')} }`}
  }
  chain asked {
    type nat hook output priority -100; policy accept;
    ip daddr ${previewPool} dnat ip to ip daddr . tcp dport map @answers
  }
}
`;
}

/** Replaces what answers at an address: every new connection meets the old instance or the new one, never neither. */
export function switchScript(before: readonly Answer[], after: readonly Answer[]): string {
  return [
    ...before.map((each) => `delete element ${answersTable} answers { ${each.address} . ${each.port} }`),
    ...after.map((each) => `add element ${answersTable} answers { ${answer(each)} }`),
    '',
  ].join('\n');
}
