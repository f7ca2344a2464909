# A berth.toml that the operator's own schema accepts; a wrong one ends the build with the schema's words.
{
  lib,
  runCommand,
  nodejs_24,
  settings,
  preview-operator,
}:
runCommand "berth.toml" { } ''
  ${lib.getExe nodejs_24} ${preview-operator}/lib/berth/scripts/check-settings.ts ${settings}
  cp ${settings} $out
''
