/**
 * Every outside name of a preview, from its key. All are made here, by construction within the limits of where they go (a DNS
 * label, a PostgreSQL identifier, an interface name), so that no text from a pull request ever becomes part of one unchecked.
 */
import { createHash } from 'node:crypto';
import { keyText, shortNameOf, type PreviewKey, type RepositoryName } from './pull-request.ts';

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** The preview's own DNS label; also a safe file name and, with `-` as `_`, a safe part of a PostgreSQL identifier. */
export type Slug = Branded<string, 'Slug'>;
/** A DNS label that some preview answers to: its slug, or `<prefix>-<slug>` for an extra host. */
export type HostLabel = Branded<string, 'HostLabel'>;
/** `p142`: container, directory and unit name of an instance. At most 11 characters (nixos-container's limit). */
export type InstanceName = Branded<string, 'InstanceName'>;
/** Name of a preview's database and of its role. At most 63 bytes (PostgreSQL's limit). */
export type DatabaseName = Branded<string, 'DatabaseName'>;
/** Name of a template database and of the role that its seed was loaded as. Likewise. */
export type TemplateName = Branded<string, 'TemplateName'>;

/**
 * Lengths add up to a DNS label (RFC 1035: 63): an extra host is `<prefix>-<slug>`, a prefix has at most 20 characters, so a slug
 * has at most 42: 24 of the repository or branch, a hyphen, 10 digits of a pull request number, a hyphen, 5 of a hash = 41.
 */
const SLUG_LENGTH_MAX = 42;
const REPOSITORY_PART_MAX = 24;
const HASH_LENGTH = 5;

/** Labels that are, or may become, ours on the same domain. */
export const RESERVED_LABELS: ReadonlySet<string> = new Set([
  'admin',
  'api',
  'berth',
  'dashboard',
  'localhost',
  'mail',
  'ns1',
  'ns2',
  'status',
  'webhook',
  'www',
]);

const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** Null when the text cannot be a slug. Used on what people type; never repairs it. */
export function parseSlug(text: string): Slug | null {
  const fits = text.length <= SLUG_LENGTH_MAX && LABEL.test(text) && !text.includes('--') && !RESERVED_LABELS.has(text);
  return fits ? (text as Slug) : null;
}

function labelPart(text: string, lengthMax: number): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, lengthMax)
    .replace(/^-+|-+$/g, '');
}

/** Crockford's base32, lower case: no letter that looks like another. */
const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz';

function hashPart(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  return Array.from(digest.subarray(0, HASH_LENGTH), (byte) => BASE32[byte & 31]).join('');
}

/**
 * The names to try for a preview, best first: `<repo>-<pr>`, then the same with a hash of the key (25 bits), then with hashes of
 * key and attempt. The store takes the first that is free and keeps it for the preview's whole life.
 */
export function slugCandidates(repository: RepositoryName, key: PreviewKey): Slug[] {
  const plain = plainNameOf(repository, key);
  const hashed = Array.from({ length: 8 }, (_, attempt) => `${plain}-${hashPart(`${keyText(key)}#${attempt}`)}`);
  return [plain, ...hashed].map(parseSlug).filter((slug) => slug !== null);
}

/** The first of slugCandidates, without the cost of the others. */
export function firstSlugCandidate(repository: RepositoryName, key: PreviewKey): Slug | undefined {
  return parseSlug(plainNameOf(repository, key)) ?? slugCandidates(repository, key)[0];
}

function plainNameOf(repository: RepositoryName, { subject }: PreviewKey): string {
  const repo = labelPart(shortNameOf(repository), REPOSITORY_PART_MAX) || 'app';
  return subject.kind === 'pull'
    ? `${repo}-${subject.number}`
    : labelPart(`${repo.slice(0, 14)}-${subject.name}`, REPOSITORY_PART_MAX + 11);
}

/** The label of an extra host. The prefix has passed the manifest's schema. */
export function extraHostLabel(prefix: string, slug: Slug): HostLabel {
  return `${prefix}-${slug}` as HostLabel;
}

export function hostLabelOf(slug: Slug): HostLabel {
  return slug as string as HostLabel;
}

/** Database and role of a preview. Injective, because a slug has no underscore. */
export function databaseNameOf(slug: Slug): DatabaseName {
  return `preview_${slug.replaceAll('-', '_')}` as DatabaseName;
}

/** The slug that the database was named after. */
export function slugOfDatabase(name: DatabaseName): Slug {
  return name.slice('preview_'.length).replaceAll('_', '-') as Slug;
}

/** Null when the text is not a name that databaseNameOf makes. Used to recognise our own databases among others. */
export function parseDatabaseName(text: string): DatabaseName | null {
  return /^preview_[a-z0-9]+(?:_[a-z0-9]+)*$/.test(text) && text.length <= 63 ? (text as DatabaseName) : null;
}

/**
 * Template of a seed, by the SHA-256 of its text in hexadecimal. The repository stands in it, so that none gets what another's code has made;
 * 128 bits of the hash are enough, for who could find two texts with the same half may write both into the repository.
 */
export function templateNameOf(repositoryId: number, seedHash: string): TemplateName {
  return `berth_seed_${repositoryId}_${seedHash.slice(0, 32)}` as TemplateName;
}

/** Null when the text is not a name that templateNameOf makes. */
export function parseTemplateName(text: string): TemplateName | null {
  return /^berth_seed_[1-9][0-9]{0,15}_[0-9a-f]{32}$/.test(text) ? (text as TemplateName) : null;
}

/** The instance name of a preview's slot. */
export function instanceNameOf(slot: number): InstanceName {
  return `p${slot}` as InstanceName;
}

/** Null when the text is not a name that instanceNameOf makes. The widest pool (10.0.0.0/8) has slots of seven digits. */
export function parseInstanceName(text: string): InstanceName | null {
  return /^p[1-9][0-9]{0,6}$/.test(text) ? (text as InstanceName) : null;
}

export function slotOf(name: InstanceName): number {
  return Number(name.slice(1));
}
