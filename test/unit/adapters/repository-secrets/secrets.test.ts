import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildRepositorySecrets } from '../../../../webhook/adapters/repository-secrets/secrets.ts';
import type { RepositoryName } from '../../../../webhook/core/pull-request.ts';
import { Secret } from '../../../../webhook/core/secret.ts';

const shop = 'Acme/Shop' as RepositoryName;
const blog = 'acme/blog' as RepositoryName;
const stranger = 'evil/shop' as RepositoryName;

const secrets = buildRepositorySecrets({
  grants: [
    { repository: 'acme/*', secrets: ['STRIPE_KEY'] },
    { repository: 'acme/shop', secrets: ['MAIL_KEY', 'FORGOTTEN'] },
  ],
  values: {
    shared: { STRIPE_KEY: new Secret('for all'), MAIL_KEY: new Secret('mail'), UNGRANTED: new Secret('canary') },
    own: { 'acme/shop': { STRIPE_KEY: new Secret('for the shop') }, 'evil/shop': { STRIPE_KEY: new Secret('canary') } },
  },
});

test('a repository gets what it was granted, its own value before the shared one, whatever the case of its name', async () => {
  assert.deepEqual(await secrets.read(shop, ['STRIPE_KEY', 'MAIL_KEY']), {
    STRIPE_KEY: 'for the shop',
    MAIL_KEY: 'mail',
  });
  assert.deepEqual(await secrets.read(blog, ['STRIPE_KEY']), { STRIPE_KEY: 'for all' });
  assert.deepEqual(await secrets.read(stranger, []), {});
});

test('what was not granted is refused by name, with no value of the others', async () => {
  const refused: [RepositoryName, string[], string][] = [
    [blog, ['STRIPE_KEY', 'MAIL_KEY'], 'MAIL_KEY'],
    [stranger, ['STRIPE_KEY'], 'STRIPE_KEY'],
    [shop, ['UNGRANTED'], 'UNGRANTED'],
    [shop, ['FORGOTTEN'], 'FORGOTTEN'],
    [shop, ['GITHUB_WEBHOOK_SECRET'], 'GITHUB_WEBHOOK_SECRET'],
    [shop, ['constructor'], 'constructor'],
    [shop, ['__proto__'], '__proto__'],
    [shop, ['.*'], '.*'],
  ];
  for (const [repository, names, named] of refused) {
    await assert.rejects(secrets.read(repository, names), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'SECRET_NOT_ALLOWED');
      assert.ok(error.message.includes(named) && !error.message.includes('canary'), error.message);
      return true;
    });
  }
});
