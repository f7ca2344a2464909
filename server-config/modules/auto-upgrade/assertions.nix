{ config, lib, ... }:
let
  cfg = config.berth.autoUpgrade;
in
{
  config.assertions = lib.mkIf config.berth.features.autoUpgrade [
    {
      assertion = config.berth.features.hostctl;
      message = "berth.features.autoUpgrade needs berth.features.hostctl, whose verbs it runs.";
    }
    {
      assertion = !config.system.autoUpgrade.enable;
      message = "system.autoUpgrade.enable and berth.features.autoUpgrade would both rebuild this host. Switch one of them off.";
    }
    {
      assertion = cfg.reboot.allow -> cfg.reboot.from < cfg.reboot.to;
      message = "berth.autoUpgrade.reboot: the window from ${cfg.reboot.from} to ${cfg.reboot.to} is empty. It can't span midnight.";
    }
    {
      assertion = cfg.reboot.allow -> !config.boot.initrd.network.ssh.enable;
      message = "berth.autoUpgrade.reboot.allow is on, but this host's disk is unlocked by hand: it would stay down until somebody comes.";
    }
  ];
}
