{ lib, ... }:
let
  host.berth.features.hostctl = true;
  settingsOf = config: builtins.fromJSON config.environment.etc."berth/hostctl.json".text;
in
{
  "the settings file says what the options say" = {
    modules = [
      host
      {
        networking.hostName = "berth-7";
        services.openssh.enable = true;
        berth.features.hardening = true;
        berth.features.firewall = true;
        berth.hostctl.optOuts.no-failed-units = "a test bed";
      }
    ];
    shows = config: {
      settings = {
        actual = removeAttrs (settingsOf config) [ "kernelSettings" ];
        equals = {
          checkout = "/etc/nixos";
          flake = "/etc/nixos/server-config";
          attribute = "berth-7";
          gc = {
            keepGenerations = 10;
            olderThan = "30d";
            intervalHours = 24;
          };
          backup = null;
          openTcpPorts = [ 22 ];
          optOuts = {
            backup-recent = "berth.features.backup is off";
            no-failed-units = "a test bed";
          };
        };
      };
      "kernel settings that status looks for" = {
        actual = (settingsOf config).kernelSettings."kernel.dmesg_restrict";
        equals = 1;
      };
      maintenance = {
        actual = config.systemd.units."berth-maintain.service".text;
        contains = "/bin/hostctl maintain";
      };
      timer = {
        actual = config.systemd.units."berth-maintain.timer".text;
        contains = [
          "OnCalendar=*-*-* 04:40:00"
          "Persistent=true"
        ];
      };
      "one collector of garbage" = {
        actual = config.nix.gc.automatic;
        equals = false;
      };
    };
  };
  "an opt-out of the hardening module is an opt-out here" = {
    modules = [
      host
      {
        services.openssh.enable = true;
        berth.features.hardening = true;
        berth.hardening.baseline.bans = false;
      }
    ];
    shows = config: {
      optOuts = {
        actual = (settingsOf config).optOuts.fail2ban;
        equals = "berth.hardening.baseline.bans is off";
      };
    };
  };
  "an opt-out of something that is not in the baseline" = {
    modules = [
      host
      { berth.hostctl.optOuts.fail2bann = "typo"; }
    ];
    refused = "berth.hostctl.optOuts names fail2bann, which is no item";
  };
  "an opt-out without a reason" = {
    modules = [
      host
      { berth.hostctl.optOuts.fail2ban = ""; }
    ];
    refused = "berth.hostctl.optOuts has an empty reason";
  };
  "an age that nix would read differently" = {
    modules = [
      host
      { berth.hostctl.gc.olderThan = "2w"; }
    ];
    throws = "berth.hostctl.gc.olderThan";
  };
}
