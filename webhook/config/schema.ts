/**
 * berth.toml as an operator writes it. This schema is the only reader; berth.example.toml, the reference page and `--help` are made
 * from its descriptions (config/explain.ts), and a test compares them.
 */
import { z } from 'zod';
import { isEnvironmentName } from '../core/environment-names.ts';
import { SWEEP_INTERVAL_MS } from '../core/limits.ts';
import { basicAuthSchema } from '../core/policy.ts';
import { parseRepositoryName } from '../core/pull-request.ts';
import { parsePool } from '../core/slots.ts';

/** By the name of the credential: values that only the example has. Whoever starts with one is told so. */
export const EXAMPLE_SECRETS = {
  'github-webhook-secret': 'replace-this-with-the-output-of-openssl-rand-hex-32',
  'github-webhook-secret-previous': 'the-secret-that-was-used-until-now',
  'github-token': 'github_pat_…',
  'github-app-private-key': '-----BEGIN RSA PRIVATE KEY-----…',
  'database-url': 'postgresql://berth:password@127.0.0.1:5432/berth',
} as const;

const isLoopbackName = (host: string) => host === 'localhost' || host === '[::1]' || /^127(?:\.\d+){3}$/.test(host);

/** An address that may get our token: over TLS, or on this machine. */
function isSafeUrl(text: string, protocols: readonly string[]): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return false;
  return protocols.includes(url.protocol) || (url.protocol === 'http:' && isLoopbackName(url.hostname));
}

const repositoryPattern = z.string().refine((entry) => {
  const name = entry.endsWith('/*') ? `${entry.slice(0, -1)}any` : entry;
  return parseRepositoryName(name) !== null;
}, 'must be "owner/name", or "owner/*" for all repositories of one owner');

const host = z.string().regex(/^[0-9A-Za-z.:_-]{1,253}$/, 'must be an IP address or a host name');
const port = z.int('must be a whole number').min(0, 'must be 0–65535').max(65_535, 'must be 0–65535');
const path = z
  .string()
  .min(1, 'must not be empty')
  .refine((text) => !text.includes('\0'), 'must not hold NUL');

/** The two keys of a secret: the value itself, and a file that holds it. */
function secret<const Key extends string>(key: Key, credential: keyof typeof EXAMPLE_SECRETS, description: string) {
  const variable =
    credential === 'database-url' ? 'DATABASE_URL' : `BERTH_${credential.toUpperCase().replaceAll('-', '_')}`;
  const sources = `Better given as ${variable}, or as the systemd credential ${credential}.`;
  return {
    [key]: z
      .string()
      .optional()
      .meta({ description: `${description} ${sources}`, examples: [EXAMPLE_SECRETS[credential]] }),
    [`${key}_file`]: path.optional().meta({
      description: 'The same from a file of its own, readable by us alone.',
      examples: [`/var/secrets/${credential}`],
    }),
  } as Record<Key | `${Key}_file`, z.ZodOptional<z.ZodString>>;
}

// RFC 1035: at most 253 characters in all; the longest label of a preview in front of it has 63, and there is a dot.
const DOMAIN_LENGTH_MAX = 253 - 63 - 1;
const DOMAIN = /^(?=.*[a-z])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const github = z
  .strictObject({
    repositories: z
      .array(repositoryPattern)
      .min(1, 'must name at least one repository: an empty list would mean that nobody gets previews')
      .max(1_000)
      .meta({
        description:
          'Whose pull requests get previews: "owner/name", or "owner/*" for all repositories of one owner. Their code runs on this host, so there is no entry for "everyone".',
        examples: [['your-org/your-app']],
      }),
    drafts: z.boolean().default(true).meta({ description: 'Whether draft pull requests get previews too.' }),
    api_url: z
      .string()
      .refine((text) => isSafeUrl(text, ['https:']), 'must be an https:// URL (http:// only on this machine)')
      .default('https://api.github.com')
      .meta({ description: 'GitHub’s API. For GitHub Enterprise Server: https://<host>/api/v3.' }),
    clone_url: z
      .string()
      .refine((text) => isSafeUrl(text, ['https:', 'file:']), 'must be an https:// URL (http:// only on this machine)')
      .default('https://github.com')
      .meta({ description: 'Where repositories are fetched from: <clone_url>/<owner>/<name>.git.' }),
    ...secret(
      'webhook_secret',
      'github-webhook-secret',
      'The secret that GitHub signs deliveries with, the same as in the settings of the webhook or App; at least 32 bytes (openssl rand -hex 32).',
    ),
    ...secret(
      'webhook_secret_previous',
      'github-webhook-secret-previous',
      'While the secret is being changed: the one before, still accepted.',
    ),
    ...secret(
      'token',
      'github-token',
      'A personal access token that may read contents and write pull requests and commit statuses. Either this or a GitHub App is needed; the App wins.',
    ),
    app_id: z
      .int()
      .min(1)
      .optional()
      .meta({ description: 'Id of the GitHub App.', examples: [123456] }),
    installation_id: z
      .int()
      .min(1)
      .optional()
      .meta({
        description: 'Id of its installation, the number at the end of its settings’ URL.',
        examples: [12345678],
      }),
    ...secret('app_private_key', 'github-app-private-key', 'The App’s private key (PEM, RSA, without passphrase).'),
  })
  .meta({ description: 'GitHub: who may have previews, and how we talk to it.' });

const server = z
  .strictObject({
    host: host
      .default('127.0.0.1')
      .meta({ description: 'Address that the webhook, health and metrics are served on.' }),
    port: port.default(3100).meta({
      description: 'Its port: POST /webhook/github, GET /health, /ready, /metrics. 0 lets the system choose.',
    }),
  })
  .prefault({})
  .meta({ description: 'The door for GitHub and for monitoring. Put a TLS proxy in front of it.' });

const gateway = z
  .strictObject({
    kind: z.enum(['builtin', 'caddy']).default('builtin').meta({
      description:
        'What answers for previews: "builtin" (a proxy in the operator) or "caddy" (the host’s Caddy, with the "nixos-container" runtime).',
    }),
    host: host.default('127.0.0.1').meta({ description: 'Address that the gateway to the previews listens on.' }),
    port: port.default(8080).meta({ description: 'Its port. 0 lets the system choose.' }),
    domain: z
      .string()
      .max(
        DOMAIN_LENGTH_MAX,
        `must have at most ${DOMAIN_LENGTH_MAX} characters, so that a preview’s label fits before it`,
      )
      .regex(DOMAIN, 'must be a domain name in lower case, such as "preview.example.com"')
      .default('localhost')
      .meta({ description: 'Previews are at <slug>.<domain>. Browsers take every *.localhost to this machine.' }),
    scheme: z.enum(['http', 'https']).default('http').meta({
      description: 'What the URLs of previews begin with; "https" when a TLS proxy stands in front of the gateway.',
    }),
    public_port: port
      .min(1, 'must be 1–65535')
      .optional()
      .meta({
        description: 'The port in the URLs of previews, where that is not the gateway’s own (a proxy in front of it).',
        examples: [443],
      }),
    caddy_directory: z
      .string()
      .regex(/^(?:\/[A-Za-z0-9._-]+)+$/, 'must be an absolute path of letters, digits and . _ -')
      .default('/etc/caddy/previews')
      .meta({ description: 'Where routes are kept and Caddy looks hosts up. For "caddy".' }),
    pool: z
      .string()
      .refine((text) => parsePool(text) !== null, 'must be an IPv4 network such as "10.101.0.0/16"')
      .default('10.101.0.0/16')
      .meta({
        description: 'Addresses of previews: each keeps its own while instances come and go behind it. For "caddy".',
      }),
  })
  .prefault({})
  .meta({ description: 'The door to the previews.' });

const state = z
  .strictObject({
    directory: path.default('.berth').meta({
      description:
        'Everything that we keep on disk: mirrors, instances, the embedded PostgreSQL. Relative to this file.',
    }),
    ...secret(
      'database_url',
      'database-url',
      'PostgreSQL 15 or later, a server that is ours alone, with a role that may create databases and roles. Without it an embedded one is used.',
    ),
  })
  .prefault({})
  .meta({ description: 'Where facts are kept.' });

const runtime = z
  .strictObject({
    kind: z.enum(['process', 'nixos-container']).default('process').meta({
      description:
        'What runs the previews: "process" (sandboxed child processes, needs no root) or "nixos-container" (on a NixOS host).',
    }),
    pool: z
      .string()
      .refine(
        (text) => parsePool(text) !== null,
        'must be an IPv4 network such as "10.100.0.0/16" (/8 to /29, no host bits)',
      )
      .optional()
      .meta({
        description:
          'Addresses of the instances, two each. Default: 127.100.0.0/21 for "process", 10.100.0.0/16 for "nixos-container".',
        examples: ['10.100.0.0/16'],
      }),
    sandbox: z.enum(['auto', 'required', 'off']).default('auto').meta({
      description:
        'Bubblewrap around child processes: "auto" uses it where it works and says so at start, "required" refuses to start without it.',
    }),
    hostd_socket: path.default('/run/berth-hostd/socket').meta({
      description: 'Where the privileged helper of the host listens. For "nixos-container".',
    }),
    guest: path.optional().meta({
      description:
        'The folder that systems of containers are built from. Default: server-config/guest of this version. For "nixos-container".',
      examples: ['/etc/berth/guest'],
    }),
  })
  .prefault({})
  .meta({ description: 'How previews are run.' });

const operator = z
  .strictObject({
    socket: path.optional().meta({
      description:
        'The unix socket that the `preview` command talks to, in a directory that only we may enter (made so where there is none). Default: run/operator.sock in the state directory.',
      examples: ['/run/berth/operator.sock'],
    }),
  })
  .prefault({})
  .meta({ description: 'The door for operators.' });

const limits = z
  .strictObject({
    concurrency: z.int().min(1).max(64).default(4).meta({
      description:
        'Previews that are worked on at the same time. For each that takes longer than half a minute one more is: at most as many again, and at most four.',
    }),
    sweep_seconds: z
      .int()
      .min(10)
      .max(86_400)
      .default(SWEEP_INTERVAL_MS / 1_000)
      .meta({
        description: 'How often everything is compared with GitHub, so that a lost delivery costs no more than this.',
      }),
  })
  .prefault({})
  .meta({ description: 'How much at once, how often.' });

const log = z
  .strictObject({
    level: z
      .enum(['debug', 'info', 'warn', 'error'])
      .default('info')
      .meta({ description: 'The least that is logged.' }),
  })
  .prefault({})
  .meta({ description: 'The log: JSON lines on standard output.' });

const secrets = z
  .strictObject({
    values_file: path.optional().meta({
      description:
        'A TOML file with the values: NAME = "value" for all repositories that may have the name, and a table ["owner/name"] for values of one repository alone. Readable by us alone. Better given as the systemd credential repository-secrets.',
      examples: ['/var/secrets/repository-secrets.toml'],
    }),
  })
  .prefault({})
  .meta({
    description:
      'Secrets of the apps. Ours are never among them: they are kept elsewhere, and their names are refused here.',
  });

/** Names of the operator's own secrets, in each form that they have had: never given to an app. */
const OPERATOR_SECRET_NAME = /^(?:GITHUB_|BERTH_|ACTIONS_|HCLOUD_TOKEN$|CREDENTIALS_DIRECTORY$)/;

const grant = z
  .strictObject({
    repository: repositoryPattern.meta({
      description: 'Who: "owner/name" or "owner/*".',
      examples: ['your-org/your-app'],
    }),
    secrets: z
      .array(
        z
          .string()
          .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'must be upper-case letters, digits and underscores')
          .refine(
            (name) => isEnvironmentName(name) && !OPERATOR_SECRET_NAME.test(name),
            'is not a name that an app may have',
          ),
      )
      .min(1)
      .max(256)
      .meta({ description: 'What: names that its preview.toml may ask for.', examples: [['STRIPE_TEST_KEY']] }),
  })
  .meta({ description: 'One repository and the secrets that it may ask for.' });

const basicAuth = z
  .strictObject({
    repository: repositoryPattern.meta({
      description: 'Whose previews: "owner/name" or "owner/*". The first section that names a repository counts.',
      examples: ['your-org/your-app'],
    }),
    user: basicAuthSchema.shape.user.meta({ description: 'The name to log in with.', examples: ['review'] }),
    hash: basicAuthSchema.shape.hash.meta({
      description: 'The password, hashed by `caddy hash-password`.',
      examples: ['$2a$14$replace.this.with.the.output.of.caddy.hash.password..'],
    }),
  })
  .meta({ description: 'One repository whose previews ask for a password.' });

/** The sections in the order of the example file. */
export const configSchema = z.strictObject({
  github,
  server,
  gateway,
  state,
  runtime,
  operator,
  limits,
  log,
  secrets,
  grants: z
    .array(grant)
    .max(1_000)
    .default([])
    .meta({ description: 'Which repository may ask for which secrets; repeat the section for each.' }),
  basic_auth: z.array(basicAuth).max(1_000).default([]).meta({
    description:
      'Whose previews ask for a name and a password; repeat the section for each. Needs gateway.kind "caddy".',
  }),
});

export type ConfigFile = z.infer<typeof configSchema>;
export type SectionName = keyof ConfigFile;

/** The keys of a section with their schemas, in the order of the file. */
export function sectionKeys(name: string): Readonly<Record<string, z.ZodType>> {
  let schema: unknown = Object.hasOwn(configSchema.shape, name) ? configSchema.shape[name as SectionName] : null;
  while (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault) schema = schema.unwrap();
  if (schema instanceof z.ZodArray) schema = schema.element;
  return schema instanceof z.ZodObject ? schema.shape : {};
}
