/**
 * Kinds of poison for a preview (promise R8). What takes processes or memory of the machine has a bound of its own, because this machine enforces no limits of
 * control groups; what takes disk has that of the manifest.
 */
import type { FileChanges } from '../../support/fake-github/bare-repository.ts';

export interface Poison {
  readonly name: string;
  readonly files: FileChanges;
}

const service = '[[services]]\nname = "web"\ncommand = "exec node server.js"\nport = 3000\n';
const soon = '[health]\ntimeoutSeconds = 3\n';
const listening = (handler: string) =>
  `require('node:http').createServer((request, response) => { ${handler} }).listen(process.env.PORT, process.env.HOST);`;
const healthy = listening(`response.end('poison');`);

/** Apps by the text of their server, with what their setup does. */
const servers = (texts: Record<string, string>): Poison[] =>
  Object.entries(texts).map(([name, text]) => ({
    name,
    files: { 'preview.toml': `${service}${soon}`, 'server.js': text },
  }));
const setups = (commands: Record<string, string>): Poison[] =>
  Object.entries(commands).map(([name, command]) => ({
    name,
    files: {
      'preview.toml': `[setup]\ntimeoutSeconds = 5\ncommand = '''\n${command}\n'''\n[limits]\ndiskMiB = 256\n${service}${soon}`,
      'server.js': healthy,
    },
  }));
const manifests = (texts: Record<string, string>): Poison[] =>
  Object.entries(texts).map(([name, text]) => ({ name, files: { 'preview.toml': text, 'server.js': healthy } }));
const trees = (files: Record<string, FileChanges>): Poison[] =>
  Object.entries(files).map(([name, changes]) => ({
    name,
    files: { 'preview.toml': `${service}${soon}`, 'server.js': healthy, ...changes },
  }));

export const poisons: readonly Poison[] = [
  // The first eight are those that every run of the tests has.
  ...setups({
    'a setup that hangs': 'sleep 600',
    'a setup that floods its log': 'timeout 3 yes a line of a log; exit 1',
  }),
  ...servers({
    'a server that halts its guest': `require('node:child_process').execFile('/usr/bin/kill', ['-RTMIN+3', '1']); ${healthy}`,
    'a server that answers 500': listening('response.statusCode = 500; response.end();'),
    'a server that never listens': 'setInterval(() => {}, 1000);',
    'a server that floods its log': `${healthy} const line = 'x'.repeat(1000); setInterval(() => { for (let i = 0; i < 200; i += 1) console.log(line); }, 10);`,
    'a server that ignores requests to end': `process.on('SIGTERM', () => {}); ${healthy}`,
  }),
  ...manifests({ 'a manifest that is no TOML': 'services = [[[' }),

  ...setups({
    'a setup that fails': 'exit 3',
    'a setup that kills itself': 'kill -9 $$',
    'a setup that leaves processes behind': 'for i in $(seq 50); do setsid sleep 600 & done',
    'a setup that removes the app': 'rm -rf /home/preview/app/*',
    'a setup of three hundred processes': 'for i in $(seq 300); do sleep 2 & done; wait',
    'a setup that takes 256 MiB of memory': `perl -e 'my $x = "x" x (256 << 20); sleep 2'`,
    'a setup that fills its disk': 'dd if=/dev/zero of=big bs=1M 2>&1 || true',
    'a setup of as many files as there can be': `perl -e 'my $n = 0; $n++ while open F, ">", "f$n"'`,
    'a setup of folders in folders': `perl -e 'for (1..500) { mkdir "d"; chdir "d" }'`,
    'a setup that prints control characters': `printf '\\033[2J\\033]0;x\\007\\0\\377\\r\\n%s' '::error::'; exit 1`,
    'a setup with one line of a mebibyte': `perl -e 'print "x" x (1 << 20)'; exit 1`,
    'a setup that asks for a rebuild each time': 'touch /tmp/force-rebuild',
  }),
  ...servers({
    'a server that ends at once': 'process.exit(1);',
    'a server that is no program': ')))',
    'a server on another port': healthy.replace('process.env.PORT', '3999'),
    'a server on localhost only': healthy.replace('process.env.HOST', `'127.0.0.1'`),
    'a server that takes a minute for an answer': listening(`setTimeout(() => response.end('late'), 60_000);`),
    'a server that accepts and says nothing': `require('node:net').createServer(() => {}).listen(process.env.PORT, process.env.HOST);`,
    'a server that says no HTTP': `require('node:net').createServer((s) => s.end('\\0\\r\\n\\r\\n')).listen(process.env.PORT, process.env.HOST);`,
    'a server that resets connections': `require('node:net').createServer((s) => s.resetAndDestroy()).listen(process.env.PORT, process.env.HOST);`,
    'a server with an endless header': `require('node:net').createServer((s) => { s.on('error', () => {}); s.write('HTTP/1.1 200 OK\\r\\n'); setInterval(() => s.write('x: ' + 'y'.repeat(60000) + '\\r\\n'), 10); }).listen(process.env.PORT, process.env.HOST);`,
    'a server that redirects to itself': listening(`response.writeHead(302, { location: '/' }); response.end();`),
    'a server that busies a core for two seconds': `const end = Date.now() + 2000; while (Date.now() < end); ${healthy}`,
    'a server that dies after it was healthy': `${healthy} setTimeout(() => process.exit(1), 1500);`,
    'a server that opens a thousand connections': `${healthy} for (let i = 0; i < 1000; i += 1) require('node:net').connect(5432, require('node:fs').readFileSync('/etc/resolv.conf', 'utf8').split(/\\s/)[1]).on('error', () => {});`,
    'a server that sends to every address of its network': `${healthy} const s = require('node:dgram').createSocket('udp4'); s.on('error', () => {}); for (let i = 0; i < 1000; i += 1) s.send('x', 53, '10.100.' + (i >> 8) + '.' + (i & 255), () => {});`,
    'a server that forks until it is two hundred': `${healthy} for (let i = 0; i < 200; i += 1) require('node:child_process').spawn('sleep', ['600'], { detached: true });`,
  }),
  ...manifests({
    'a manifest without services': '',
    'a manifest with an unknown key': `${service}surprise = 1\n`,
    'a package that there is not': `packages = ["no-such-package"]\n${service}`,
    'a route to no service': `${service}[[routes]]\npath = "/"\nport = 9999\n`,
    'a route with braces': `${service}[[routes]]\npath = "/{http.request.host}/*"\nport = 3000\n`,
    'a route with a line feed': `${service}[[routes]]\npath = "/x\\n}\\nrespond 200"\nport = 3000\n`,
    'the host name of a neighbour': `${service}[[extraHosts]]\nprefix = "shop-1.preview"\n[[extraHosts.routes]]\npath = "/"\nport = 3000\n`,
    'a limit beyond the host': `${service}[limits]\nmemoryMiB = 99999999\n`,
    'a health path with a space': `${service}[health]\npath = "/ HTTP/1.1\\r\\nX: y"\n`,
    'a variable that systemd would read': `${service}[environment]\nLD_PRELOAD = "/tmp/x.so"\nA = "%n $B"\n`,
    'a manifest of a mebibyte': `# ${'x'.repeat(1 << 20)}\n${service}`,
  }),
  ...trees({
    'a link out of the tree': { escape: { symlink: '/etc/passwd' } },
    'a manifest that is a link': { 'preview.toml': { symlink: '/etc/passwd' } },
    'a link to itself': { loop: { symlink: 'loop' } },
    'names with line feeds and options': { '--no-preserve-root': 'x', 'a\nb': 'x', '-rf': 'x', '$(reboot)': 'x' },
    'a database of many connections': {
      'preview.toml': `database = "host"\n${service}${soon}`,
      'server.js': `${healthy} for (let i = 0; i < 60; i += 1) require('node:child_process').spawn('psql', [process.env.DATABASE_URL, '-c', 'select pg_sleep(60)']).on('error', () => {});`,
    },
    'a database that is emptied and locked': {
      'preview.toml': `database = "host"\n[setup]\ncommand = 'psql "$DATABASE_URL" -c "drop schema public cascade"'\n${service}${soon}`,
    },
  }),
];
