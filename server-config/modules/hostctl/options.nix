{ config, lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.berth.hostctl = {
    checkout = mkOption {
      type = types.externalPath;
      default = "/etc/nixos";
      description = "Git checkout of your configuration on the host; `hostctl pull` moves it, `hostctl harden` closes it.";
    };
    flake = mkOption {
      type = types.externalPath;
      default = "${config.berth.hostctl.checkout}/server-config";
      defaultText = lib.literalMD "`server-config` in the checkout";
      description = "Folder of the flake that describes this host.";
    };
    attribute = mkOption {
      type = types.strMatching "[A-Za-z0-9][A-Za-z0-9._-]*";
      default = config.networking.hostName;
      defaultText = lib.literalExpression "config.networking.hostName";
      description = "Name of this host among the flake's nixosConfigurations.";
    };
    gc = {
      keepGenerations = mkOption {
        type = types.ints.between 1 1000;
        default = 10;
        description = "Generations that are always kept to go back to, however old.";
      };
      olderThan = mkOption {
        type = types.strMatching "[1-9][0-9]{0,3}d";
        default = "30d";
        description = "Age at which further generations are given up.";
      };
      intervalHours = mkOption {
        type = types.ints.between 1 8760;
        default = 24;
        description = "Garbage is collected at most once in this time.";
      };
    };
    maintainAt = mkOption {
      type = types.str;
      default = "*-*-* 04:40:00";
      description = "When `hostctl maintain` runs (systemd.time), spread over the following 30 minutes.";
    };
    optOuts = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        open-ports = "this host is also the mail relay";
      };
      description = "Items of the baseline that this host does without, with the reason that `hostctl status` shows.";
    };
  };
}
