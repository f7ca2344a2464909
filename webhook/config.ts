/**
 * berth.toml, environment and credential files become one frozen Config, in our words and our units. Whoever starts gets all problems
 * at once, each with file, line, key and the way out, and nothing is started.
 */
import { networkInterfaces } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import {
  basicAuthFindings,
  clockFindings,
  databaseFindings,
  gatewayFindings,
  githubFindings,
  listenerFindings,
  poolFindings,
  poolOf,
  webFindings,
  webhookSecretFindings,
  wholePool,
  type Finding,
  type HostNetwork,
} from './config/checks.ts';
import { findSecrets, type FoundSecret, type SecretName } from './config/credentials.ts';
import { keyOf, readTomlDocument, type Problem, type TomlDocument } from './config/document.ts';
import { readRepositorySecrets, type RepositorySecretValues, type SecretGrant } from './config/repository-secrets.ts';
import { configSchema, sectionKeys, type ConfigFile } from './config/schema.ts';
import { OperatorError } from './core/errors.ts';
import { nearestWord } from './core/nearest-word.ts';
import type { BasicAuthEntry, Policy } from './core/policy.ts';
import type { Secret } from './core/secret.ts';
import type { AddressPool } from './core/slots.ts';

export { configHelp } from './config/explain.ts';

export interface Config {
  /** The file that it was read from, as an absolute path. */
  readonly file: string;
  readonly policy: Policy;
  readonly github: {
    readonly apiUrl: string;
    readonly cloneUrl: string;
    readonly webhookSecret: Secret;
    /** Accepted too, while the secret is being changed. */
    readonly webhookSecretPrevious: Secret | null;
    readonly identity: GithubIdentity;
  };
  readonly server: { readonly host: string; readonly port: number };
  readonly gateway: {
    readonly kind: 'builtin' | 'caddy';
    readonly host: string;
    readonly port: number;
    readonly domain: string;
    readonly scheme: 'http' | 'https';
    /** The port in URLs; null means the one that the gateway listens on. */
    readonly publicPort: number | null;
    /** For Caddy: where it imports routes from, and the addresses of previews. */
    readonly caddyDirectory: string;
    readonly pool: AddressPool;
  };
  /** Absolute directory; without a URL the embedded PostgreSQL is used. */
  readonly state: { readonly directory: string; readonly databaseUrl: Secret | null };
  readonly runtime: {
    readonly kind: 'process' | 'nixos-container';
    readonly pool: AddressPool;
    readonly sandbox: 'auto' | 'required' | 'off';
    readonly hostdSocket: string;
    /** Null means server-config/guest of this version. */
    readonly guest: string | null;
  };
  /** Absolute path of the operators' unix socket. */
  readonly operator: { readonly socket: string };
  readonly limits: { readonly concurrency: number; readonly sweepIntervalMs: number };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
  /** Where programs (git, bubblewrap, node) are looked for: PATH. */
  readonly path: string;
  /** Whose previews ask for a password. */
  readonly basicAuth: readonly BasicAuthEntry[];
  readonly repositorySecrets: { readonly grants: readonly SecretGrant[]; readonly values: RepositorySecretValues };
}

/** What the web process knows where it is one of its own: no identity at GitHub, and a database of somebody else's. */
export type WebConfig = Pick<Config, 'file' | 'policy' | 'server' | 'log'> & {
  readonly github: Pick<Config['github'], 'webhookSecret' | 'webhookSecretPrevious'>;
  readonly state: { readonly databaseUrl: Secret };
};

export type GithubIdentity =
  | { readonly kind: 'token'; readonly token: Secret }
  | { readonly kind: 'app'; readonly appId: number; readonly installationId: number; readonly privateKey: Secret };

interface LoadOptions {
  /** Default: $BERTH_CONFIG, or berth.toml in the working directory. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The networks that this host is part of; asked of the system where not given. */
  readonly networks?: readonly HostNetwork[];
  /** Now, where not given. */
  readonly now?: Date;
}

/** A unix socket's path has 108 bytes on Linux and 104 on macOS, with the NUL at its end (unix(7), sys/un.h). */
const SOCKET_PATH_MAX_BYTES = 103;

/** What was found, before it is known to be right. */
function read(options: LoadOptions) {
  const env = options.env ?? process.env;
  const shownFile = options.file ?? env['BERTH_CONFIG'] ?? 'berth.toml';
  const file = resolve(shownFile);
  const document = readTomlDocument(file, 'Copy berth.example.toml to it and adapt the copy.');
  const { value } = document;
  if (value === null) throw invalid(shownFile, document.problems);

  const around = { env, directory: dirname(file), document: { ...document, value } };
  return {
    shownFile,
    file,
    around,
    secrets: findSecrets(around),
    parsed: configSchema.safeParse(value, { reportInput: true }),
    surroundings: clockFindings(options.now ?? new Date()),
  };
}

/** Reads and checks everything. Throws CONFIG_INVALID with all problems, one per line; then nothing was started. */
export function loadConfig(options: LoadOptions = {}): Config {
  const { shownFile, file, around, secrets, parsed, surroundings } = read(options);
  const { document, env } = around;
  const sections = parseSections(document.value);
  const findings = [
    ...surroundings,
    ...githubFindings(document.value['github'], secrets),
    ...databaseFindings(secrets),
    ...combinationFindings(sections, options.networks ?? hostNetworks()),
  ];
  const appSecrets =
    sections.secrets === undefined || sections.grants === undefined
      ? null
      : readRepositorySecrets(around, { secrets: sections.secrets, grants: sections.grants }, secrets.found.values());
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => problemsOf(issue, document))),
    ...secrets.problems,
    ...findings.map((finding) => located(finding, document)),
    ...(appSecrets?.problems ?? []),
  ];
  if (parsed.success && appSecrets !== null && problems.length === 0) {
    const config = configFrom(file, parsed.data, {
      found: secrets.found,
      values: appSecrets.values,
      path: env['PATH'] ?? '',
    });
    const tooLong = Buffer.byteLength(config.operator.socket) > SOCKET_PATH_MAX_BYTES;
    if (!tooLong) return deepFrozen(config);
    const message = `(${config.operator.socket}) is longer than the ${SOCKET_PATH_MAX_BYTES} bytes that a unix socket may have. Name a shorter path.`;
    problems.push(located({ key: 'operator.socket', message }, document));
  }
  throw invalid(shownFile, problems);
}

/** The part of it that the web process needs. Throws CONFIG_INVALID as loadConfig does, also for a secret that this process must not have. */
export function loadWebConfig(options: LoadOptions = {}): WebConfig {
  const { shownFile, file, around, secrets, parsed, surroundings } = read(options);
  const findings = [
    ...surroundings,
    ...webhookSecretFindings(secrets),
    ...databaseFindings(secrets),
    ...webFindings(secrets),
  ];
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => problemsOf(issue, around.document))),
    ...secrets.problems,
    ...findings.map((finding) => located(finding, around.document)),
  ];
  if (!parsed.success || problems.length > 0) throw invalid(shownFile, problems);
  const secret = (name: SecretName) => secrets.found.get(name)?.secret ?? null;
  return deepFrozen({
    file,
    policy: policyFrom(parsed.data),
    github: {
      webhookSecret: required(secret('github-webhook-secret')),
      webhookSecretPrevious: secret('github-webhook-secret-previous'),
    },
    server: parsed.data.server,
    state: { databaseUrl: required(secret('database-url')) },
    log: parsed.data.log,
  });
}

/** Each section on its own, so that a mistake in one does not hide those of the others. */
function parseSections(value: Readonly<Record<string, unknown>>): Partial<ConfigFile> {
  const entries = Object.entries(configSchema.shape).flatMap(([name, schema]) => {
    const parsed = (schema as z.ZodType).safeParse(value[name]);
    return parsed.success ? [[name, parsed.data]] : [];
  });
  return Object.fromEntries(entries) as Partial<ConfigFile>;
}

function combinationFindings(sections: Partial<ConfigFile>, networks: readonly HostNetwork[]): Finding[] {
  const { server, gateway, runtime, basic_auth: basicAuth } = sections;
  if (server === undefined || gateway === undefined) return [];
  return [
    ...listenerFindings(server, gateway),
    ...(runtime === undefined ? [] : poolFindings({ runtime, server, gateway }, networks)),
    ...(runtime === undefined ? [] : gatewayFindings({ runtime, server, gateway }, networks)),
    ...(basicAuth === undefined ? [] : basicAuthFindings(gateway, basicAuth)),
  ];
}

function configFrom(
  file: string,
  given: ConfigFile,
  around: { found: ReadonlyMap<SecretName, FoundSecret>; values: RepositorySecretValues; path: string },
): Config {
  const secret = (name: SecretName) => around.found.get(name)?.secret ?? null;
  const stateDirectory = resolve(dirname(file), given.state.directory);
  return {
    file,
    policy: policyFrom(given),
    github: {
      apiUrl: given.github.api_url.replace(/\/+$/, ''),
      cloneUrl: given.github.clone_url.replace(/\/+$/, ''),
      webhookSecret: required(secret('github-webhook-secret')),
      webhookSecretPrevious: secret('github-webhook-secret-previous'),
      identity: identityFrom(given.github, secret),
    },
    server: given.server,
    gateway: {
      kind: given.gateway.kind,
      host: given.gateway.host,
      port: given.gateway.port,
      domain: given.gateway.domain,
      scheme: given.gateway.scheme,
      publicPort: given.gateway.public_port ?? null,
      caddyDirectory: given.gateway.caddy_directory,
      pool: wholePool(given.gateway.pool),
    },
    state: { directory: stateDirectory, databaseUrl: secret('database-url') },
    runtime: {
      kind: given.runtime.kind,
      pool: poolOf(given.runtime),
      sandbox: given.runtime.sandbox,
      hostdSocket: given.runtime.hostd_socket,
      guest: given.runtime.guest ?? null,
    },
    operator: { socket: resolve(stateDirectory, given.operator.socket ?? 'run/operator.sock') },
    limits: { concurrency: given.limits.concurrency, sweepIntervalMs: given.limits.sweep_seconds * 1_000 },
    log: given.log,
    path: around.path,
    repositorySecrets: { grants: given.grants, values: around.values },
    basicAuth: given.basic_auth,
  };
}

function policyFrom({ github }: ConfigFile): Policy {
  return { repositories: github.repositories, drafts: github.drafts };
}

function identityFrom(github: ConfigFile['github'], secret: (name: SecretName) => Secret | null): GithubIdentity {
  const { app_id: appId, installation_id: installationId } = github;
  if (appId === undefined || installationId === undefined)
    return { kind: 'token', token: required(secret('github-token')) };
  return { kind: 'app', appId, installationId, privateKey: required(secret('github-app-private-key')) };
}

function required(secret: Secret | null): Secret {
  if (secret === null) throw new RangeError('checks.ts lets no configuration pass without it');
  return secret;
}

/** Networks of this host's own interfaces, without those made for containers: ve-* and vb-* of nixos-container, berth0 of server-config. */
function hostNetworks(): HostNetwork[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).flatMap((address) =>
      address.family !== 'IPv4' || address.internal || address.cidr === null || /^(?:v[eb]-|berth)/.test(name)
        ? []
        : [{ interface: name, cidr: address.cidr }],
    ),
  );
}

function located(finding: Finding, document: TomlDocument): Problem {
  return { line: finding.line ?? document.lineOf(finding.key), key: finding.key, message: finding.message };
}

function problemsOf(issue: z.core.$ZodIssue, document: TomlDocument): Problem[] {
  const key = keyOf(issue.path);
  if (issue.code !== 'unrecognized_keys') return [{ line: document.lineOf(key), key, message: messageOf(issue) }];
  return issue.keys.map((name) => {
    const whole = key === '' ? name : `${key}.${name}`;
    const meant = nearestWord(name, knownKeys(issue.path));
    const message = `is not a key that we know.${meant === null ? '' : ` Did you mean ${meant}?`}`;
    return { line: document.lineOf(whole), key: whole, message };
  });
}

/** Zod's words for types, in ours. */
const TYPE_WORDS: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text in quotes',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section',
};

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    const isListOfSections = issue.expected === 'array' && issue.path.length === 1;
    const type = isListOfSections
      ? `a list of sections: [[${String(issue.path[0])}]]`
      : (TYPE_WORDS[issue.expected] ?? issue.expected);
    return issue.input === undefined ? `is missing (${type})` : `must be ${type}`;
  }
  // Words of Zod's own, where the schema has none.
  return issue.message
    .replace(/^Invalid option: expected/, 'must be')
    .replace(/^Too (?:small|big): expected \w+ to (be|have) ([<>]=?)/, (_, verb: string, sign: string) => {
      const bound = { '>=': 'at least ', '<=': 'at most ', '>': 'more than ', '<': 'less than ' }[sign] ?? '';
      return `must ${verb} ${bound}`;
    });
}

/** Keys that may stand at a place of the file. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  const [section] = path;
  return section === undefined ? Object.keys(configSchema.shape) : Object.keys(sectionKeys(String(section)));
}

function invalid(file: string, problems: readonly Problem[]): OperatorError {
  const lines = problems
    .toSorted((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity))
    .map(({ line, key, message }) => {
      const where = `${file}${line === null ? '' : `:${line}`}`;
      return `  ${where}: ${key === '' ? '' : `${key} `}${message}`.replace(/\p{Cc}/gu, '?').slice(0, 512);
    });
  return new OperatorError('CONFIG_INVALID', `The configuration is not usable:\n${lines.join('\n')}`);
}

function deepFrozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFrozen(part);
  }
  return value;
}
