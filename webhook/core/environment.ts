/** What an app finds in its environment, and how it is written down where a file is read. */
import type { AppManifest } from './app-manifest.ts';
import type { Revision } from './pull-request.ts';

interface EnvironmentParts {
  readonly manifest: AppManifest;
  readonly revision: Revision;
  /** Of the preview: `https://shop-42.preview.example.com`, with the port where that is not the scheme's own. */
  readonly url: string;
  /** A copy of the repository that can be cloned without any token. */
  readonly repositoryUrl: string;
  readonly databaseUrl: string | null;
  readonly secrets: Readonly<Record<string, string>>;
}

/**
 * The variables of setup and of every service, in the contract's order. What the app declares never overrides ours: the schema
 * refuses those names. PREVIEW_HOST is a name alone, as those who compare it with a list of allowed hosts want it. PORT and HOST
 * differ per service and are added by the runtime.
 */
export function environmentFrom(parts: EnvironmentParts): Record<string, string> {
  return {
    PREVIEW_REPO_URL: parts.repositoryUrl,
    PREVIEW_BRANCH: parts.revision.ref,
    PREVIEW_HOST: new URL(parts.url).hostname,
    PREVIEW_URL: parts.url,
    ...(parts.databaseUrl === null ? {} : { DATABASE_URL: parts.databaseUrl }),
    ...parts.secrets,
    PREVIEW_COMMIT: parts.revision.sha,
    ...parts.manifest.environment,
  };
}

/**
 * The variables as a file that POSIX shells can source and systemd reads as EnvironmentFile=, each to exactly the same values.
 * Throws a RangeError for NUL, which neither can hold.
 */
export function environmentFileText(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join('');
}

// Inside double quotes both agree on a backslash before ", \\, $ and `, and on everything else standing for itself, line breaks too.
function quoted(value: string): string {
  if (value.includes('\0')) throw new RangeError('an environment value must not hold NUL');
  return `"${value.replace(/["\\$`]/g, (character) => `\\${character}`)}"`;
}
