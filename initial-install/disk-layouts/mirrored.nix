# Two disks, RAID1: the machine runs and boots with either. A NixOS module, made of
#   { devices = [ first second ]; firmware = "bios" | "uefi"; fileSystem ? "ext4"; encrypted ? false; }
arguments:
let
  parts = import ./parts.nix;
  layout = parts.checked 2 arguments;

  memberOf = name: {
    type = "mdraid";
    inherit name;
  };
  root = {
    size = "100%";
    content = memberOf "root";
  };
  bios = _: {
    bios = parts.biosBoot;
    boot = {
      size = parts.bootSize;
      priority = 2;
      content = memberOf "boot";
    };
    inherit root;
  };
  # The firmware would write to one half of a mirror without telling it, so each disk has a system partition of its own.
  uefi = mountpoint: {
    esp = parts.espAt mountpoint;
    inherit root;
  };
  partitionsFor = if layout.firmware == "bios" then bios else uefi;
in
{ lib, ... }:
{
  disko.devices = {
    disk = {
      first = parts.disk (builtins.elemAt layout.devices 0) (partitionsFor "/boot");
      second = parts.disk (builtins.elemAt layout.devices 1) (partitionsFor "/boot-second");
    };
    mdadm = {
      root = {
        type = "mdadm";
        level = 1;
        content = parts.rootContent { inherit (layout) fileSystem encrypted; };
      };
    }
    // lib.optionalAttrs (layout.firmware == "bios") {
      boot = {
        type = "mdadm";
        level = 1;
        # Its record lies at the end, so that GRUB reads each half as a plain ext4.
        metadata = "1.0";
        content = parts.bootFileSystem;
      };
    };
  };

  # mdmonitor refuses to start without someone to tell; the journal is where observability looks.
  boot.swraid.mdadmConf = lib.mkDefault "PROGRAM /run/current-system/sw/bin/logger";

  boot.loader =
    if layout.firmware == "bios" then
      # disko names both disks, each with a BIOS boot partition, as GRUB's devices.
      { grub.enable = true; }
    else
      {
        grub = {
          enable = true;
          efiSupport = true;
          # Found by any firmware without a boot entry, on whichever disk is left.
          efiInstallAsRemovable = true;
          mirroredBoots = [
            {
              devices = [ "nodev" ];
              path = "/boot";
            }
            {
              devices = [ "nodev" ];
              path = "/boot-second";
            }
          ];
        };
      };
}
