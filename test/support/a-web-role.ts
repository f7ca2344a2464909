/** A login with the rights of the web process and no others, on the server of a test's database. */
import { randomBytes } from 'node:crypto';
import { onServer } from './on-server.ts';

export interface WebRole extends AsyncDisposable {
  /** The database, as this role. */
  readonly url: string;
}

export async function aWebRole(databaseUrl: string): Promise<WebRole> {
  const name = `berth_test_web_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(16).toString('hex');
  await onServer(databaseUrl, `create role ${name} login password '${password}' in role berth_web`);
  const url = new URL(databaseUrl);
  url.username = name;
  url.password = password;
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      await onServer(databaseUrl, `drop role ${name}`);
    },
  };
}
