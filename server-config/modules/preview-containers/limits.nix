# What one container, and all of them together, may take of the host. The runtime may set less for a single one.
{ config, lib, ... }:
let
  cfg = config.berth.previewContainers.limits;
in
{
  config = lib.mkIf config.berth.features.previewContainers {
    # `nixos-container` makes instances of this template unit.
    systemd.services."container@".serviceConfig = {
      MemoryMax = cfg.memory;
      # No swap: a container at its limit would slow the disk for all.
      MemorySwapMax = 0;
      CPUQuota = "${toString cfg.cpuPercent}%";
      TasksMax = cfg.tasks;
      IOWeight = 50;
    };
    systemd.slices.machine.sliceConfig = {
      MemoryMax = "${toString cfg.allMemoryPercent}%";
      CPUWeight = 50;
    };
    boot.kernel.sysctl = {
      # A thousand containers on point-to-point links overflow the default neighbour table of 1,024.
      "net.ipv4.neigh.default.gc_thresh2" = lib.mkDefault 4096;
      "net.ipv4.neigh.default.gc_thresh3" = lib.mkDefault 8192;
      "kernel.keys.maxkeys" = lib.mkDefault 2000;
    };
  };
}
