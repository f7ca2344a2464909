# Collecting what nothing uses. Closures of previews are held by the operator's roots and outlive it.
{ config, lib, ... }:
let
  cfg = config.berth.previewContainers.garbage;
in
{
  config = lib.mkIf config.berth.features.previewContainers {
    nix.gc = {
      automatic = lib.mkDefault true;
      dates = lib.mkDefault cfg.interval;
      options = lib.mkDefault "--delete-older-than ${toString cfg.keepDays}d";
      # Not all hosts of a fleet at the same minute.
      randomizedDelaySec = lib.mkDefault "45min";
    };
    systemd.services.nix-gc.serviceConfig = {
      Nice = 10;
      IOSchedulingClass = "idle";
    };
  };
}
