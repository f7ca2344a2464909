/** Where the files of an instance are. The app can write to `source`, `home` and `tmp` only, so nothing else here is a path that it controls. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { InstanceName } from '../../../core/names.ts';

export interface InstanceLayout {
  readonly name: InstanceName;
  readonly root: string;
  /** The tree of the commit; Sources.place fills it. `/app` inside. */
  readonly source: string;
  /** The clonable copy; Sources.place fills it. */
  readonly repository: string;
  readonly home: string;
  readonly tmp: string;
  readonly logs: string;
  /** The environment as a file, `/etc/preview.env` inside. */
  readonly environmentFile: string;
  readonly passwd: string;
  readonly group: string;
  /** What the supervisor is to run. There from before it starts until it has ended well. */
  readonly run: string;
  /** There from before a setup starts until it has ended. */
  readonly settingUp: string;
  /** Whether processes die with whoever started them: then what is left can only stem from a crash, and these two files tell of it. */
  readonly isSandboxed: boolean;
  /** Who the supervisor is: one file, so one supervisor. */
  readonly claim: string;
  /** What the services are doing. */
  readonly status: string;
  /** Stands in the environment of every process that we start for the instance; tells its processes apart from all others. */
  readonly marker: string;
}

/** Name of the environment variable that holds the marker. The sandbox takes it away again before the app starts. */
export const MARKER_NAME = 'BERTH_INSTANCE';

export function layoutOf(directory: string, name: InstanceName, isSandboxed: boolean): InstanceLayout {
  const root = join(directory, name);
  // Two operators on one machine both have a p1; the directory tells them apart without being told to the app.
  const host = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  return {
    name,
    root,
    source: join(root, 'source'),
    repository: join(root, 'repository.git'),
    home: join(root, 'home'),
    tmp: join(root, 'tmp'),
    logs: join(root, 'logs'),
    environmentFile: join(root, 'preview.env'),
    passwd: join(root, 'passwd'),
    group: join(root, 'group'),
    run: join(root, 'run.json'),
    settingUp: join(root, 'setting-up'),
    isSandboxed,
    claim: join(root, 'supervisor.json'),
    status: join(root, 'status.json'),
    marker: `${name}@${host}`,
  };
}
