/** The simulated kinds of apps as real files of a commit. */
import type { FileChanges } from '../support/fake-github/bare-repository.ts';
import type { AppKind } from './simulated-github.ts';

const WEB = `[[services]]
name = "web"
command = ["node", "server.js"]
port = 3000

[health]
path = "/health"
timeoutSeconds = 60
`;

/** Long enough to be killed in, as cheap as a setup can be. */
const SETUP = '[setup]\ncommand = "sleep 0.2"\n\n';

const SERVER = `require('node:http')
  .createServer((request, response) => response.end(process.env.PREVIEW_COMMIT))
  .listen(Number(process.env.PORT), process.env.HOST);
`;

const MANIFESTS: Readonly<Record<AppKind, string | null>> = {
  good: SETUP + WEB,
  'with-database': `database = "host"\n\n${SETUP}${WEB}`,
  'with-extra-host': `${SETUP}${WEB}\n[[extraHosts]]\nprefix = "admin"\nroutes = [{ path = "/", port = 3000 }]\n`,
  'bad-manifest': `bogus = true\n\n${WEB}`,
  'no-manifest': null,
  'setup-fails': `[setup]\ncommand = "echo this does not build; exit 3"\n\n${WEB}`,
  unhealthy: WEB.replace('timeoutSeconds = 60', 'timeoutSeconds = 2'),
};

/** All files of a commit with this app; `salt` makes it another commit than any before. */
export function filesOf(app: AppKind, salt: string): FileChanges {
  return {
    'preview.toml': MANIFESTS[app],
    'server.js': app === 'unhealthy' ? SERVER.replace('response.end(', 'response.writeHead(500).end(') : SERVER,
    'salt.txt': salt,
  };
}
