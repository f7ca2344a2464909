import { readFlags, type Flag, type FlagValue } from './flags.ts';

/** docs/reference/host-flags.md as it must be: every flag of server-config/defaults.nix with type, default and meaning. */
export function hostFlagsPage(flags: readonly Flag[] = readFlags()): string {
  const isFeature = ({ path }: Flag) => path.startsWith('features.');
  return `# Flags of a host

Made by \`npm run docs\` from \`server-config/defaults.nix\`.

What the modules of \`server-config/\` share is declared in that one file. A host's own file sets these as \`berth.<flag>\`;
profiles (\`server-config/profiles/\`) give other defaults, which the host's file still overrides. Options of one module
alone are in its README.

## Features

${table(flags.filter(isFeature))}

## Facts

${table(flags.filter((flag) => !isFeature(flag)))}
`;
}

function table(flags: readonly Flag[]): string {
  const rows = flags.map(({ path, type, default: value, example, doc }) => {
    const examples = example === undefined ? '' : ` Example: \`${nixText(example)}\`.`;
    return `| \`berth.${path}\` | ${type} | \`${nixText(value)}\` | ${`${doc}${examples}`.replaceAll('|', '\\|').replaceAll('<', '&lt;')} |`;
  });
  return ['| Flag | Type | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n');
}

function nixText(value: FlagValue): string {
  if (Array.isArray(value)) return value.length === 0 ? '[ ]' : `[ ${value.map(nixText).join(' ')} ]`;
  return JSON.stringify(value);
}
