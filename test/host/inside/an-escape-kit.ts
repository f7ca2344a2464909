/**
 * What root of a container might try (promise S6): each attempt is a line of shell that ends with status 0 only if it got what it wanted. None does harm where it
 * succeeds: a setting is written as it was, a clock is set to what it shows.
 */

export interface Attempt {
  readonly name: string;
  readonly command: string;
  /** The same line succeeds for root of the host: what stops it in a container is the wall, not a missing program or kernel feature. */
  readonly onHost?: true;
}

/** A file that only the host has. */
export const canaryPath = '/var/lib/berth-canary';
/** A socket without a path, which the host listens on. */
export const abstractSocket = 'berth-escape';

/** A system call of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl), with words as perl has them. */
const call = (number: number, ...words: (number | string)[]) =>
  `perl -e 'exit(syscall(${[number, ...words].join(', ')}) == -1 ? 1 : 0)'`;
const rewritten = (path: string) => `v=$(cat ${path}) && printf %s "$v" >${path}`;
const opened = (path: string) => `head -c 1 ${path} >/dev/null`;
const socketOf = (path: string) =>
  `perl -MIO::Socket::UNIX -e 'exit(IO::Socket::UNIX->new(Peer => "${path}") ? 0 : 1)'`;
const inNewFolder = (command: string) => `d=$(mktemp -d) && ${command}`;

function attempts(group: string, commands: Record<string, string>, onHost: readonly string[] = []): Attempt[] {
  return Object.entries(commands).map(([what, command]) => ({
    name: `${group}: ${what}`,
    command,
    ...(onHost.includes(what) ? { onHost: true as const } : {}),
  }));
}

export const escapeKit: readonly Attempt[] = [
  ...attempts(
    'files of the host',
    {
      'the root of pid 1': `cat /proc/1/root${canaryPath}`,
      'the root of any process': `cat /proc/[0-9]*/root${canaryPath} | grep .`,
      'the namespaces of pid 1': `nsenter --all -t 1 -- cat ${canaryPath}`,
      'out of a chroot': `perl -e 'mkdir "/tmp/j"; chroot "/tmp/j"; chdir ".." for 1..50; chroot "."; exit(open(my $f, "<", "${canaryPath}") ? 0 : 1)'`,
      'open_by_handle_at of a root inode': `perl -e 'open(D, "<", "/usr"); my $h = pack("IiII", 8, 1, 2, 0); exit(syscall(304, fileno(D), $h, 0) == -1 ? 1 : 0)'`,
      'a process of the host': `cat /proc/[0-9]*/comm | grep -x caddy`,
      '/usr made writable': 'mount -o remount,rw,bind /usr && touch /usr/escaped',
      'the store made writable': 'mount -o remount,rw,bind /nix/store && touch /nix/store/escaped',
      'the store': 'touch /nix/store/escaped',
      "Nix's database": 'touch /nix/var/nix/db/escaped',
      'roots of the garbage collector': 'touch /nix/var/nix/gcroots/escaped',
      'the profile of its own system': 'ln -s / /nix/var/nix/profiles/system-9-link',
      'a file that nobody can remove': 'touch /var/tmp/f && chattr +i /var/tmp/f && chattr -i /var/tmp/f',
      'a user id beyond its range': `perl -e '$> = 70000; exit($> == 70000 ? 0 : 1)'`,
      'a file for a user beyond its range': 'touch /tmp/f && chown 70000 /tmp/f',
      'a map to a user beyond its range': `unshare --user sleep 5 & sleep 0.5; echo "0 70000 1" >/proc/$!/uid_map`,
    },
    [
      'a process of the host',
      'a user id beyond its range',
      'a file for a user beyond its range',
      'roots of the garbage collector',
      'a map to a user beyond its range',
    ],
  ),
  ...attempts(
    'sockets',
    {
      'the Nix daemon': socketOf('/nix/var/nix/daemon-socket/socket'),
      'the Nix daemon, its cover taken off': `umount /nix/var/nix/daemon-socket; ${socketOf('/nix/var/nix/daemon-socket/socket')}`,
      hostd: socketOf('/run/berth-hostd/socket'),
      "PostgreSQL's": socketOf('/run/postgresql/.s.PGSQL.5432'),
      "Caddy's": socketOf('/run/caddy/admin.sock'),
      'an abstract one': socketOf(`\\0${abstractSocket}`),
      'packets as they are': `perl -MSocket -e 'exit(socket(S, 17, SOCK_RAW, 768) ? 0 : 1)'`,
      'raw IP': `perl -MSocket -e 'exit(socket(S, AF_INET, SOCK_RAW, 1) ? 0 : 1)'`,
    },
    ['the Nix daemon', 'hostd', "PostgreSQL's", "Caddy's", 'an abstract one', 'packets as they are', 'raw IP'],
  ),
  ...attempts(
    'devices',
    {
      'a node of a disk': 'rm -f /tmp/n && mknod /tmp/n b 8 0',
      'a node of the memory': 'rm -f /tmp/n && mknod /tmp/n c 1 1',
      'any disk': `for d in $(cat /sys/class/block/*/dev); do mknod /tmp/disk b \${d%:*} \${d#*:} && head -c 1 /tmp/disk && echo read; rm -f /tmp/disk; done | grep read`,
      'the memory': opened('/dev/mem'),
      'the log of the kernel, to write': 'test -c /dev/kmsg && echo berth >/dev/kmsg',
      'virtual machines': opened('/dev/kvm'),
      'loop devices': opened('/dev/loop-control'),
      'the clock of the board': opened('/dev/rtc0'),
      'ports of the processor': opened('/dev/port'),
    },
    ['a node of the memory'],
  ),
  ...attempts('mounts', {
    'cgroup, version 1, with a release agent': inNewFolder(
      'mount -t cgroup -o memory none $d && echo /x >$d/release_agent',
    ),
    'any release agent': `find /sys/fs/cgroup -maxdepth 3 -name release_agent | while read -r f; do echo /x >"$f" && echo written; done | grep written`,
    'the control groups of the host': inNewFolder('mount -t cgroup2 none $d && ls $d/system.slice/berth-hostd.service'),
    'a new /proc, and a core pattern': inNewFolder(
      `mount -t proc proc $d && ${rewritten('$d/sys/kernel/core_pattern')}`,
    ),
    'the cover of /proc/sys off, and a core pattern': `umount -l /proc/sys; ${rewritten('/proc/sys/kernel/core_pattern')}`,
    debugfs: inNewFolder('mount -t debugfs none $d'),
    tracefs: inNewFolder('mount -t tracefs none $d'),
    securityfs: inNewFolder('mount -t securityfs none $d'),
    'a new /sys, writable': inNewFolder(`mount -t sysfs none $d && ${rewritten('$d/kernel/mm/ksm/run')}`),
    'a file system from a disk': inNewFolder('mount -t ext4 /dev/vda $d || mount -t ext4 /dev/sda $d'),
    'an image through a loop device': inNewFolder('truncate -s 1M $d/i && mount -o loop $d/i /mnt'),
  }),
  ...attempts('settings of the kernel', {
    'the keys of sysrq': 'echo h >/proc/sysrq-trigger',
    ...Object.fromEntries(
      ['core_pattern', 'sysrq', 'modprobe', 'panic', 'randomize_va_space', 'kptr_restrict', 'threads-max'].map(
        (name) => [name, rewritten(`/proc/sys/kernel/${name}`)],
      ),
    ),
    overcommit: rewritten('/proc/sys/vm/overcommit_memory'),
    'protected links': rewritten('/proc/sys/fs/protected_symlinks'),
    'formats of programs': `echo ':berth:M::berth::/bin/sh:' >/proc/sys/fs/binfmt_misc/register`,
    'the memory of the kernel': opened('/proc/kcore'),
    'addresses in the kernel': `grep -m1 -v '^0* ' /proc/kallsyms`,
    'the log of the kernel': 'dmesg | grep .',
    'a processor': rewritten('/sys/devices/system/cpu/cpu1/online'),
  }),
  ...attempts(
    'system calls',
    {
      bpf: call(321, 0, 'my $a = pack("IIIIx104", 2, 4, 8, 1)', 120),
      perf_event_open: call(298, 'my $a = pack("IIQx112", 1, 128, 0)', 0, -1, -1, 0),
      userfaultfd: call(323, 0),
      io_uring_setup: call(425, 1, 'my $a = "\\0" x 120'),
      'keyctl, the session': call(250, 0, -3, 1),
      add_key: call(248, '"user"', '"berth"', '"x"', 1, -3),
      request_key: call(249, '"user"', '"berth"', 0, -3),
      init_module: call(175, '"x"', 1, '""'),
      finit_module: `perl -e 'open(F, "<", "/bin/sh"); exit(syscall(313, fileno(F), "", 0) == -1 ? 1 : 0)'`,
      delete_module: call(176, '"berth"', 0),
      modprobe: 'modprobe dummy',
      kexec_load: call(246, 0, 0, 0, 0),
      iopl: call(172, 3),
      ioperm: call(173, 128, 1, 1),
      settimeofday: `perl -e 'my $t = pack("qq", time, 0); exit(syscall(164, $t, 0) == -1 ? 1 : 0)'`,
      clock_settime: `perl -e 'my $t = pack("qq", time, 0); exit(syscall(227, 0, $t) == -1 ? 1 : 0)'`,
      'reboot of the host': call(169, 0xfee1dead, 672274793, 0),
      acct: call(163, 0),
      'swapon of a file': 'truncate -s 1M /var/tmp/s && mkswap /var/tmp/s && swapon /var/tmp/s',
      'fanotify of whole mounts': call(300, 4, 0),
      'a better place with the scheduler': 'chrt --rr 50 true',
      'a hard limit lifted': `prlimit --core=unlimited true`,
      'a better place with the killer of processes': 'echo -1000 >/proc/self/oom_score_adj',
    },
    ['fanotify of whole mounts', 'acct'],
  ),
];
