/**
 * PreToolUse hook of every agent: refuses calls that name a credential or that push by force. Exit status 2 makes
 * Claude Code refuse the call and show stderr to the model.
 *
 * A tripwire, not a wall: a shell has endless ways to spell a path. The wall is that an agent's container holds no
 * credential beyond its own model token, and no way to GitHub but the operator's broker.
 */
import { readHookInput, stringsIn } from './hook-input.ts';

const refused: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  {
    pattern:
      /\.ssh\/(id_(?!\w+\.pub\b)|.*_key\b(?!\.pub))|ssh_host_\w+_key\b(?!\.pub)|\bid_(rsa|dsa|ecdsa|ed25519)(_sk)?\b(?!\.pub)/,
    why: 'private SSH keys',
  },
  { pattern: /\/etc\/g?shadow\b/, why: 'the password file' },
  {
    pattern: /claude-creds|agent-credentials|\.credentials\.json|\.git-credentials|\.netrc\b|\.pgpass\b|\.npmrc\b/,
    why: 'credential files',
  },
  {
    pattern: /\.(aws|azure|config\/gh|config\/gcloud|docker|gnupg|kube)\/|\/run\/credentials\b|\/var\/secrets\b/,
    why: 'credential files',
  },
  { pattern: /\/proc\/[^/\s]+\/environ\b/, why: 'the environment of processes' },
  { pattern: /CLAUDE_CODE_OAUTH_TOKEN/, why: 'the model token' },
  {
    pattern: /\bgit\b[^;&|\n]*\bpush\b[^;&|\n]*\s(--force\b|--force-with-lease\b|--mirror\b|-[a-zA-Z]*f\b|\+\S)/,
    why: 'a force-push',
  },
];

const input = await readHookInput();
if (input === undefined) {
  process.stderr.write('Refused: the call could not be read.\n');
  process.exit(2);
}
const text = stringsIn(input.tool_input).join('\n');
const match = refused.find(({ pattern }) => pattern.test(text));
if (match) {
  process.stderr.write(`Refused by this host's policy: ${match.why}. Ask the operator if you need it.\n`);
  process.exit(2);
}
