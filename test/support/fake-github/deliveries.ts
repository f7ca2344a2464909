import { createHmac, randomUUID } from 'node:crypto';

/** Where GitHub sends its webhooks. */
export interface FakeHook {
  readonly id: number;
  /** Null: the hook of an App, which hears of all its repositories. */
  readonly repositoryId: number | null;
  url: string;
  secret: string;
  contentType: 'json' | 'form';
  events: string[];
  active: boolean;
}

/** What happens to a delivery on its way. */
export type Passage =
  | 'deliver'
  /** Sent and lost: GitHub knows that it failed and can be asked to send it again. */
  | 'drop'
  /** Kept back until `release`. */
  | 'hold'
  | { readonly copies: number }
  | { readonly delayMs: number };

export interface FakeDelivery {
  readonly id: number;
  /** X-GitHub-Delivery; the same for a redelivery. */
  readonly guid: string;
  readonly hook: FakeHook;
  readonly event: string;
  readonly action: string | null;
  readonly repositoryId: number | null;
  readonly redelivery: boolean;
  readonly payload: object;
  deliveredAt: Date;
  durationSeconds: number;
  /** The answer's status; null before it is sent, 0 when there was none. */
  status: number | null;
  answer: string;
}

/** GitHub gives up on an answer after this long. */
const ANSWER_TIMEOUT_MS = 10_000;

/** What a webhook request of GitHub looks like, signed. */
export function signedRequest(
  body: string | Buffer,
  options: { secret: string; event: string; guid?: string; contentType?: string },
): { method: 'POST'; headers: Record<string, string>; body: string | Buffer } {
  const digest = createHmac('sha256', options.secret).update(body).digest('hex');
  return {
    method: 'POST',
    headers: {
      'content-type': options.contentType ?? 'application/json',
      'user-agent': 'GitHub-Hookshot/044aadd',
      'x-github-delivery': options.guid ?? randomUUID(),
      'x-github-event': options.event,
      'x-github-hook-id': '1',
      'x-hub-signature-256': `sha256=${digest}`,
    },
    body,
  };
}

/** Sends webhooks derived from the state, and remembers what became of each. */
export class Deliveries {
  readonly all: FakeDelivery[] = [];
  /** Decides about each new delivery; replace it to lose, double, keep back or delay some. */
  passage: (delivery: FakeDelivery) => Passage = () => 'deliver';
  #held: FakeDelivery[] = [];
  readonly #underWay = new Set<Promise<void>>();
  readonly #clock: { now: () => Date; nextId: () => number };

  constructor(clock: { now: () => Date; nextId: () => number }) {
    this.#clock = clock;
  }

  get held(): readonly FakeDelivery[] {
    return this.#held;
  }

  /** Resolves when it was sent (or lost, or put aside). Never rejects: like GitHub, it notes a failure. */
  async send(hook: FakeHook, event: string, payload: object, repositoryId: number | null): Promise<void> {
    const action = 'action' in payload && typeof payload.action === 'string' ? payload.action : null;
    const delivery = this.#record({
      guid: randomUUID(),
      hook,
      event,
      action,
      repositoryId,
      redelivery: false,
      payload,
    });
    const passage = this.passage(delivery);
    if (passage === 'drop') this.#failed(delivery, 'failed to connect to host');
    else if (passage === 'hold') this.#held.push(delivery);
    else if (passage === 'deliver') await this.#post(delivery);
    else if ('copies' in passage) await Promise.all(Array.from({ length: passage.copies }, () => this.#post(delivery)));
    else void this.#track(this.#later(delivery, passage.delayMs));
  }

  /** Sends what was kept back, one after another, in the order given (as held when absent). */
  async release(order: (held: FakeDelivery[]) => FakeDelivery[] = (held) => held): Promise<void> {
    const held = order(this.#held);
    this.#held = [];
    for (const delivery of held) await this.#post(delivery);
  }

  /** As "Redeliver" on GitHub: the same request once more, with the same id. */
  async redeliver(delivery: FakeDelivery): Promise<void> {
    await this.#post(this.#record({ ...delivery, redelivery: true }));
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #record(
    known: Pick<FakeDelivery, 'guid' | 'hook' | 'event' | 'action' | 'repositoryId' | 'redelivery' | 'payload'>,
  ): FakeDelivery {
    const { guid, hook, event, action, repositoryId, redelivery, payload } = known;
    const delivery: FakeDelivery = {
      guid,
      hook,
      event,
      action,
      repositoryId,
      redelivery,
      payload,
      id: this.#clock.nextId(),
      deliveredAt: this.#clock.now(),
      durationSeconds: 0,
      status: null,
      answer: '',
    };
    this.all.push(delivery);
    return delivery;
  }

  #post(delivery: FakeDelivery): Promise<void> {
    return this.#track(this.#exchange(delivery));
  }

  async #later(delivery: FakeDelivery, delayMs: number): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, delayMs);
    });
    await this.#exchange(delivery);
  }

  #track(work: Promise<void>): Promise<void> {
    this.#underWay.add(work);
    return work.finally(() => this.#underWay.delete(work));
  }

  async #exchange(delivery: FakeDelivery): Promise<void> {
    const { hook, event, guid, payload } = delivery;
    const json = JSON.stringify(payload);
    const isForm = hook.contentType === 'form';
    const request = signedRequest(isForm ? `payload=${encodeURIComponent(json)}` : json, {
      secret: hook.secret,
      event,
      guid,
      contentType: isForm ? 'application/x-www-form-urlencoded' : 'application/json',
    });
    const startedAt = performance.now();
    delivery.deliveredAt = this.#clock.now();
    try {
      const answer = await fetch(hook.url, { ...request, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
      delivery.answer = await answer.text();
      delivery.status = answer.status;
    } catch (error) {
      this.#failed(delivery, error instanceof Error ? error.message : 'failed');
    }
    delivery.durationSeconds = (performance.now() - startedAt) / 1_000;
  }

  #failed(delivery: FakeDelivery, answer: string): void {
    delivery.status = 0;
    delivery.answer = answer;
  }
}
