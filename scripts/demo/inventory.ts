/** What there is of previews on this machine, counted from the outside: files, processes and PostgreSQL's own catalogs, not our records of them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { processesBelow } from './processes.ts';

/** Class of things → how many there are. */
export type Inventory = Readonly<Record<string, number>>;

const COUNTS = `
  select
    (select count(*) from pg_database where datname like 'preview\\_%') as databases,
    (select count(*) from pg_roles where rolname like 'preview\\_%' or rolname like 'berth\\_gone\\_%') as roles,
    (select count(*) from berth.slots) as slots,
    (select count(*) from berth.host_labels) as "host names",
    (select count(*) from berth.instances) as "instance records",
    (select count(*) from berth.previews) as "preview records"`;

/** Counts everything that belongs to previews of the operator with this state directory. */
export async function takeInventory(stateDirectory: string, databaseUrl: string): Promise<Inventory> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, string>>(COUNTS);
    const counted = Object.entries(rows[0] ?? {}).map(([name, count]) => [name, Number(count)] as const);
    return {
      processes: (await processesBelow(join(stateDirectory, 'instances'))).length,
      directories: await entriesIn(join(stateDirectory, 'instances')),
      routes: await entriesIn(join(stateDirectory, 'routes')),
      ...Object.fromEntries(counted),
    };
  } finally {
    await client.end();
  }
}

async function entriesIn(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => !name.startsWith('.')).length;
}
