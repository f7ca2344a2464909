import { OperatorError } from '../../core/errors.ts';
import { isAllowedRepository } from '../../core/policy.ts';
import type { RepositoryName } from '../../core/pull-request.ts';
import type { Secret } from '../../core/secret.ts';
import type { Secrets } from '../../ports.ts';

interface RepositorySecretSettings {
  /** `owner/name` or `owner/*`, and the names that it may ask for. */
  readonly grants: readonly { readonly repository: string; readonly secrets: readonly string[] }[];
  readonly values: {
    readonly shared: Readonly<Record<string, Secret>>;
    /** By `owner/name` in lower case; stands above `shared`. */
    readonly own: Readonly<Record<string, Readonly<Record<string, Secret>>>>;
  };
}

/**
 * The Secrets port from what the operator's configuration grants. The operator's own secrets are no part of the settings, so no name
 * that an app may think of leads to them (promise S5).
 */
export function buildRepositorySecrets(settings: RepositorySecretSettings): Secrets {
  return {
    read(repository, names) {
      const entries = names.map((name) => [name, valueOf(settings, repository, name)] as const);
      const refused = entries.find(([, value]) => value === null);
      if (refused !== undefined) {
        const message = `${repository} has not been given a secret named ${refused[0]}.`;
        return Promise.reject(new OperatorError('SECRET_NOT_ALLOWED', message));
      }
      return Promise.resolve(Object.fromEntries(entries.map(([name, value]) => [name, value?.reveal() ?? ''])));
    },
  };
}

/** Null when the repository may not have it, or nobody has given it a value: to the app that is the same. */
function valueOf(settings: RepositorySecretSettings, repository: RepositoryName, name: string): Secret | null {
  const isGranted = settings.grants.some(
    (grant) => grant.secrets.includes(name) && isAllowedRepository({ repositories: [grant.repository] }, repository),
  );
  if (!isGranted) return null;
  const own = settings.values.own[repository.toLowerCase()] ?? {};
  if (Object.hasOwn(own, name)) return own[name] ?? null;
  return Object.hasOwn(settings.values.shared, name) ? (settings.values.shared[name] ?? null) : null;
}
