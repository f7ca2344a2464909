# A guest that becomes ready and answers on port 8080. Sourced by PID 1 (bash).
. "${SYSTEM_PATH:-/nix/var/nix/profiles/system}/etc.sh"
ip link set lo up
perl "${SYSTEM_PATH:-/nix/var/nix/profiles/system}/web.pl" &
until [ -e /run/listening ]; do sleep 0.01; done
systemd-notify --pid=1 --ready
# A signal interrupts `wait`, so the wrapper's trap on SIGRTMIN+3 runs at once.
while :; do wait; sleep 0.1; done
