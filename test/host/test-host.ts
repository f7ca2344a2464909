/**
 * A NixOS-like host on a plain Debian machine: one systemd-nspawn container with systemd as PID 1, machined, Caddy,
 * PostgreSQL, sshd and nix in it, and `nixos-container` (our stand-in) to start containers inside. Up in well under a second.
 *
 *     await using host = await bringUpTestHost();
 *     await host.run(['nixos-container', 'list']);
 *
 * Several may run at once. Everything a host makes is in its state directory, its cgroup and its network link, so that
 * teardown is complete also when the test process was killed: a guard process watches for that (guard.ts), and whatever even
 * the guard missed is removed when the next host comes up.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa, type Options } from 'execa';
import { abandonedClaims, claimHost, type Claim } from './claims.ts';
import { whyNoTestHost } from './requirements.ts';
import { buildState, layoutOf } from './state.ts';
import { cgroupOf, killHost, linkOf, removeHost } from './teardown.ts';

/** The project, at the same path inside the host (read-only), so that files and stack traces have one name. */
const project = resolve(import.meta.dirname, '../..');

/** A boot takes 0.3 s idle and 1.3 s on a busy machine; beyond this something is wrong. */
const bootTimeoutMs = 30_000;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** False: a status other than 0 is returned, not thrown. */
  readonly reject?: boolean;
  readonly timeoutMs?: number;
  readonly stdio?: 'inherit';
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestHost extends AsyncDisposable {
  /** The host's address on its link to the machine; its Caddy answers there on port 80. */
  readonly address: string;
  /** The host's root directory as the machine sees it. */
  readonly root: string;
  /** Runs a program inside the host as root. Throws with its output when it fails. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Power cut and boot: every process is killed, the files stay. */
  reboot(): Promise<void>;
  /** Ends the host and removes everything of it. May be called twice. */
  down(): Promise<void>;
}

/** Removes hosts whose owner was killed. */
export async function removeAbandonedHosts(): Promise<number> {
  const claims = await abandonedClaims();
  for (const claim of claims) await removeHost(claim);
  return claims.length;
}

/**
 * Builds and boots a host. Throws, naming the packages to install, when the machine cannot carry one. `nice` below 0 puts it before other work of
 * the machine, for what has to happen in a fixed time.
 */
export async function bringUpTestHost(options: { nice?: number } = {}): Promise<TestHost> {
  const obstacle = whyNoTestHost();
  if (obstacle !== undefined) throw new Error(obstacle);
  await removeAbandonedHosts();
  const claim = await claimHost(await mkdtemp(join(tmpdir(), 'berth-host-')));
  const guard = startGuard();
  try {
    const network = networkOf(claim);
    await buildState(claim.stateDirectory, network);
    const layout = layoutOf(claim.stateDirectory);
    let leader = await boot(claim, options.nice ?? 0);
    const down = async (): Promise<void> => {
      await removeHost(claim);
      guard.stdin?.end();
    };
    return {
      address: network.host,
      root: layout.root,
      run: (argv, options = {}) => runInside({ claim, leader }, argv, options),
      reboot: async () => {
        await killHost(claim);
        leader = await boot(claim, options.nice ?? 0);
      },
      down,
      [Symbol.asyncDispose]: down,
    };
  } catch (error) {
    await removeHost(claim);
    guard.stdin?.end();
    throw error;
  }
}

function networkOf(claim: Claim): { host: string; machine: string } {
  return { machine: `10.99.${claim.number}.1`, host: `10.99.${claim.number}.2` };
}

/** Its stdin is a pipe from us: however we end, the pipe closes and the guard removes the hosts that we leave. */
function startGuard(): ChildProcess {
  const guard = spawn(process.execPath, [join(import.meta.dirname, 'guard.ts')], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  (guard.stdin as { unref?: () => void } | null)?.unref?.();
  return guard;
}

function nspawnArguments(claim: Claim): string[] {
  const layout = layoutOf(claim.stateDirectory);
  const flags = '--quiet --register=no --keep-unit --settings=no --link-journal=no --resolv-conf=off --timezone=off';
  return [
    'systemd-nspawn',
    ...flags.split(' '),
    '--console=pipe',
    '--boot',
    `--machine=berth${claim.number}`,
    '--hostname=testhost',
    `--directory=${layout.root}`,
    '--capability=all',
    '--network-veth',
    `--overlay-ro=/usr:${layout.usr}:/usr`,
    `--overlay=/etc:${layout.etc}:/etc`,
    `--bind=${layout.systemd}:/etc/systemd`,
    // norbind: the host's own mounts would otherwise show up below the project and recurse.
    `--bind-ro=${project}:${project}:norbind`,
  ];
}

async function boot(claim: Claim, nice: number): Promise<number> {
  const layout = layoutOf(claim.stateDirectory);
  const ready = join(layout.root, 'ready');
  await rm(ready, { force: true });
  const cgroup = join(cgroupOf(claim), 'host');
  await mkdir(cgroup, { recursive: true });
  const log = await open(layout.console, 'a');
  // The one line of shell: only the process itself can enter the cgroup before it becomes nspawn.
  const enterAndExec = 'echo $$ >"$0/cgroup.procs" && exec "$@"';
  const nspawn = spawn('/bin/sh', ['-c', enterAndExec, cgroup, 'nice', '-n', String(nice), ...nspawnArguments(claim)], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1',
      // "network" and not 1: with 1 the host's systemd would write the machine's own sysctls.
      SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network',
    },
  });
  nspawn.unref();
  await log.close();
  const fail = async (reason: string): Promise<never> => {
    const text = await readFile(layout.console, 'utf8').catch(() => '');
    throw new Error(`The test host did not boot (${reason}). The end of its console:\n${text.slice(-4000)}`);
  };
  const deadline = performance.now() + bootTimeoutMs;
  let linked = false;
  while (!existsSync(ready)) {
    if (nspawn.exitCode !== null) await fail(`systemd-nspawn exited with ${nspawn.exitCode}`);
    if (performance.now() > deadline) await fail(`not ready after ${bootTimeoutMs} ms`);
    linked ||= await connectLink(claim);
    await delay(5);
  }
  if (!linked) await connectLink(claim);
  const children = await readFile(`/proc/${nspawn.pid}/task/${nspawn.pid}/children`, 'utf8');
  return Number(children.trim().split(' ')[0]);
}

/** The machine's end of the link, as soon as nspawn has made it. */
async function connectLink(claim: Claim): Promise<boolean> {
  const link = linkOf(claim);
  if (!existsSync(`/sys/class/net/${link}`)) return false;
  await execa('ip', ['address', 'replace', `${networkOf(claim).machine}/30`, 'dev', link]);
  await execa('ip', ['link', 'set', link, 'up']);
  return true;
}

async function runInside(
  host: { claim: Claim; leader: number },
  argv: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const cgroup = join(cgroupOf(host.claim), 'run');
  await mkdir(cgroup, { recursive: true });
  const environment = {
    PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    ...options.env,
  };
  const enter = ['nsenter', `--target=${host.leader}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
  const inside = [
    'env',
    '-i',
    `--chdir=${options.cwd ?? '/root'}`,
    ...Object.entries(environment).map(([k, v]) => `${k}=${v}`),
  ];
  const settings: Options = {
    reject: false,
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.stdio === undefined ? {} : { stdout: options.stdio, stderr: options.stdio }),
  };
  const run = await execa(
    '/bin/sh',
    ['-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup, ...enter, '--', ...inside, ...argv],
    settings,
  );
  const result = { exitCode: run.exitCode ?? 255, stdout: String(run.stdout ?? ''), stderr: String(run.stderr ?? '') };
  if (options.reject !== false && result.exitCode !== 0) {
    throw new Error(`${argv.join(' ')}: status ${result.exitCode}\n${result.stdout}\n${result.stderr}`);
  }
  return result;
}
