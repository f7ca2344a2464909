/** The instances of previews, with the slots that they have on their host. */
import type { ClientBase, Pool } from 'pg';
import { instanceNameOf, slotOf, type InstanceName } from '../../core/names.ts';
import type { InstanceFacts, InstanceRecord } from '../../core/preview.ts';
import type { Revision } from '../../core/pull-request.ts';
import { nextSlot, type AddressPool } from '../../core/slots.ts';
import type { PreviewStore } from '../../ports.ts';
import { inTransaction, rowsOf } from './connections.ts';
import { lockedRow, nameLock, type ProvenKey } from './locked-row.ts';
import { INSTANCE_COLUMNS, instanceFrom } from './preview-rows.ts';

interface InstanceOptions {
  readonly pool: Pool;
  /** Whose slot counter instances are numbered from. */
  readonly host: string;
  readonly addresses: AddressPool;
}

export function instancesOf(
  options: InstanceOptions,
  proven: ProvenKey,
): Pick<PreviewStore, 'createInstance' | 'saveInstance' | 'saveSwitch' | 'removeInstance'> {
  const { pool, host } = options;
  return {
    createInstance: async (lock, revision) => {
      const key = proven(lock);
      return inTransaction(pool, (client) => createInstance(client, key, { ...options, revision }));
    },
    async saveInstance(lock, name, facts) {
      await saveInstance(pool, { key: proven(lock), host, name, facts });
    },
    saveSwitch: async (lock, name, at) => {
      await saveSwitch(pool, { key: proven(lock), host, name, at });
    },
    async removeInstance(lock, name) {
      // The slot's row goes with the instance, and answering_id becomes null.
      await rowsOf(
        pool,
        `delete from berth.instances using berth.previews, berth.slots
         where previews.key = $1 and instances.preview_id = previews.id
           and slots.instance_id = instances.id and slots.host = $2 and slots.slot = $3`,
        [proven(lock), host, slotOf(name)],
      );
    },
  };
}

async function createInstance(
  client: ClientBase,
  key: string,
  { host, addresses, revision }: InstanceOptions & { revision: Revision },
): Promise<InstanceRecord> {
  const preview = await lockedRow(client, key);
  await rowsOf(client, 'insert into berth.slot_counters (host) values ($1) on conflict do nothing', [host]);
  const [counter] = await rowsOf<{ next_slot: number }>(
    client,
    'select next_slot from berth.slot_counters where host = $1 for update',
    [host],
  );
  const rows = await rowsOf<{ slot: number }>(client, 'select slot from berth.slots where host = $1', [host]);
  const inUse = new Set(rows.map((row) => row.slot));
  let next = nextSlot(addresses, counter?.next_slot ?? 1, inUse);
  // Somebody removes what was left under that name; not waited for, because all who create wait for us.
  while (!(await isNameFree(client, instanceNameOf(next.slot)))) {
    inUse.add(next.slot);
    next = nextSlot(addresses, next.counter, inUse);
  }
  const [inserted] = await rowsOf<{ instance: Record<string, unknown> }>(
    client,
    `insert into berth.instances (preview_id, generation, revision_sha, revision_ref)
     select id, generation, $2, $3 from berth.previews where id = $1 returning to_jsonb(instances) as instance`,
    [preview.id, revision.sha, revision.ref],
  );
  if (inserted === undefined) throw new Error('insert returned no row');
  const { instance } = inserted;
  await rowsOf(client, `insert into berth.slots (host, slot, purpose, instance_id) values ($1, $2, 'preview', $3)`, [
    host,
    next.slot,
    instance['id'],
  ]);
  await rowsOf(client, 'update berth.slot_counters set next_slot = $2 where host = $1', [host, next.counter]);
  return instanceFrom({ ...instance, slot: next.slot });
}

async function isNameFree(client: ClientBase, name: InstanceName): Promise<boolean> {
  const [row] = await rowsOf<{ free: boolean }>(client, `select pg_try_advisory_xact_lock(${nameLock('$1')}) as free`, [
    name,
  ]);
  return row?.free === true;
}

/** Facts that are left out stay. Timings are added to those that are there, because steps of one stage save theirs side by side. */
export async function saveInstance(
  connection: Pool | ClientBase,
  { key, host, name, facts }: { key: string; host: string; name: InstanceName; facts: InstanceFacts },
): Promise<void> {
  const given = Object.entries(facts).filter(([, value]) => value !== undefined);
  if (given.length === 0) return;
  const assignments = given.map(([fact], index) => {
    const { column } = INSTANCE_COLUMNS[fact as keyof InstanceFacts];
    const value = `$${index + 4}`;
    return fact === 'timings' ? `timings = instances.timings || ${value}::jsonb` : `${column} = ${value}`;
  });
  const values = given.map(([fact, value]) =>
    INSTANCE_COLUMNS[fact as keyof InstanceFacts].json && value !== null ? JSON.stringify(value) : value,
  );
  await rowsOf(
    connection,
    `update berth.instances set ${assignments.join(', ')} from berth.previews, berth.slots
     where previews.key = $1 and instances.preview_id = previews.id
       and slots.instance_id = instances.id and slots.host = $2 and slots.slot = $3`,
    [key, host, slotOf(name), ...values],
  );
}

async function saveSwitch(
  pool: Pool,
  { key, host, name, at }: { key: string; host: string; name: InstanceName; at: Date },
): Promise<void> {
  const found = await rowsOf(
    pool,
    `with next as (
       select instances.id, preview_id, answering_id
       from berth.previews join berth.instances on preview_id = previews.id join berth.slots on instance_id = instances.id
       where previews.key = $1 and slots.host = $2 and slots.slot = $3
       for update of previews
     ),
     changed as (select id, preview_id, answering_id from next where id is distinct from answering_id),
     retired as (update berth.instances set retired_at = $4 from changed where instances.id = changed.answering_id),
     routed as (update berth.instances set routed_at = $4, retired_at = null from changed where instances.id = changed.id),
     answering as (update berth.previews set answering_id = changed.id from changed where previews.id = changed.preview_id)
     select id from next`,
    [key, host, slotOf(name), at],
  );
  if (found.length === 0) throw new Error(`there is no record of instance ${name} of preview ${key}`);
}
