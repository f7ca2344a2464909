# run-setup-once MARKER PROGRAM [ARGUMENT…]: runs the setup unless it has succeeded before. Shell, because the app's
# packages need hold no other interpreter. /tmp/force-rebuild, made by the app's user, asks for a full rebuild.
set -eu
marker=$1
shift
if [ -e "$marker" ] && [ ! -e /tmp/force-rebuild ]; then
  echo 'The setup has succeeded before; /tmp/force-rebuild asks for another one.'
  exit 0
fi
rm -f "$marker"
"$@"
# Only now: a setup that failed or was killed is run again.
rm -f /tmp/force-rebuild
touch "$marker"
