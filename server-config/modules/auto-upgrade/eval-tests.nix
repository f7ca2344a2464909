{ lib, ... }:
let
  host = {
    berth.features = {
      hostctl = lib.mkDefault true;
      autoUpgrade = true;
    };
  };
  rebooting = {
    imports = [ host ];
    berth.autoUpgrade.reboot.allow = true;
  };
in
{
  "the host follows its repository, and does not reboot" = {
    modules = [ host ];
    shows = config: {
      unit = {
        actual = config.systemd.units."berth-auto-upgrade.service".text;
        contains = [
          "/bin/hostctl refresh"
          "X-RestartIfChanged=false"
        ];
        lacks = "OnSuccess";
      };
      timer = {
        actual = config.systemd.units."berth-auto-upgrade.timer".text;
        contains = "RandomizedDelaySec=1h";
      };
      reboot = {
        actual = config.systemd.services ? berth-reboot-if-needed;
        equals = false;
      };
    };
  };
  "a reboot has a window" = {
    modules = [ rebooting ];
    shows = config: {
      unit = {
        actual = config.systemd.units."berth-reboot-if-needed.service".text;
        contains = "reboot-if-needed.sh 03:00 06:00 /run/booted-system /run/current-system";
      };
      follows = {
        actual = config.systemd.units."berth-auto-upgrade.service".text;
        contains = "OnSuccess=berth-reboot-if-needed.service";
      };
    };
  };
  "without hostctl" = {
    modules = [
      host
      { berth.features.hostctl = false; }
    ];
    refused = "berth.features.autoUpgrade needs berth.features.hostctl";
  };
  "NixOS's own upgrade beside it" = {
    modules = [
      host
      { system.autoUpgrade.enable = true; }
    ];
    refused = "would both rebuild this host";
  };
  "a window over midnight" = {
    modules = [
      rebooting
      { berth.autoUpgrade.reboot.from = "23:00"; }
    ];
    refused = "the window from 23:00 to 06:00 is empty";
  };
  "a disk that is unlocked by hand" = {
    modules = [
      rebooting
      {
        boot.initrd.network.enable = true;
        boot.initrd.network.ssh = {
          enable = true;
          hostKeys = [ "/etc/secrets/initrd/ssh_host_ed25519_key" ];
          authorizedKeys = [ "ssh-ed25519 AAAA" ];
        };
      }
    ];
    refused = "it would stay down until somebody comes";
  };
  "a time that is none" = {
    modules = [
      rebooting
      { berth.autoUpgrade.reboot.to = "25:00"; }
    ];
    throws = "berth.autoUpgrade.reboot.to";
  };
}
