# restore-drill FOLDER [DUMPS]: restores the newest snapshot below FOLDER and, where databases are dumped into DUMPS, reads each dump
# to its end. Fails when anything is missing or damaged; leaves nothing behind.
set -eu
umask 077
folder=$1 dumps=${2:-}
target=$(mktemp -d "$folder/drill.XXXXXX")
trap 'rm -rf "$target"' EXIT

restic restore latest --host "$(uname -n)" --target "$target"
test -n "$(find "$target" -type f -print -quit)" || {
  echo 'the newest snapshot holds no file' >&2
  exit 1
}
[ -n "$dumps" ] || exit 0

found=0
for dump in "$target$dumps"/*.zstd "$target$dumps"/*.zst; do
  [ -e "$dump" ] || continue
  zstd --test --quiet "$dump"
  # pg_dumpall's last line; a dump that was cut off does not have it.
  zstd --decompress --stdout --quiet "$dump" | tail -n 5 | grep -q 'dump complete' || {
    echo "the dump ${dump##*/} does not end as a whole one does" >&2
    exit 1
  }
  found=1
done
[ $found = 1 ] || {
  echo "the newest snapshot holds no dump of the databases ($dumps)" >&2
  exit 1
}
