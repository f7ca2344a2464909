{ lib, ... }:
let
  inherit (lib) mkOption types;
  timeOfDay = types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]";
in
{
  options.berth.autoUpgrade = {
    verb = mkOption {
      type = types.enum [
        "refresh"
        "upgrade"
      ];
      default = "refresh";
      description = ''
        "refresh": the host becomes what the repository says. "upgrade": it moves its inputs forward by itself, so that hosts of one
        repository may come to differ.
      '';
    };
    at = mkOption {
      type = types.str;
      default = "*-*-* 05:10:00";
      description = "When (systemd.time), spread over the following hour.";
    };
    reboot = {
      allow = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the host may reboot for a new kernel. Previews come back by themselves, but do not answer meanwhile.";
      };
      from = mkOption {
        type = timeOfDay;
        default = "03:00";
        description = "Earliest time of day for a reboot (UTC).";
      };
      to = mkOption {
        type = timeOfDay;
        default = "06:00";
        description = "Latest time of day for a reboot (UTC).";
      };
    };
  };
}
