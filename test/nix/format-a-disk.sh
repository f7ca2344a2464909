# format-a-disk FOLDER CREATE MOUNT: runs disko's scripts for a disk named /dev/disk/by-id/first against an image file, and prints
# what came of it: a line `<mount point> <type>` for each file system, then whether copies share blocks.
#
# Runs in mount and process namespaces of its own (unshare --mount --pid --fork), with a /dev of its own: nothing of it is seen
# outside, and nothing but the image can be written.
set -euo pipefail
folder=$1 create=$2 mount=$3
export PATH="$folder/bin:$PATH"

truncate -s 6G "$folder/disk.img"
loop=$(losetup --find --show --partscan "$folder/disk.img")
LOOP_NAME=${loop#/dev/}
finish() {
  umount -R /mnt 2>/dev/null || true
  losetup --detach "$loop" || true
}
trap finish EXIT

node() { mknod "/dev/$1" b "$(cut -d: -f1 <"$2")" "$(cut -d: -f2 <"$2")"; }
export LOOP_NAME

mount -t tmpfs tmpfs /dev
for device in null zero random urandom; do
  case $device in null) minor=3 ;; zero) minor=5 ;; random) minor=8 ;; urandom) minor=9 ;; esac
  mknod -m 666 "/dev/$device" c 1 $minor
done
ln -s /proc/self/fd /dev/fd
mkdir -p /dev/disk/by-id /dev/disk/by-partlabel "$folder/bin"
node "$LOOP_NAME" "/sys/block/$LOOP_NAME/dev"
ln -s "/dev/$LOOP_NAME" /dev/disk/by-id/first

# What udev would do after each change of the partitions.
cat >"$folder/bin/udevadm" <<'EOF'
#!/bin/bash
[ "$1" = trigger ] || exit 0
for part in /sys/block/"$LOOP_NAME"/"$LOOP_NAME"p*; do
  [ -e "$part/dev" ] || continue
  node=/dev/${part##*/}
  # Its number may be another after each change: others on this machine have partitions too.
  rm -f "$node"
  mknod "$node" b "$(cut -d: -f1 <"$part/dev")" "$(cut -d: -f2 <"$part/dev")"
  label=$(sgdisk --info="$(cat "$part/partition")" "/dev/$LOOP_NAME" | sed -n "s/^Partition name: '\(.*\)'/\1/p")
  ln -sfn "$node" "/dev/disk/by-partlabel/$label"
done
EOF
chmod +x "$folder/bin/udevadm"

mount -t tmpfs tmpfs /mnt
mkdir /mnt/target
bash "$create" >"$folder/create.log" 2>&1 || { tail -n 20 "$folder/create.log" >&2; exit 1; }
for label in /dev/disk/by-partlabel/*; do
  type=$(blkid --output value --match-tag TYPE "$label" || true)
  echo "${label##*/} ${type:-none}"
done
[ -n "$mount" ] || exit 0
bash "$mount" >"$folder/mount.log" 2>&1 || { tail -n 20 "$folder/mount.log" >&2; exit 1; }
findmnt --raw --noheadings --output TARGET,FSTYPE | grep '^/mnt/target' | sort -u
mkdir -p /mnt/target/var
dd if=/dev/zero of=/mnt/target/var/one bs=1M count=4 status=none
cp --reflink=always /mnt/target/var/one /mnt/target/var/two 2>/dev/null && echo 'reflink yes' || echo 'reflink no'
