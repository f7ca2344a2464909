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
    # `hostctl status` looks for the same. Not rp_filter: nftables' fib check of the firewall module does that, per interface.
    boot.kernel.sysctl = lib.mapAttrs (_: unlessTheHostSays) (lib.importJSON ./kernel-settings.json);
  };
}
