# One disk: boot partition, root. A NixOS module, made of
#   { devices = [ "/dev/disk/by-id/…" ]; firmware = "bios" | "uefi"; fileSystem ? "ext4"; encrypted ? false; }
arguments:
let
  parts = import ./parts.nix;
  layout = parts.checked 1 arguments;
  root = {
    size = "100%";
    content = parts.rootContent { inherit (layout) fileSystem encrypted; };
  };
  bios = {
    bios = parts.biosBoot;
    # Apart from root, so that GRUB need not read an encrypted or copy-on-write file system.
    boot = {
      size = parts.bootSize;
      priority = 2;
      content = parts.bootFileSystem;
    };
  };
  uefi.esp = parts.espAt "/boot";
in
{ lib, ... }:
{
  disko.devices.disk.first = parts.disk (builtins.head layout.devices) (
    (if layout.firmware == "bios" then bios else uefi) // { inherit root; }
  );

  boot.loader =
    if layout.firmware == "bios" then
      # disko names the disk of the BIOS boot partition as GRUB's device.
      { grub.enable = true; }
    else
      {
        grub.enable = false;
        systemd-boot.enable = lib.mkDefault true;
        efi.canTouchEfiVariables = lib.mkDefault true;
      };
}
