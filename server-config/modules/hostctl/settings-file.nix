# /etc/berth/hostctl.json: what the command knows of this host (webhook/commands/hostctl/settings.ts reads it).
{ config, lib, ... }:
let
  cfg = config.berth.hostctl;
  inherit (config.berth) backup features;
  inherit (config.berth.hardening) baseline;

  # What the hardening module was told to leave out is said once, there.
  fromHardening =
    lib.optionalAttrs (!features.hardening || !baseline.bans) { fail2ban = reason "bans"; }
    // lib.optionalAttrs (!features.hardening || !baseline.nixDaemonClosed) { nix-users-restricted = reason "nixDaemonClosed"; }
    // lib.optionalAttrs (features.hardening && !baseline.sshKeysOnly) {
      ssh-password-refused = reason "sshKeysOnly";
      root-by-key-only = reason "sshKeysOnly";
    }
    // lib.optionalAttrs (!features.hardening || !baseline.kernelSettings) { kernel-settings = reason "kernelSettings"; }
    // lib.optionalAttrs (!features.hardening || !baseline.sudoWheelOnly) { sudo-wheel-only = reason "sudoWheelOnly"; }
    // lib.optionalAttrs (!features.firewall) { firewall = "berth.features.firewall is off"; }
    // lib.optionalAttrs (!features.backup) { backup-recent = "berth.features.backup is off"; };
  reason =
    item:
    if features.hardening then "berth.hardening.baseline.${item} is off" else "berth.features.hardening is off";
in
{
  config = lib.mkIf features.hostctl {
    environment.etc."berth/hostctl.json".text = builtins.toJSON {
      inherit (cfg) checkout flake attribute;
      gc = { inherit (cfg.gc) keepGenerations olderThan intervalHours; };
      backup =
        if features.backup then
          {
            unit = "restic-backups-berth.service";
            command = "restic-berth";
            inherit (backup) successMetric staleAfterHours;
          }
        else
          null;
      openTcpPorts = lib.unique config.networking.firewall.allowedTCPPorts;
      # As this host has them, which may be stricter than the baseline.
      kernelSettings = builtins.intersectAttrs (lib.importJSON ../hardening/kernel-settings.json) config.boot.kernel.sysctl;
      optOuts = fromHardening // cfg.optOuts;
    };
  };
}
