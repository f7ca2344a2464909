# open-secrets BACKEND IDENTITY FOLDER (NAME SOURCE)…: opens each file into FOLDER, all or none, and removes what is no longer wanted.
# Shell, because it runs early in the boot with nothing but age or sops beside it.
set -eu
umask 077
backend=$1 identity=$2 folder=$3
shift 3

new=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT

open() {
  case $backend in
    age) age --decrypt --identity "$identity" --output "$1" "$2" ;;
    sops) SOPS_AGE_SSH_PRIVATE_KEY_FILE=$identity sops decrypt --input-type binary --output-type binary --output "$1" "$2" ;;
  esac
}

while [ $# -gt 0 ]; do
  open "$new/$1" "$2" || {
    echo "secret $1 could not be opened with $identity: was it encrypted to this host's key?" >&2
    exit 1
  }
  chmod 0400 "$new/$1"
  shift 2
done

# Only now, when each could be opened: new ones take their places, others go.
for old in "$folder"/*; do
  [ -e "$new/${old##*/}" ] || rm -f "$old"
done
for file in "$new"/*; do
  [ ! -e "$file" ] || mv -f "$file" "$folder/"
done
