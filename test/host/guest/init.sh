# Turns the root that nixos-container made into a system and becomes its systemd. Sourced by PID 1 (bash); runs on each boot.
closure=${SYSTEM_PATH:-/nix/var/nix/profiles/system}
mkdir -p /etc/systemd/system /etc/systemd/system-generators /etc/pam.d /etc/dbus-1 /home/preview /tmp
printf '%s\n' root:x:0:0::/root:/bin/bash messagebus:x:101:101::/:/usr/sbin/nologin preview:x:1000:1000::/home/preview:/bin/bash \
  systemd-journal:x:102:102::/:/usr/sbin/nologin nobody:x:65534:65534::/:/usr/sbin/nologin >/etc/passwd
printf '%s\n' root:x:0: messagebus:x:101: systemd-journal:x:102: preview:x:1000: nogroup:x:65534: >/etc/group
printf 'export PATH=/usr/local/bin:/usr/bin:/usr/sbin\n' >/etc/profile
for stack in su su-l; do
  printf 'auth sufficient pam_rootok.so\naccount sufficient pam_permit.so\nsession optional pam_permit.so\n' >/etc/pam.d/$stack
done
for unit in dev-hugepages.mount dev-mqueue.mount getty.target kmod-static-nodes.service modprobe@.service \
  sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
  systemd-binfmt.service systemd-firstboot.service systemd-journald-audit.socket systemd-machine-id-commit.service \
  systemd-modules-load.service systemd-networkd.service systemd-networkd.socket systemd-pcrphase-sysinit.service \
  systemd-pcrphase.service systemd-random-seed.service systemd-repart.service systemd-resolved.service \
  systemd-sysctl.service systemd-sysusers.service systemd-timesyncd.service systemd-tmpfiles-setup-dev.service \
  systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service \
  systemd-update-utmp.service systemd-tmpfiles-setup.service systemd-tmpfiles-clean.timer \
  systemd-ask-password-console.path systemd-remount-fs.service; do
  ln -sfn /dev/null "/etc/systemd/system/$unit"
done
ln -sfn /dev/null /etc/systemd/system-generators/postgresql-generator
for unit in "$closure"/units/*; do
  ln -sfn "$unit" "/etc/systemd/system/${unit##*/}"
done
ln -sfn guest.target /etc/systemd/system/default.target
printf "nameserver %s\n" "$HOST_ADDRESS" >/etc/resolv.conf
ln -sfn /run /var/run
mkdir -p /var/log/journal /var/tmp /run/lock
chmod 1777 /tmp /var/tmp
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
exec /usr/lib/systemd/systemd
