# The host follows its repository on a timer, and reboots for a new kernel when it may.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.autoUpgrade;
  package = config.berth.previewOperator.package;
  on = config.berth.features.autoUpgrade && config.berth.features.hostctl;
in
{
  config = lib.mkIf on {
    systemd.services.berth-auto-upgrade = {
      description = "Follow this host's configuration";
      startAt = cfg.at;
      # It is part of the very configuration that it switches to.
      restartIfChanged = false;
      unitConfig.X-StopOnRemoval = false;
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      path = [
        config.nix.package
        config.systemd.package
        config.system.build.nixos-rebuild
        pkgs.coreutils
        pkgs.git
        pkgs.openssh
      ];
      environment.HOME = "/root";
      serviceConfig = {
        Type = "oneshot";
        # Status 4 (applied, but units failed) is a failure too: somebody should look.
        ExecStart = "${package}/bin/hostctl ${cfg.verb}";
      };
      onSuccess = lib.optional cfg.reboot.allow "berth-reboot-if-needed.service";
    };
    systemd.timers.berth-auto-upgrade.timerConfig = {
      Persistent = true;
      # Not all hosts of a fleet at once: the first shows whether the configuration is good.
      RandomizedDelaySec = "1h";
    };

    systemd.services.berth-reboot-if-needed = lib.mkIf cfg.reboot.allow {
      description = "Reboot when the running kernel is not the configured one";
      path = [
        pkgs.coreutils
        config.systemd.package
      ];
      serviceConfig = import ../../unit-sandbox.nix // {
        Type = "oneshot";
        ExecStart = "${pkgs.bashNonInteractive}/bin/bash ${./reboot-if-needed.sh} ${cfg.reboot.from} ${cfg.reboot.to} /run/booted-system /run/current-system";
      };
    };
  };
}
