{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  ipv4 = import ../../ipv4.nix { inherit lib; };
  size = types.strMatching "[1-9][0-9]*[MGT]";
in
{
  options.berth.previewContainers = {
    resolverAddress = mkOption {
      type = types.str;
      readOnly = true;
      # Slot 0 is never given out, so its two addresses are the host's own.
      default = ipv4.address config.berth.containerRange 1;
      defaultText = lib.literalMD "the second address of `berth.containerRange`";
      description = "Address at which containers find the only DNS resolver that they may ask.";
    };

    allowedPorts = mkOption {
      type = types.nonEmptyListOf types.port;
      default = [
        80
        443
      ];
      description = "TCP ports of the public Internet that containers may reach.";
    };

    limits = {
      memory = mkOption {
        type = size;
        default = "2G";
        description = "Memory of one container; beyond it its own processes are killed.";
      };
      cpuPercent = mkOption {
        type = types.ints.between 10 12800;
        default = 200;
        description = "CPU time of one container, in percent of one core.";
      };
      tasks = mkOption {
        type = types.ints.between 64 65536;
        default = 1024;
        description = "Processes and threads of one container.";
      };
      allMemoryPercent = mkOption {
        type = types.ints.between 10 95;
        default = 80;
        description = "Memory of all containers together, in percent of the host's: what is left keeps the host answering.";
      };
    };

    garbage = {
      interval = mkOption {
        type = types.str;
        default = "daily";
        description = "When store paths that nothing uses are collected (systemd.time).";
      };
      keepDays = mkOption {
        type = types.ints.between 1 365;
        default = 14;
        description = "Days for which older generations of the host are kept to go back to.";
      };
    };
  };
}
