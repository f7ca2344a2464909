import { createVerify, randomBytes } from 'node:crypto';
import type { FakeUser } from './repository.ts';

/** Who a request comes from. */
export type Actor =
  | { readonly kind: 'user'; readonly user: FakeUser; readonly token: string }
  /** The App itself, by a JWT that it signed. */
  | { readonly kind: 'app' }
  | { readonly kind: 'installation'; readonly user: FakeUser; readonly token: string; readonly expiresAt: Date };

export interface FakeApp {
  readonly id: number;
  readonly slug: string;
  readonly installationId: number;
  readonly publicKey: string;
}

/** An installation token lives for an hour on GitHub. */
const INSTALLATION_TOKEN_MS = 3_600_000;

/** The tokens that the stand-in GitHub knows. */
export class Tokens {
  app: FakeApp | null = null;
  installationTokenMs = INSTALLATION_TOKEN_MS;
  readonly #actors = new Map<string, Actor>();

  addUserToken(token: string, user: FakeUser): void {
    this.#actors.set(token, { kind: 'user', user, token });
  }

  revoke(token: string): void {
    this.#actors.delete(token);
  }

  /** Every token that was ever good: to look for in places where none belongs. */
  get all(): readonly string[] {
    return [...this.#actors.keys()];
  }

  issueInstallationToken(user: FakeUser): { token: string; expiresAt: Date } {
    const token = `ghs_${randomBytes(18).toString('hex')}`;
    const expiresAt = new Date(Date.now() + this.installationTokenMs);
    this.#actors.set(token, { kind: 'installation', user, token, expiresAt });
    return { token, expiresAt };
  }

  /** Null when the header carries nothing that we know. */
  actorOf(authorization: string | undefined): Actor | null {
    const [, token] = /^(?:token|bearer) (\S+)$/i.exec(authorization ?? '') ?? [];
    if (token === undefined) return null;
    const actor = this.#actors.get(token);
    if (actor?.kind === 'installation' && actor.expiresAt.getTime() <= Date.now()) return null;
    return actor ?? (this.#isAppJwt(token) ? { kind: 'app' } : null);
  }

  #isAppJwt(token: string): boolean {
    const [header, payload, signature, ...rest] = token.split('.');
    if (
      this.app === null ||
      header === undefined ||
      payload === undefined ||
      signature === undefined ||
      rest.length > 0
    )
      return false;
    const verify = createVerify('RSA-SHA256').update(`${header}.${payload}`);
    if (!verify.verify(this.app.publicKey, signature, 'base64url')) return false;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iss: unknown; exp: number };
    return String(claims.iss) === String(this.app.id) && claims.exp * 1_000 > Date.now();
  }
}
