# The part of /etc that `su` and a login shell need; on NixOS the activation script of the closure writes it.
mkdir -p /etc/pam.d /tmp /run
printf 'root:x:0:0::/root:/bin/bash\nnobody:x:65534:65534::/:/usr/sbin/nologin\n' >/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >/etc/group
printf 'export PATH=/usr/local/bin:/usr/bin:/usr/sbin\n' >/etc/profile
for stack in su su-l; do
  printf 'auth sufficient pam_rootok.so\naccount sufficient pam_permit.so\nsession optional pam_permit.so\n' >/etc/pam.d/$stack
done
