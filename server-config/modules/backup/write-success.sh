# write-success FILE: the time of the last successful backup, in the node exporter's text format, whole or not at all.
set -eu
umask 022
metric=berth_backup_last_success_timestamp_seconds
{
  echo "# HELP $metric When the last backup of this host succeeded."
  echo "# TYPE $metric gauge"
  echo "$metric $(date +%s)"
} >"$1.new"
mv -f "$1.new" "$1"
