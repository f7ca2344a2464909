# { name, file ? ./hosts.toml } → a NixOS module with what hosts.toml says about that machine: disks, boot loader, network,
# who may log in. The installer's configuration and the host's later one both import it, so that they can't differ.
{
  name,
  file ? ./hosts.toml,
}:
{ lib, ... }:
let
  hosts = import ./read-hosts.nix { inherit lib file; };
  host = hosts.${name} or (throw "${toString file} has no [hosts.${name}]; it has: ${lib.concatStringsSep ", " (lib.attrNames hosts)}");
  layouts = {
    single = ./disk-layouts/single-disk.nix;
    mirrored = ./disk-layouts/mirrored.nix;
  };
in
{
  imports = [
    ../server-config/flags.nix
    (import layouts.${host.disks.layout} {
      devices = map (device: device.path) host.disks.devices;
      inherit (host) firmware;
      inherit (host.disks) fileSystem encrypted;
    })
    (import ./uplink.nix host.network)
  ]
  ++ lib.optional host.disks.encrypted (import ./initrd-unlock.nix host);

  networking.hostName = lib.mkDefault name;
  nixpkgs.hostPlatform = lib.mkDefault host.system;
  berth = {
    adminKeys = host.adminKeys;
    uplink = lib.mkDefault "uplink0";
  };

  # Drivers of the disks and network cards in the machines that Hetzner rents out; unused ones are not loaded.
  boot.initrd.availableKernelModules = [
    "ahci"
    "nvme"
    "sd_mod"
    "xhci_pci"
    "virtio_pci"
    "virtio_scsi"
    "virtio_blk"
  ];
}
