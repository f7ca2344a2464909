# reboot-if-needed FROM TO BOOTED CURRENT: reboots when the two systems differ in kernel, initrd or modules, and the time of day
# (UTC, HH:MM) lies in the window; else says why not.
set -eu
from=$1 to=$2 booted=$3 current=$4

same=1
for part in kernel initrd kernel-modules; do
  [ "$(readlink -f "$booted/$part")" = "$(readlink -f "$current/$part")" ] || same=0
done
if [ $same = 1 ]; then
  echo 'the running kernel is the configured one'
  exit 0
fi
now=$(date --utc +%H:%M)
if [[ $now < $from || $now > $to ]]; then
  echo "a new kernel waits for a reboot; it is $now, and the window is $from to $to"
  exit 0
fi
systemctl reboot
