# Who may use the Nix daemon. A user that may talk to it can fill the store; a trusted one is root.
{ config, lib, ... }:
let
  cfg = config.berth.hardening;
in
{
  config = lib.mkIf config.berth.features.hardening {
    nix.settings = {
      sandbox = lib.mkDefault true;
      allowed-users = lib.mkIf cfg.baseline.nixDaemonClosed (lib.mkForce cfg.nixUsers);
      # Leave room for the system itself when a preview's build fills the disk: collect at 5 GiB, up to 20 GiB.
      min-free = lib.mkDefault (5 * 1024 * 1024 * 1024);
      max-free = lib.mkDefault (20 * 1024 * 1024 * 1024);
    };
    # The daemon's builds give way to what answers requests.
    nix.daemonCPUSchedPolicy = lib.mkDefault "batch";
    nix.daemonIOSchedClass = lib.mkDefault "idle";
  };
}
