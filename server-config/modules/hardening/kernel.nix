{ config, lib, ... }:
let
  # Before NixOS's own mkDefault (1000), after a plain value of the host (100).
  unlessTheHostSays = lib.mkOverride 900;
in
{
  config = lib.mkIf (config.berth.features.hardening && config.berth.hardening.baseline.kernelSettings) {
    security.protectKernelImage = lib.mkDefault true;
    boot.blacklistedKernelModules = [
      # Protocols that no host of ours speaks and whose parsers have had holes.
      "dccp"
      "sctp"
      "rds"
      "tipc"
    ];
    boot.kernel.sysctl = {
      "kernel.kptr_restrict" = unlessTheHostSays 2;
      "kernel.dmesg_restrict" = unlessTheHostSays 1;
      "kernel.unprivileged_bpf_disabled" = unlessTheHostSays 1;
      "net.core.bpf_jit_harden" = unlessTheHostSays 2;
      "kernel.yama.ptrace_scope" = unlessTheHostSays 2;
      "kernel.sysrq" = unlessTheHostSays 0;
      "fs.protected_fifos" = unlessTheHostSays 2;
      "fs.protected_regular" = unlessTheHostSays 2;
      "fs.suid_dumpable" = unlessTheHostSays 0;
      "net.ipv4.tcp_syncookies" = unlessTheHostSays 1;
      # Not rp_filter: nftables' fib check of the firewall module does that, per interface.
      "net.ipv4.conf.all.accept_redirects" = unlessTheHostSays 0;
      "net.ipv4.conf.all.send_redirects" = unlessTheHostSays 0;
      "net.ipv4.conf.all.accept_source_route" = unlessTheHostSays 0;
      "net.ipv6.conf.all.accept_redirects" = unlessTheHostSays 0;
      "net.ipv6.conf.all.accept_source_route" = unlessTheHostSays 0;
    };
  };
}
